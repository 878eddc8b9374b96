//! What a daemon knows of block lists, round by round.
//!
//! Knows: `[watch.dnsbl]`, `relaywarden reputation`, cases. Must not know: who answers for the lists.

use std::net::SocketAddr;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::daemon::{Daemon, SECRET, Wanted};
use super::eventually;

/// A daemon that watches these addresses on these lists (both as TOML), and asks this resolver.
pub(crate) fn watching(addresses: &str, lists: &str, resolver: SocketAddr) -> Wanted {
    let feeds = format!(
        "[[radius.client]]\nname = \"bras1\"\naddress = \"127.0.0.0/8\"\nsecret = \"{SECRET}\"\n\n\
         [watch.dnsbl]\naddresses = {addresses}\nlists = {lists}\nresolver = [\"{resolver}\"]\ntimeout = \"1s\"\n"
    );
    Wanted { feeds: Some(feeds), ..Wanted::default() }
}

/// What is known now.
pub(crate) fn rows(daemon: &Daemon) -> Vec<Value> {
    match daemon.json(&["reputation"]) {
        Some(Value::Array(rows)) => rows,
        _ => Vec::new(),
    }
}

fn newest(rows: &[Value]) -> Option<&str> {
    rows.iter().filter_map(|row| row["asked"].as_str()).max()
}

/// Waits for the round with which a daemon begins.
pub(crate) fn first_round(daemon: &Daemon) -> Vec<Value> {
    eventually("the first round", || {
        let rows = rows(daemon);
        (!rows.is_empty() && rows.iter().all(|row| row["asked"].is_string())).then_some(rows)
    })
}

/// Has another round made, and waits until every list was asked in it.
pub(crate) fn round(daemon: &Daemon) -> Vec<Value> {
    let before = rows(daemon);
    daemon.signal(Signal::SIGHUP);
    eventually("a round", || {
        let after = rows(daemon);
        let is_new = |row: &Value| row["asked"].as_str() > newest(&before);
        (!after.is_empty() && after.iter().all(is_new)).then_some(after)
    })
}

/// One field of what is known of an address on a list.
pub(crate) fn of<'a>(rows: &'a [Value], address: &str, list: &str, field: &str) -> &'a Value {
    let found = rows.iter().find(|row| row["address"] == address && row["list"] == list);
    &found.unwrap_or_else(|| panic!("{address} on {list} is not in {rows:#?}"))[field]
}

/// State and sanity of an address on a list.
pub(crate) fn state(rows: &[Value], address: &str, list: &str) -> (String, String) {
    let text = |field| of(rows, address, list, field).as_str().unwrap_or_default().to_owned();
    (text("state"), text("sanity"))
}

/// All cases.
pub(crate) fn cases(daemon: &Daemon) -> Vec<Value> {
    match daemon.json(&["cases"]) {
        Some(Value::Array(rows)) => rows,
        _ => Vec::new(),
    }
}
