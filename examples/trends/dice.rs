//! Numbers that look like chance and are the same each time: splitmix64, and the few distributions that people need.
//!
//! Knows: a seed, and a salt that gives each thing dice of its own, so that leaving one out does not change the others. Must not
//! know: what is decided by them.

/// A source of numbers.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64, salt: u64) -> Dice {
        let mut dice =
            Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xd1b5_4a32_d192_ed03));
        dice.roll();
        dice.roll();
        dice
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.roll() % u64::from(bound.max(1))).unwrap_or_default()
    }

    /// Both ends included.
    pub(crate) fn within(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// From 0 to 1.
    pub(crate) fn share(&mut self) -> f64 {
        f64::from(self.below(1 << 30)) / f64::from(1 << 30)
    }

    pub(crate) fn chance(&mut self, of_one: f64) -> bool {
        self.share() < of_one
    }

    pub(crate) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        let bound = u32::try_from(among.len()).unwrap_or(u32::MAX);
        among[self.below(bound) as usize]
    }

    /// Each doubling between the ends is as likely as any other: many small ones, few large ones.
    pub(crate) fn skewed(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.share())
    }

    /// As many as happen in a time in which so many happen on average.
    pub(crate) fn poisson(&mut self, mean: f64) -> u32 {
        if mean > 60.0 {
            // The sum of twelve shares is as good as normal.
            let normal = (0..12).map(|_| self.share()).sum::<f64>() - 6.0;
            return whole(mean + normal * mean.sqrt());
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.share(), 0);
        while product > limit {
            product *= self.share();
            count += 1;
        }
        count
    }

    /// How often in a row something happens that happens with this chance each time.
    pub(crate) fn run(&mut self, chance: f64, most: u32) -> u32 {
        (0..most).take_while(|_| self.chance(chance)).count().try_into().unwrap_or(most)
    }
}

/// The nearest whole number, of one that is not large.
pub(crate) fn whole(number: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
    let whole = number.round().clamp(0.0, 1e9) as u32;
    whole
}
