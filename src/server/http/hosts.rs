//! For which names a browser may take us. A page of a stranger can have its own name lead to our address (DNS rebinding),
//! and would then be of our origin: so the name in a request must be one of ours.
//!
//! Knows: names and addresses. Must not know: requests.

use std::net::{IpAddr, SocketAddr};

/// The names that are ours.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    listen: Vec<IpAddr>,
    names: Vec<String>,
}

impl Hosts {
    /// Those of the addresses at which we listen, and those that the operator lists.
    #[must_use]
    pub fn new(listen: &[SocketAddr], names: &[String]) -> Self {
        let names = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Hosts { listen: listen.iter().map(|address| address.ip()).collect(), names }
    }

    /// Whether this is a name of ours: the value of a Host header.
    #[must_use]
    pub fn are(&self, host: &str) -> bool {
        let host = without_port(host).to_ascii_lowercase();
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        match literal.parse::<IpAddr>() {
            // An address can't be rebound. Where we listen at all of them, we don't know which are ours.
            Ok(address) => {
                let address = address.to_canonical();
                address.is_loopback()
                    || self.listen.iter().any(|ours| *ours == address || ours.is_unspecified())
            }
            Err(_) => host == "localhost" || host.ends_with(".localhost") || self.are_listed(&host),
        }
    }

    /// Whether the operator listed this name.
    #[must_use]
    pub fn are_listed(&self, host: &str) -> bool {
        let host = without_port(host);
        let host = host.strip_suffix('.').unwrap_or(host);
        self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }
}

/// RFC 3986, 3.2: an IPv6 address has colons of its own, within brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') && (name.ends_with(']') || !name.contains(':')) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(listen: &str) -> Hosts {
        Hosts::new(&[listen.parse().unwrap()], &["Warden.isp.example".to_owned()])
    }

    #[test]
    fn loopback_the_listening_addresses_and_listed_names_are_ours() {
        let hosts = hosts("192.0.2.25:8025");
        for ours in [
            "localhost",
            "LOCALHOST:8025",
            "rw.localhost",
            "127.0.0.1:8025",
            "127.9.9.9",
            "[::1]:8025",
            "[::1]",
            "192.0.2.25",
            "192.0.2.25:80",
            "warden.isp.example",
            "warden.isp.example.:443",
        ] {
            assert!(hosts.are(ours), "{ours}");
        }
        for strange in [
            "",
            ":8025",
            "evil.example",
            "localhost.evil.example",
            "192.0.2.26",
            "xwarden.isp.example",
            "127.0.0.1.evil.example",
            "[2001:db8::1]",
            "user@localhost",
        ] {
            assert!(!hosts.are(strange), "{strange}");
        }
    }

    #[test]
    fn who_listens_everywhere_takes_any_address_and_no_more_names() {
        let hosts = hosts("0.0.0.0:8025");
        assert!(
            hosts.are("198.51.100.9:8025") && hosts.are("[2001:db8::1]:8025") && !hosts.are("evil.example")
        );
    }
}
