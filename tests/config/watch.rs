//! Block lists as an operator writes them, and each mistake that can be made with one.

use super::*;

#[test]
fn a_list_is_known_by_its_name_else_by_its_zone_and_asked_about_ipv6_where_it_has_some() {
    let config = config(&format!(
        "{WATCH}addresses = ['192.0.2.25', '2001:db8::25']\nevery = '1m'\nresolver = ['[::1]:5353']\n\
         lists = [{{ zone = 'Zen.Example.org' }}, {{ zone = 'k3y.bl.example', name = 'bl', ipv6 = true }}]\n"
    ));
    let summary = relaywarden::cli::check::Summary(&config).to_string();
    for line in [
        "dnsbl       zen.example.org, bl, every 60 s",
        "  of        192.0.2.25, 2001:db8::25",
        "  resolver  [::1]:5353",
    ] {
        assert!(summary.lines().any(|shown| shown == line), "{line} is not in\n{summary}");
    }
    assert!(!summary.contains("k3y"), "a key in a zone is nobody else's");
    let dnsbl = config.dnsbl.unwrap();
    let told: Vec<_> = dnsbl
        .lists
        .iter()
        .map(|list| (list.name.to_string(), list.zone.as_str(), dnsbl.addresses_of(list).count()))
        .collect();
    assert_eq!(
        told,
        [("zen.example.org".to_owned(), "zen.example.org", 1), ("bl".to_owned(), "k3y.bl.example", 2)]
    );
    assert_eq!((dnsbl.every.as_secs(), dnsbl.timeout.as_secs(), dnsbl.resolvers[0].port()), (60, 5, 5353));
    assert_eq!(self::config("").dnsbl, None);
}

#[test]
fn the_page_about_block_lists_shows_what_is_understood() {
    let page = include_str!("../../docs/reputation.md");
    let shown = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let dnsbl = config(shown).dnsbl.unwrap();
    assert_eq!((dnsbl.lists[1].name.to_string(), dnsbl.lists[1].ipv6), ("bl".to_owned(), true));
}

/// A table of block lists with these lines, and what it must have beside.
fn watch(lines: &[&str]) -> String {
    let has = |key: &str| lines.iter().any(|line| line.starts_with(key));
    let mut lines = lines.to_vec();
    if !has("addresses") {
        lines.push("addresses = ['192.0.2.25']");
    }
    if !has("lists") {
        lines.push("lists = [{ zone = 'zen.example.org' }]");
    }
    format!("{WATCH}{}\n", lines.join("\n"))
}

#[test]
fn each_mistake_about_ranges_that_are_sampled_is_named() {
    for (lines, expected) in [
        (
            ["sample = [{ prefix = '10.0.0.0/8', count = 8 }]"].as_slice(),
            "2:22: watch.dnsbl.sample.prefix: '10.0.0.0/8' can't be sampled; write a public IPv4 prefix of your customers', such \
             as \"198.51.100.0/24\"",
        ),
        (
            &["sample = [{ prefix = '198.51.100.0/24', count = 257 }]"],
            "2:49: watch.dnsbl.sample.count: is out of range; write a number from 1 to 256",
        ),
        (
            &["sample = [{ prefix = '198.51.100.0/24' }]"],
            "2:11: watch.dnsbl.sample: 'count' is missing; add it",
        ),
        (
            &[
                "sample = [{ prefix = '198.51.100.0/24', count = 8 },",
                "{ prefix = '198.51.100.0/24', count = 1 }]",
            ],
            "3:12: watch.dnsbl.sample.prefix: line 2 has the same; change one of them",
        ),
    ] {
        assert_eq!(mistake(&watch(lines)), expected);
    }
}

#[test]
fn each_mistake_about_block_lists_is_named() {
    assert!(config(&watch(&[])).dnsbl.is_some());
    for (lines, expected) in [
        (
            ["addresses = ['192.0.2.25', '10.0.0.25']"].as_slice(),
            "2:28: watch.dnsbl.addresses: no block list can have '10.0.0.25', which others never see; write the address that \
             mail leaves from",
        ),
        (
            &["addresses = ['192.0.2.25', '192.0.2.26', '192.0.2.25']"],
            "2:42: watch.dnsbl.addresses: line 2 has the same; change one of them",
        ),
        (
            &["addresses = ['192.0.2.0/24']"],
            "2:14: watch.dnsbl.addresses: '192.0.2.0/24' is no address; write one, such as \"192.0.2.7\"",
        ),
        (&["addresses = []"], "2:13: watch.dnsbl.addresses: is empty; write a value or remove the key"),
        (&["lists = []"], "2:9: watch.dnsbl.lists: is empty; write a value or remove the key"),
        (&["lists = [{ name = 'zen' }]"], "2:10: watch.dnsbl.lists: 'zone' is missing; add it"),
        (
            &["lists = [{ zone = 'https://zen.example.org/' }]"],
            "2:19: watch.dnsbl.lists.zone: no block list can lie at 'https://zen.example.org/'; write its zone as its operator \
             names it, such as \"zen.example.org\"",
        ),
        (
            &["lists = [{ zone = 'zen.example.org' },", "{ zone = 'ZEN.example.org', name = 'other' }]"],
            "3:10: watch.dnsbl.lists.zone: line 2 has the same; change one of them",
        ),
        (
            &[
                "lists = [{ zone = 'zen.example.org', name = 'a' },",
                "{ zone = 'bl.example.org', name = 'a' }]",
            ],
            "3:35: watch.dnsbl.lists.name: line 2 has the same; change one of them",
        ),
        (
            &["every = '59s'"],
            "2:9: watch.dnsbl.every: is out of range; write something from \"1m\" to \"1d\"",
        ),
        (
            &["timeout = '31s'"],
            "2:11: watch.dnsbl.timeout: is out of range; write something from \"1s\" to \"30s\"",
        ),
        (
            &["resolver = ['ns.example:53']"],
            "2:13: watch.dnsbl.resolver: 'ns.example:53' is no address with a port; write \"127.0.0.1:10023\" or \
             \"[::1]:10023\" (no host names)",
        ),
        (&["resolver = []"], "2:12: watch.dnsbl.resolver: is empty; write a value or remove the key"),
    ] {
        assert_eq!(mistake(&watch(lines)), expected);
    }
    let lacks = format!("{WATCH}addresses = ['192.0.2.25']\n");
    assert_eq!(mistake(&lacks), "1:1: watch.dnsbl: 'lists' is missing; add it");
    assert!(mistake("[watch]\ndnsb = 1\n").starts_with("2:1: watch.dnsb: unknown field"));
    let cautions = warnings(&watch(&["addresses = ['2001:db8::25']"]));
    let caution = "file:2:14: watch.dnsbl.addresses: no list is asked about IPv6 addresses; a list that has some is told by \
                   ipv6 = true";
    assert!(cautions.contains(&caution.to_owned()), "{cautions:?}");
}
