//! Where a webhook lies: as much of a URL (RFC 3986) as that takes.
//!
//! Knows: how one is read, and that neither a user nor a fragment belongs into it. Must not know: how it is reached.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Where to send something. What follows the host may be a secret, as with chat systems, so it is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Over TLS.
    pub tls: bool,
    /// A name in lower case, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query; begins with a slash.
    pub target: String,
}

impl Address {
    /// Reads `http://` and `https://` URLs; `None`: it is none, or has a part that does not belong there.
    #[must_use]
    pub fn read(written: &str) -> Option<Address> {
        let (tls, rest) = match (written.strip_prefix("https://"), written.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return None,
        };
        if !rest.bytes().all(|octet| octet.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&octet)) {
            return None;
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end)?;
        let (host, port) = split(authority)?;
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let port = match port {
            None => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        };
        Some(Address { tls, host, port, target })
    }

    /// Whether it lies on this host.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Host and port as they stand in a `Host` header (RFC 9110, 7.2).
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

fn split(authority: &str) -> Option<(String, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        let host: Ipv6Addr = host.parse().ok()?;
        let port = if port.is_empty() { None } else { Some(port.strip_prefix(':')?) };
        return Some((host.to_string(), port));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let may = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
    (!host.is_empty() && host.len() <= 253 && host.bytes().all(may))
        .then(|| (host.to_ascii_lowercase(), port))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_into_what_is_connected_to_and_what_is_asked_for() {
        let read = |written: &str| {
            let Address { tls, host, port, target } = Address::read(written).unwrap();
            (tls, host, port, target)
        };
        let expected = |tls, host: &str, port, target: &str| (tls, host.to_owned(), port, target.to_owned());
        for (written, meant) in [
            ("https://Portal.isp.example/hook", expected(true, "portal.isp.example", 443, "/hook")),
            ("http://127.0.0.1:8080", expected(false, "127.0.0.1", 8080, "/")),
            ("http://[::1]:80/a?b=c/d", expected(false, "::1", 80, "/a?b=c/d")),
            ("https://[2001:db8::1]", expected(true, "2001:db8::1", 443, "/")),
            ("https://h?x", expected(true, "h", 443, "/?x")),
        ] {
            assert_eq!(read(written), meant, "{written}");
        }
    }

    #[test]
    fn what_is_no_url_or_has_a_user_a_fragment_or_blanks_is_none() {
        for written in [
            "",
            "portal.isp.example",
            "ftp://h/",
            "https://",
            "https:///x",
            "https://user:word@h/",
            "https://h/#part",
            "https://h/a b",
            "https://h/\r\nX: y",
            "https://h:0/",
            "https://h:65536/",
            "https://h:x/",
            "https://[::1/",
            "https://[::1]x/",
            "https://\u{fc}.example/",
        ] {
            assert_eq!(Address::read(written), None, "{written:?}");
        }
    }

    #[test]
    fn what_follows_the_host_is_shown_nowhere() {
        let address = Address::read("https://chat.example/hooks/s3cret?key=s3cret").unwrap();
        assert_eq!(format!("{address} {address:?}"), "https://chat.example https://chat.example");
        assert_eq!(Address::read("http://[::1]:8080/x").unwrap().to_string(), "http://[::1]:8080");
    }

    #[test]
    fn what_lies_on_this_host_is_told_apart() {
        for (written, here) in [
            ("http://127.0.0.9/", true),
            ("http://[::1]/", true),
            ("http://localhost/", true),
            ("http://h/", false),
        ] {
            assert_eq!(Address::read(written).unwrap().is_here(), here, "{written}");
        }
    }
}
