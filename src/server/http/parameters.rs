//! The query part of a request as checked values. Every parameter is taken by name; what is left over is refused, so
//! that a misspelt filter can't silently widen a question.
//!
//! Knows: how values are spelled. Must not know: which path takes which parameter.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use jiff::fmt::friendly::SpanParser;

use super::api::parse_rfc3339;
use super::problem::Problem;
use crate::relay::message_id;
use crate::session::{Name, Timestamp};

/// Octets of one value that are taken; names on the wire end at 253.
const VALUE_OCTETS_MAX: usize = 1024;
/// Rows that are answered when no limit is named.
const LIMIT_DEFAULT: usize = 1000;
/// Rows that are answered at most; more would be held in memory at once.
const LIMIT_MAX: usize = 100_000;
/// Whoever does not know the day asks for the sessions of a period.
const SPAN_MAX: Duration = Duration::from_secs(24 * 3600);

/// Parameters not yet taken.
#[derive(Debug)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// The decoded pairs of a query, in order.
    #[must_use]
    pub fn new(pairs: Vec<(String, String)>) -> Self {
        Parameters(pairs)
    }

    /// Nothing may be left: an unknown parameter, or a known one given twice.
    ///
    /// # Errors
    /// Names the first one left.
    pub fn finish(self) -> Result<(), Problem> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(Problem::parameter(&name, "unknown here, or given twice")),
        }
    }

    /// The value of a parameter as it stands. An empty one counts as not given: forms send those.
    ///
    /// # Errors
    /// It is longer than anything that could be meant.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let Some(at) = self.0.iter().position(|(key, _)| key == name) else { return Ok(None) };
        let (_, value) = self.0.remove(at);
        if value.len() > VALUE_OCTETS_MAX {
            return Err(Problem::parameter(name, format!("longer than {VALUE_OCTETS_MAX} octets")));
        }
        Ok(Some(value).filter(|value| !value.is_empty()))
    }

    /// A name, in the spelling in which we print it.
    ///
    /// # Errors
    /// See [`Parameters::text`].
    pub fn name(&mut self, name: &str) -> Result<Option<Name>, Problem> {
        Ok(self.text(name)?.map(|text| Name::from_text(&text)))
    }

    /// A Message-ID, with or without the brackets around it.
    ///
    /// # Errors
    /// There is nothing in the brackets.
    pub fn message_id(&mut self, name: &str) -> Result<Option<Name>, Problem> {
        let Some(typed) = self.name(name)? else { return Ok(None) };
        let read = message_id::read(typed.octets());
        read.map(Some).ok_or_else(|| Problem::parameter(name, "there is no Message-ID in it"))
    }

    /// An address; `::ffff:192.0.2.1` is the IPv4 address it carries.
    ///
    /// # Errors
    /// It is none.
    pub fn address(&mut self, name: &str) -> Result<Option<IpAddr>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let address: IpAddr = text
            .parse()
            .map_err(|_| Problem::parameter(name, "not an IP address such as 198.51.100.7 or 2001:db8::7"))?;
        Ok(Some(address.to_canonical()))
    }

    /// An address, or a prefix of them.
    ///
    /// # Errors
    /// It is none.
    pub fn prefix(&mut self, name: &str) -> Result<Option<IpNet>, Problem> {
        self.text(name)?.map(|text| prefix_of(name, &text)).transpose()
    }

    /// A source port.
    ///
    /// # Errors
    /// It is none; 0 is none either.
    pub fn port(&mut self, name: &str) -> Result<Option<u16>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match text.parse::<u16>() {
            Ok(port) if port > 0 => Ok(Some(port)),
            _ => Err(Problem::parameter(name, "not a port from 1 to 65535")),
        }
    }

    /// A moment.
    ///
    /// # Errors
    /// It is not RFC 3339 with an offset.
    pub fn time(&mut self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        time(name, &text).map(Some)
    }

    /// A span of time such as `2m` or `90s`; a day at most.
    ///
    /// # Errors
    /// It is none, negative, or longer.
    pub fn span(&mut self, name: &str) -> Result<Option<Duration>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let span = SpanParser::new().parse_unsigned_duration(&text).ok();
        let span = span.filter(|span| *span <= SPAN_MAX && !text.starts_with(['+', '-']));
        span.map(Some)
            .ok_or_else(|| Problem::parameter(name, "not a span such as 2m or 90s, of a day at most"))
    }

    /// How many rows are wanted.
    ///
    /// # Errors
    /// It is no number, zero, or more than is ever answered at once.
    pub fn limit(&mut self) -> Result<usize, Problem> {
        Ok(self.limit_if_told()?.unwrap_or(LIMIT_DEFAULT))
    }

    /// The same where the default is another.
    ///
    /// # Errors
    /// See [`Parameters::limit`].
    pub fn limit_if_told(&mut self) -> Result<Option<usize>, Problem> {
        let Some(text) = self.text("limit")? else { return Ok(None) };
        match text.parse::<usize>() {
            Ok(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(Some(limit)),
            _ => Err(Problem::parameter("limit", format!("not a number from 1 to {LIMIT_MAX}"))),
        }
    }
}

/// A moment in the API's spelling.
///
/// # Errors
/// It is not RFC 3339 with an offset.
pub fn time(name: &str, text: &str) -> Result<Timestamp, Problem> {
    parse_rfc3339(text)
        .ok_or_else(|| Problem::parameter(name, "not RFC 3339 with an offset, such as 2026-11-23T14:00:00Z"))
}

/// An address, or a prefix of them.
///
/// # Errors
/// It is none.
pub fn prefix_of(name: &str, text: &str) -> Result<IpNet, Problem> {
    let host = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    let prefix = host.or_else(|_| text.parse::<IpNet>()).map_err(|_| {
        Problem::parameter(name, "neither an IP address nor a prefix such as 198.51.100.0/24")
    })?;
    Ok(prefix.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Parameters {
        Parameters::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn an_unknown_or_repeated_parameter_is_named() {
        let left = given(&[("adress", "192.0.2.1")]).finish().expect_err("it is unknown");
        assert_eq!(left.parameter.as_deref(), Some("adress"));
        let mut twice = given(&[("port", "1"), ("port", "2")]);
        assert_eq!(twice.port("port"), Ok(Some(1)));
        assert_eq!(twice.finish().expect_err("one is left").parameter.as_deref(), Some("port"));
    }

    #[test]
    fn ports_are_1_to_65535() {
        assert_eq!(given(&[("port", "1")]).port("port"), Ok(Some(1)));
        assert_eq!(given(&[("port", "65535")]).port("port"), Ok(Some(65535)));
        assert!(given(&[("port", "0")]).port("port").is_err());
        assert!(given(&[("port", "65536")]).port("port").is_err());
    }

    #[test]
    fn a_mapped_address_is_the_one_it_carries() {
        let mapped = given(&[("address", "::ffff:192.0.2.1")]).address("address");
        assert_eq!(mapped, Ok(Some("192.0.2.1".parse().expect("an address"))));
    }

    #[test]
    fn a_prefix_loses_its_host_bits_and_an_address_is_one_of_full_length() {
        let parsed =
            |text| given(&[("address", text)]).prefix("address").expect("it is one").map(|p| p.to_string());
        assert_eq!(parsed("198.51.100.7").as_deref(), Some("198.51.100.7/32"));
        assert_eq!(parsed("198.51.100.7/24").as_deref(), Some("198.51.100.0/24"));
        assert!(given(&[("address", "198.51.100.0/33")]).prefix("address").is_err());
    }

    #[test]
    fn a_span_is_a_day_at_most() {
        let span =
            |text| given(&[("within", text)]).span("within").map(|span| span.map(|span| span.as_secs()));
        assert_eq!(span("2m"), Ok(Some(120)));
        assert_eq!(span("1h 30m"), Ok(Some(5400)));
        assert_eq!(span("24h"), Ok(Some(86_400)));
        for text in ["86401s", "-2m", "2m ago", "2", "1 month", "soon"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_and_lengths_end_where_they_say() {
        assert_eq!(given(&[("limit", "100000")]).limit(), Ok(100_000));
        assert!(given(&[("limit", "100001")]).limit().is_err());
        assert!(given(&[("limit", "0")]).limit().is_err());
        assert!(given(&[("s", &"a".repeat(1024))]).text("s").is_ok());
        assert!(given(&[("s", &"a".repeat(1025))]).text("s").is_err());
    }
}
