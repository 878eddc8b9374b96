//! `export`: the live map as a table that a mail server can go on with when the daemon is gone; what is kept about somebody
//! is in `request.rs`.
//!
//! Knows: the form of Postfix's tables (cidr_table(5)), and when an old table is better than a new one. Must not know:
//! who may relay, or how that is found.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use ipnet::IpNet;

use super::client::ClientError;
use super::request::{self, RequestArgs};
use super::{Answer, Daemon, Exit, Failure, whole};
use crate::server::http::permitted::Line;

/// As other tables of a mail server: it is read by several of its users and holds no secret.
const MODE: u32 = 0o644;
/// What Postfix reads as one logical line by default (line_length_limit), less an address.
const RESULT_OCTETS_MAX: usize = 1024;

/// `export`
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ExportArgs {
    /// Which form
    #[command(subcommand)]
    pub form: Option<Form>,
    #[command(flatten)]
    request: RequestArgs,
}

/// What the live map can be written as.
#[derive(Debug, Clone, Subcommand)]
pub enum Form {
    /// A Postfix cidr table of the addresses that may relay now
    #[command(
        after_help = "Only what would be permitted now is in it: no address in doubt, no conflict, nobody who is \
                      suspended. Lines do not overlap, so it serves check_client_access and mynetworks alike. An empty \
                      table is not written: the old one stays, exit 1.\n\nExamples:\n  relaywarden export cidr -o \
                      /etc/postfix/online.cidr\n  relaywarden export cidr --result 'PREPEND X-Fallback: yes'"
    )]
    Cidr(CidrArgs),
}

/// `export cidr`
#[derive(Debug, Clone, Args)]
pub struct CidrArgs {
    /// Replace this file as a whole [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What stands behind each address; an access(5) action where check_client_access reads it
    #[arg(long, value_name = "TEXT", default_value = "OK", value_parser = result)]
    pub result: String,
    /// Write a table also when nobody may relay
    #[arg(long)]
    pub even_if_empty: bool,
    #[command(flatten)]
    daemon: Daemon,
}

/// A line break would begin another rule, and blanks at its end a continued one.
fn result(text: &str) -> Result<String, &'static str> {
    let plain = text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
    if !plain || text.trim() != text || text.is_empty() || text.len() > RESULT_OCTETS_MAX {
        return Err("at most 1024 printable ASCII characters, no blanks at the ends");
    }
    Ok(text.to_owned())
}

/// Writes the table.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &ExportArgs) -> Result<Answer, Failure> {
    match &args.form {
        Some(Form::Cidr(args)) => cidr(args),
        None => request::run(&args.request),
    }
}

fn cidr(args: &CidrArgs) -> Result<Answer, Failure> {
    let lines = args.daemon.client()?.ask_lines::<Line>("/v1/permitted")?;
    let table = Table::of(lines)?;
    if table.prefixes.is_empty() && !args.even_if_empty {
        let remark = match &args.output {
            Some(path) => format!("nobody may relay now; {} is left as it is", path.display()),
            None => "nobody may relay now".to_owned(),
        };
        return Ok(Answer { text: String::new(), remark: Some(remark), exit: Exit::NothingFound });
    }
    let text = table.written(&args.result);
    let Some(path) = &args.output else {
        return Ok(Answer { text, remark: None, exit: Exit::Found });
    };
    whole::replace(path, text.as_bytes(), MODE).map_err(|error| Failure::File(path.clone(), error))?;
    Ok(Answer { text: String::new(), remark: None, exit: Exit::Found })
}

/// The answer, whole.
struct Table {
    at: String,
    mode: String,
    prefixes: Vec<IpNet>,
}

impl Table {
    /// A table that was cut off on its way would shut customers out: it must have its end.
    fn of(lines: Vec<Line>) -> Result<Table, ClientError> {
        let wrong = |what: &str| ClientError::NotUnderstood(what.to_owned());
        let mut lines = lines.into_iter();
        let Some(Line::Head { at, mode }) = lines.next() else { return Err(wrong("it has no head")) };
        let mut prefixes = Vec::new();
        for line in lines.by_ref() {
            match line {
                Line::Prefix { prefix } => prefixes.push(prefix),
                Line::End { prefixes: count } if u64::try_from(prefixes.len()) == Ok(count) => {
                    return Ok(Table { at, mode, prefixes });
                }
                Line::Head { .. } | Line::End { .. } => break,
            }
        }
        Err(wrong("its end is missing"))
    }

    fn written(&self, result: &str) -> String {
        let ipv4 = self.prefixes.iter().filter(|prefix| matches!(prefix, IpNet::V4(_))).count();
        let ipv6 = self.prefixes.len().saturating_sub(ipv4);
        let mut text = format!(
            "\
# Addresses that may relay, by relaywarden, {at}: {ipv4} lines of IPv4, {ipv6} of IPv6.
# Written by `relaywarden export cidr`, which replaces the whole file.
#
# For the day on which the daemon is gone; then run `postfix reload`:
#   smtpd_relay_restrictions = permit_auth_destination, check_client_access cidr:FILE, reject
# or, in place of a socketmap:
#   mynetworks = 127.0.0.0/8 [::1]/128 cidr:FILE
# An address changes hands within minutes, and nobody is written down as sender: use it for hours, not for days.
",
            at = super::output::safe(&self.at),
        );
        if self.mode != "enforce" {
            text.push_str(
                "# The daemon only observes: as long as it does, its own answers permit nothing.\n",
            );
        }
        for prefix in &self.prefixes {
            // Memory takes everything.
            let _ = writeln!(text, "{prefix} {result}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Line {
        Line::Head { at: "2026-11-23T14:00:05.000Z".to_owned(), mode: "enforce".to_owned() }
    }

    fn prefix(text: &str) -> Line {
        Line::Prefix { prefix: text.parse().expect("a prefix") }
    }

    #[test]
    fn a_table_without_its_end_is_none() {
        let whole = [head(), prefix("192.0.2.7/32"), Line::End { prefixes: 1 }];
        assert!(Table::of(whole.to_vec()).is_ok());
        for cut in 0..whole.len() {
            assert!(Table::of(whole[..cut].to_vec()).is_err(), "{cut}");
        }
        assert!(Table::of(vec![head(), prefix("192.0.2.7/32"), Line::End { prefixes: 2 }]).is_err());
        assert!(Table::of(vec![head(), head(), Line::End { prefixes: 0 }]).is_err());
    }

    #[test]
    fn a_result_is_one_line_that_ends_where_it_ends() {
        for text in ["OK", "451 4.7.1 Later", "PREPEND X-Fallback: yes", &"a".repeat(1024)] {
            assert_eq!(result(text).as_deref(), Ok(text));
        }
        for text in ["", " OK", "OK ", "OK\n0.0.0.0/0 OK", "OK\r", "é", &"a".repeat(1025)] {
            assert!(result(text).is_err(), "{text:?}");
        }
    }
}
