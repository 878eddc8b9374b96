//! The texts that values of the configuration are written in: times, prefixes, endpoints, modes.
//!
//! Knows: one value at a time. Must not know: which key it belongs to, or any other value.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use glob::Pattern;
use ipnet::{IpNet, Ipv4Net};

use super::fault::Fault;
use super::{Endpoint, NamedRealm};
use crate::session::Name;
use crate::session::event::Span;

/// `sun_path` holds 108 octets on Linux, its NUL included.
const SOCKET_PATH_LIMIT: usize = 107;

/// Ten years: beyond it a typing error is likelier than a wish.
const DURATION_LIMIT: Duration = Duration::from_secs(3650 * 24 * 3600);

/// `90s`, `10m`, `4h`, `14d`.
pub(super) fn duration(written: &str) -> Result<Duration, Fault> {
    let fault = || Fault::NotADuration { written: written.to_owned() };
    let unit = written.chars().last().ok_or_else(fault)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(fault()),
    };
    let number: u64 = digits(written.strip_suffix(unit).unwrap_or_default()).ok_or_else(fault)?;
    let duration = Duration::from_secs(number.saturating_mul(seconds));
    if duration > DURATION_LIMIT {
        return Err(Fault::DurationOutOfRange { least: "0s", most: "3650d" });
    }
    Ok(duration)
}

/// `3x`, `1.5x` (interim intervals), or a time.
pub(super) fn span(written: &str) -> Result<Span, Fault> {
    let fault = || Fault::NotASpan { written: written.to_owned() };
    let Some(times) = written.strip_suffix('x') else {
        return duration(written).map(Span::Fixed).map_err(|reason| match reason {
            Fault::NotADuration { .. } => fault(),
            other => other,
        });
    };
    // Below one interval every session would be overdue before it can report.
    tenths(times).ok_or_else(fault)?.map(|tenths| Span::Intervals { tenths })
}

/// `4x`, `1.5x`: in tenths. Below one what is usual would be too much.
pub(super) fn factor(written: &str) -> Result<u32, Fault> {
    let tenths = written.strip_suffix('x').and_then(tenths);
    tenths.ok_or_else(|| Fault::NotAFactor { written: written.to_owned() })?
}

/// A number from 1 to 100 with at most one digit behind its point; `None`: it is no number.
fn tenths(written: &str) -> Option<Result<u32, Fault>> {
    let (whole, tenth) = written.split_once('.').unwrap_or((written, "0"));
    let whole: u32 = digits(whole)?;
    let tenth: u32 = digits(tenth).filter(|_| tenth.len() == 1)?;
    let tenths = whole.saturating_mul(10).saturating_add(tenth);
    let within = (10..=1000).contains(&tenths);
    Some(within.then_some(tenths).ok_or(Fault::DurationOutOfRange { least: "1x", most: "100x" }))
}

/// Digits only; the standard parser would take a plus sign.
pub(super) fn digits<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok())?
}

/// A number of octets: `1000`, `64KiB`, `35MiB`, `2GiB`.
pub(super) fn octets(written: &str) -> Result<u64, Fault> {
    let fault = || Fault::NotASize { written: written.to_owned() };
    let units = [("KiB", 1_u64 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1)];
    let (number, unit) = units
        .into_iter()
        .find_map(|(end, unit)| Some((written.strip_suffix(end)?, unit)))
        .ok_or_else(fault)?;
    let number: u64 = digits(number).ok_or_else(fault)?;
    number.checked_mul(unit).filter(|octets| *octets > 0).ok_or_else(fault)
}

/// An address.
pub(super) fn address(written: &str) -> Result<IpAddr, Fault> {
    match prefix(written)? {
        host if host.prefix_len() == host.max_prefix_len() && !written.contains('/') => Ok(host.addr()),
        _ => Err(Fault::NotAnAddress { written: written.to_owned() }),
    }
}

/// Names of files, with `*` and `?`.
pub(super) fn pattern(written: &str) -> Result<Pattern, Fault> {
    let fault = || Fault::NotAPattern { written: written.to_owned() };
    if written.is_empty() || written.contains('/') {
        return Err(fault());
    }
    Pattern::new(written).map_err(|_| fault())
}

/// An address, or a prefix without host bits.
pub(super) fn prefix(written: &str) -> Result<IpNet, Fault> {
    let net = match written.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => written.parse().map_err(|_| Fault::NotAPrefix { written: written.to_owned() })?,
    };
    let meant = folded(net).trunc();
    if meant != net {
        return Err(Fault::PrefixMeans { written: written.to_owned(), meant });
    }
    Ok(net)
}

/// IPv4 addresses that are written as `::ffff:...` would never match: clients' addresses are folded everywhere.
fn folded(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let length = v6.prefix_len().checked_sub(96);
    match (v6.addr().to_ipv4_mapped(), length) {
        (Some(v4), Some(length)) => Ipv4Net::new(v4, length).map_or(net, IpNet::V4),
        _ => net,
    }
}

/// An address and a port.
pub(super) fn socket_address(written: &str) -> Result<SocketAddr, Fault> {
    written.parse().map_err(|_| Fault::NotASocketAddress { written: written.to_owned() })
}

/// `unix:` and a path, or an address and a port.
pub(super) fn endpoint(written: &str, base: &Path) -> Result<Endpoint, Fault> {
    match written.strip_prefix("unix:") {
        Some(path) => socket_path(path, base).map(Endpoint::Unix),
        None => socket_address(written).map(Endpoint::Tcp),
    }
}

/// The path of a Unix socket; a relative one begins at the configuration's directory.
pub(super) fn socket_path(written: &str, base: &Path) -> Result<PathBuf, Fault> {
    if written.is_empty() {
        return Err(Fault::Empty);
    }
    let path = base.join(written);
    if path.as_os_str().len() > SOCKET_PATH_LIMIT {
        return Err(Fault::PathTooLong { limit: SOCKET_PATH_LIMIT });
    }
    Ok(path)
}

/// A host's name as it stands in a URL.
pub(super) fn host_name(written: &str) -> Result<String, Fault> {
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet))
    };
    match written.len() <= 253 && written.split('.').all(label) {
        true => Ok(written.to_ascii_lowercase()),
        false => Err(Fault::NotAHostName { written: written.to_owned() }),
    }
}

/// `0660` or `660`: octal, as for chmod.
pub(super) fn mode(written: &str) -> Result<u32, Fault> {
    let octal = (3..=4).contains(&written.len()) && written.bytes().all(|octet| matches!(octet, b'0'..=b'7'));
    let mode = octal.then(|| u32::from_str_radix(written, 8).ok()).flatten();
    mode.filter(|mode| *mode <= 0o777).ok_or_else(|| Fault::NotAMode { written: written.to_owned() })
}

/// `public`, or the name of a VRF.
pub(super) fn realm(written: &str) -> Result<NamedRealm, Fault> {
    match written.trim() {
        "" => Err(Fault::Empty),
        "public" => Ok(NamedRealm::Public),
        _ => Ok(NamedRealm::Vrf(Name::from_text(written))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_with_its_unit() {
        assert_eq!(duration("0s").unwrap(), Duration::ZERO);
        assert_eq!(duration("90s").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("10m").unwrap(), Duration::from_secs(600));
        assert_eq!(duration("4h").unwrap(), Duration::from_secs(14_400));
        assert_eq!(duration("14d").unwrap(), Duration::from_secs(1_209_600));
        for written in ["", "s", "10", "10 m", "+10m", "-1s", "1.5h", "10M", "10m ", "3x", "ö"] {
            assert!(matches!(duration(written), Err(Fault::NotADuration { .. })), "{written:?}");
        }
    }

    #[test]
    fn a_size_is_a_number_of_octets_with_or_without_its_unit() {
        for (written, meant) in [("1", 1), ("64KiB", 65_536), ("35MiB", 36_700_160), ("2GiB", 2_147_483_648)]
        {
            assert_eq!(octets(written).unwrap(), meant);
        }
        for written in
            ["", "0", "0KiB", "MiB", "1 MiB", "1MB", "1mib", "+1", "17179869184GiB", "18446744073709551616"]
        {
            assert!(matches!(octets(written), Err(Fault::NotASize { .. })), "{written:?}");
        }
    }

    #[test]
    fn ten_years_are_the_longest_time() {
        assert!(duration("3650d").is_ok());
        assert!(matches!(duration("3651d"), Err(Fault::DurationOutOfRange { .. })));
        assert!(matches!(duration("18446744073709551615d"), Err(Fault::DurationOutOfRange { .. })));
    }

    #[test]
    fn a_span_is_intervals_or_a_time() {
        assert_eq!(span("3x").unwrap(), Span::Intervals { tenths: 30 });
        assert_eq!(span("1.5x").unwrap(), Span::Intervals { tenths: 15 });
        assert_eq!(span("24h").unwrap(), Span::Fixed(Duration::from_secs(86_400)));
        for written in ["x", ".x", "1.x", "1.55x", "-1x", "3", "3X"] {
            assert!(matches!(span(written), Err(Fault::NotASpan { .. })), "{written:?}");
        }
    }

    #[test]
    fn from_one_to_a_hundred_intervals_make_sense() {
        assert!(span("1x").is_ok() && span("100x").is_ok());
        assert!(matches!(span("0.9x"), Err(Fault::DurationOutOfRange { .. })));
        assert!(matches!(span("100.1x"), Err(Fault::DurationOutOfRange { .. })));
    }

    #[test]
    fn a_factor_is_a_number_and_x() {
        assert_eq!((factor("4x").unwrap(), factor("1.5x").unwrap(), factor("100x").unwrap()), (40, 15, 1000));
        for written in ["", "x", "4", "4X", "1.x", "1.55x", "-1x", "4h"] {
            assert!(matches!(factor(written), Err(Fault::NotAFactor { .. })), "{written:?}");
        }
        for written in ["0.9x", "100.1x"] {
            assert!(matches!(factor(written), Err(Fault::DurationOutOfRange { .. })), "{written:?}");
        }
    }

    #[test]
    fn a_bare_address_is_a_prefix_of_one() {
        assert_eq!(prefix("192.0.2.7").unwrap().to_string(), "192.0.2.7/32");
        assert_eq!(prefix("2001:db8::7").unwrap().to_string(), "2001:db8::7/128");
        assert_eq!(prefix("2001:db8::/32").unwrap().to_string(), "2001:db8::/32");
    }

    #[test]
    fn an_address_is_one_and_no_prefix() {
        assert_eq!(address("192.0.2.7").unwrap().to_string(), "192.0.2.7");
        assert_eq!(address("2001:db8::7").unwrap().to_string(), "2001:db8::7");
        for written in ["", "bras1", "192.0.2.0/24", "192.0.2.7/32", "::ffff:192.0.2.7"] {
            assert!(address(written).is_err(), "{written:?}");
        }
    }

    #[test]
    fn a_pattern_is_of_names_and_not_of_paths() {
        assert!(pattern("detail-*").unwrap().matches("detail-20261125"));
        assert!(!pattern("detail-*").unwrap().matches("auth-detail-20261125"));
        for written in ["", "a/*", "[", "***"] {
            assert!(matches!(pattern(written), Err(Fault::NotAPattern { .. })), "{written:?}");
        }
    }

    #[test]
    fn what_a_prefix_should_have_been_is_named() {
        for (written, meant) in [
            ("192.0.2.1/24", "192.0.2.0/24"),
            ("2001:db8::1/64", "2001:db8::/64"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
        ] {
            let fault = prefix(written).unwrap_err();
            assert!(
                matches!(&fault, Fault::PrefixMeans { meant: m, .. } if m.to_string() == meant),
                "{fault}"
            );
        }
        for written in ["", "192.0.2.0/33", "192.0.2/24", "bras1", "192.0.2.0/24 "] {
            assert!(matches!(prefix(written), Err(Fault::NotAPrefix { .. })), "{written:?}");
        }
    }

    #[test]
    fn an_endpoint_is_an_address_with_a_port_or_a_path() {
        let base = Path::new("/etc/relaywarden");
        assert_eq!(endpoint("127.0.0.1:1", base).unwrap().to_string(), "127.0.0.1:1");
        assert_eq!(endpoint("[::1]:1", base).unwrap().to_string(), "[::1]:1");
        assert_eq!(endpoint("unix:/run/s", base).unwrap().to_string(), "unix:/run/s");
        assert_eq!(endpoint("unix:s", base).unwrap().to_string(), "unix:/etc/relaywarden/s");
        for written in ["", "localhost:1", "127.0.0.1", "::1:1", "127.0.0.1:65536"] {
            assert!(matches!(endpoint(written, base), Err(Fault::NotASocketAddress { .. })), "{written:?}");
        }
    }

    #[test]
    fn a_socket_path_has_107_octets_at_most() {
        let path = |octets: usize| format!("unix:/{}", "a".repeat(octets - 1));
        assert!(endpoint(&path(107), Path::new("/")).is_ok());
        assert!(matches!(endpoint(&path(108), Path::new("/")), Err(Fault::PathTooLong { limit: 107 })));
    }

    #[test]
    fn a_mode_is_octal() {
        assert_eq!((mode("0660").unwrap(), mode("666").unwrap()), (0o660, 0o666));
        for written in ["", "66", "0888", "1777", "00660", "+660", "rw-"] {
            assert!(matches!(mode(written), Err(Fault::NotAMode { .. })), "{written:?}");
        }
    }

    #[test]
    fn a_hosts_name_has_neither_scheme_nor_port() {
        assert_eq!(host_name("Warden.ISP.example").unwrap(), "warden.isp.example");
        for written in ["", ".", "a..b", "https://a", "a:80", "a/b", "a b", "[::1]", "*.a"] {
            assert!(matches!(host_name(written), Err(Fault::NotAHostName { .. })), "{written:?}");
        }
    }

    #[test]
    fn a_realm_is_the_public_one_or_a_vrfs_name() {
        assert_eq!(realm("public").unwrap(), NamedRealm::Public);
        assert_eq!(realm("Public").unwrap(), NamedRealm::Vrf(Name::from("Public")));
        assert_eq!(realm("default:gold").unwrap().to_string(), "default:gold");
        assert!(matches!(realm(" "), Err(Fault::Empty)));
    }
}
