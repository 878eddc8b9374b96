//! Which prefix lengths occur in a map: a longest match probes only those, two or three in practice.
//!
//! Knows: counts by family and length. Must not know: what stands at a prefix.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use ipnet::IpNet;

/// One count for each length of each family.
#[derive(Debug)]
pub(super) struct LengthsInUse {
    counts: [AtomicU64; 33 + 129],
    /// One bit per length and family; a copy of `counts != 0` that is read in three loads.
    present: [AtomicU64; 4],
}

impl Default for LengthsInUse {
    fn default() -> Self {
        LengthsInUse { counts: [const { AtomicU64::new(0) }; 33 + 129], present: Default::default() }
    }
}

impl LengthsInUse {
    /// Position of a length: IPv4 lengths first, then those of IPv6.
    fn position(prefix: IpNet) -> usize {
        match prefix {
            IpNet::V4(net) => usize::from(net.prefix_len()),
            IpNet::V6(net) => 33 + usize::from(net.prefix_len()),
        }
    }

    pub(super) fn add(&self, prefix: IpNet) {
        let position = Self::position(prefix);
        if let (Some(count), Some(word)) = (self.counts.get(position), self.present.get(position / 64)) {
            count.fetch_add(1, Ordering::AcqRel);
            word.fetch_or(1 << (position % 64), Ordering::AcqRel);
        }
    }

    /// Only the single writer removes, so nobody adds between the count and the bit.
    pub(super) fn remove(&self, prefix: IpNet) {
        let position = Self::position(prefix);
        if let (Some(count), Some(word)) = (self.counts.get(position), self.present.get(position / 64))
            && count.fetch_sub(1, Ordering::AcqRel) == 1
        {
            word.fetch_and(!(1 << (position % 64)), Ordering::AcqRel);
        }
    }

    /// The prefixes of an address by the lengths in use, longest first. Only bits that are set cost anything.
    pub(super) fn longest_first(&self, address: IpAddr) -> impl Iterator<Item = IpNet> + '_ {
        let family = match address {
            IpAddr::V4(_) => 0..33,
            IpAddr::V6(_) => 33..33 + 129,
        };
        let mut words = (0..self.present.len()).rev();
        let (mut word, mut base) = (0_u64, 0);
        std::iter::from_fn(move || {
            loop {
                while word != 0 {
                    let bit = 63 - word.leading_zeros() as usize;
                    word &= !(1 << bit);
                    let position = base + bit;
                    if family.contains(&position) {
                        let length = u8::try_from(position - family.start).ok()?;
                        return IpNet::new(address, length).ok().map(|net| net.trunc());
                    }
                }
                let next = words.next()?;
                base = next * 64;
                word = self.present.get(next)?.load(Ordering::Acquire);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn only_lengths_in_use_are_probed_longest_first() {
        let lengths = LengthsInUse::default();
        for prefix in ["192.0.2.0/24", "192.0.2.7/32", "2001:db8::/56", "2001:db8::/128", "0.0.0.0/0", "::/0"]
        {
            lengths.add(net(prefix));
        }
        let probed: Vec<_> = lengths.longest_first("192.0.2.9".parse().unwrap()).collect();
        assert_eq!(probed, [net("192.0.2.9/32"), net("192.0.2.0/24"), net("0.0.0.0/0")]);
        lengths.remove(net("192.0.2.0/24"));
        let probed: Vec<_> = lengths.longest_first("192.0.2.9".parse().unwrap()).collect();
        assert_eq!(probed, [net("192.0.2.9/32"), net("0.0.0.0/0")]);
        let probed: Vec<_> = lengths.longest_first("2001:db8:0:ff::9".parse().unwrap()).collect();
        assert_eq!(probed, [net("2001:db8:0:ff::9/128"), net("2001:db8::/56"), net("::/0")]);
    }

    #[test]
    fn a_length_goes_with_its_last_prefix() {
        let lengths = LengthsInUse::default();
        lengths.add(net("192.0.2.1/32"));
        lengths.add(net("192.0.2.2/32"));
        lengths.remove(net("192.0.2.1/32"));
        assert_eq!(lengths.longest_first("192.0.2.2".parse().unwrap()).count(), 1);
        lengths.remove(net("192.0.2.2/32"));
        assert_eq!(lengths.longest_first("192.0.2.2".parse().unwrap()).count(), 0);
    }
}
