//! The sample configuration: it means what it says.

use relaywarden::relay::Profile;
use relaywarden::relay::scanner::Position;

use super::*;

#[test]
fn the_sample_means_what_an_empty_file_and_one_client_mean() {
    let disk = Disk::with(SAMPLE, 0o644).and("/etc/relaywarden/secrets/bras1", b"sixteen octets!!\n", 0o640);
    let sample = loaded(&disk).unwrap();
    assert_eq!(sample.warnings, []);
    let plain =
        config("[[radius.client]]\nname = 'bras1'\naddress = '127.0.0.0/8'\nsecret = 'sixteen octets!!'\n");
    assert_eq!(sample.config, plain);
}

/// What has no default, or shows an example instead of one.
const NOT_DEFAULTS: &[&str] = &[
    "secret",
    "may-assign",
    "role",
    "directory",
    "client",
    "files",
    "remove",
    "identifier",
    "authenticated",
    "name",
    "address",
    "realm",
    "group",
    "inside",
    "outside",
    "block",
    "first-port",
    "header",
    "contact",
    "socket-group",
    "viewers-group",
    "operators-group",
    "auditors-group",
    "names",
    "time-zone",
    "prefixes",
    "time-zone",
    "when",
    "then",
    "match",
    "messages",
    "recipients",
    "bytes",
    "message-size",
    "connections",
    "refused",
    "text",
    "profile",
    "spam",
    "virus",
    "spam-score",
    "contains",
    "position",
    "addresses",
    "lists",
    "sample",
    "every",
    "resolver",
    "timeout",
    "max-requests",
    "nas",
    "address",
    "secret-file",
    "on",
    "send",
    "attributes",
    "release",
    "on-start",
    "message-authenticator",
    "file",
    "same-names",
    "webhook",
    "ca-file",
    "command",
    "events",
    "report-at",
    "url",
    "secret-file",
];

#[test]
fn every_commented_key_of_the_sample_is_one_and_shows_its_default() {
    let default = config(&SAMPLE.replace("secret-file = \"secrets/bras1\"", "secret = \"sixteen octets!!\""));
    // Of a table that is commented as well.
    let of_a_limit = "# mode = \"observe\"";
    let mut seen = 0;
    for (line, key) in SAMPLE.lines().filter_map(|line| {
        let setting = line.strip_prefix("# ")?;
        let (key, _) = setting.split_once(" = ")?;
        key.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'-').then_some((line, key))
    }) {
        if NOT_DEFAULTS.contains(&key) || line == of_a_limit {
            continue;
        }
        seen += 1;
        let with = SAMPLE
            .replace("secret-file = \"secrets/bras1\"", "secret = \"sixteen octets!!\"")
            .replacen(line, &line[2..], 1);
        let mut explicit = config(&with);
        // The default mode of these sockets is written as no mode.
        for mode in [
            &mut explicit.socketmap.mode,
            &mut explicit.policy.listeners.mode,
            &mut explicit.milter.listeners.mode,
        ] {
            if *mode == Some(0o660) {
                *mode = None;
            }
        }
        assert_eq!(explicit, default, "{line}");
    }
    assert!(seen >= 27, "only {seen} keys were found in the sample");
}

/// What is commented in the sample and has no default, and the same as it would be written.
const EXAMPLES: &[(&str, &str)] = &[
    ("# may-assign", "may-assign"),
    ("# role", "role"),
    ("# [[radius.detail]]", "[[radius.detail]]"),
    ("# directory", "directory"),
    ("# client = \"freeradius\"", "client = \"bras1\""),
    ("# files", "files"),
    ("# remove", "remove"),
    ("# [[nas]]", "[[nas]]"),
    ("# identifier", "identifier"),
    ("# address = \"192.0.2.7\"", "address = \"192.0.2.7\""),
    ("# name = \"berlin-7\"", "name = \"berlin-7\""),
    ("# authenticated", "authenticated"),
    ("# group", "group"),
    ("# [[nat]]", "[[nat]]"),
    ("# inside", "inside"),
    ("# outside", "outside"),
    ("# block", "block"),
    ("# first-port", "first-port"),
    ("# realm", "realm"),
    ("# [[mta]]", "[[mta]]"),
    ("# name = \"mx1\"", "name = \"mx1\""),
    ("# address = \"192.0.2.25\"", "address = \"192.0.2.25\""),
    ("# header", "header"),
    ("# contact", "contact"),
    ("# socket-group", "socket-group"),
    ("# prefixes = ", "prefixes = "),
    ("# [[rule]]", "[[rule]]"),
    ("# name = \"flood\"", "name = \"flood\""),
    ("# when = ", "when = "),
    ("# then = ", "then = "),
    ("# [watch.dnsbl]", "[watch.dnsbl]"),
    ("# listen = []         # such as [\"127.0.0.1:10025\"]", "listen = [\"127.0.0.1:10025\"]"),
    ("# profile = ", "profile = "),
    ("# [[scanned.header]]", "[[scanned.header]]"),
    ("# name = \"X-Spam-Status\"", "name = \"X-Spam-Status\""),
    ("# spam = []              # such as ", "spam = "),
    ("# virus = []             # such as ", "virus = "),
    ("# spam-score", "spam-score"),
    ("# contains", "contains"),
    ("# position", "position"),
    ("# addresses = ", "addresses = "),
    ("# lists = ", "lists = "),
    ("# sample = []         # such as ", "sample = "),
    ("# every = ", "every = "),
    ("# resolver = ", "resolver = "),
    ("# timeout = \"5s\"", "timeout = \"5s\""),
    ("# url = ", "url = "),
    ("# [[notice]]", "[[notice]]"),
    ("# name = \"portal\"", "name = \"portal\""),
    ("# webhook = ", "webhook = "),
    ("# events = ", "events = "),
    ("# timeout = \"10s\"", "timeout = \"10s\""),
];

#[test]
fn the_examples_that_are_no_defaults_are_understood() {
    let mut text = SAMPLE.replace("secret-file = \"secrets/bras1\"", "secret = \"sixteen octets!!\"");
    for (from, to) in EXAMPLES {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let disk = Disk::with(&text, 0o640).and(LIST, b"bob,2001:db8:7::/48,online\n", 0o644);
    let config = loaded(&disk).unwrap().config;
    assert_eq!((config.mtas.len(), config.prefixes.len()), (1, 1));
    let [rule] = &config.case_rules.all[..] else { panic!("{:?}", config.case_rules) };
    assert_eq!((rule.enforce, rule.then), (false, Then::Suspend(Some(Duration::from_secs(86_400)))));
    let gold = Some(NamedRealm::Vrf(Name::from("gold")));
    assert_eq!((&config.mtas[0].realm, &config.socketmap.realm), (&gold, &gold));
    assert_eq!(config.policy.listeners.realm, gold);
    assert_eq!(config.radius.clients[0].realm, Some(NamedRealm::Public));
    assert_eq!(config.translations.len(), 1);
    assert_eq!(config.translations[0].realm, Some(Name::from("gold")));
    assert_eq!(config.radius.clients[0].nas, NasIdentity::Attributes);
    assert_eq!(config.radius.clients[0].nases.len(), 1);
    let with_defaults = config.radius.details[0].clone();
    assert_eq!((with_defaults.files.as_str(), with_defaults.remove), ("detail*", false));
    assert_eq!(config.http.group.as_deref(), Some("abuse"));
    assert_eq!(config.policy.header.as_deref(), Some("X-Subscriber-Token"));
    assert!(config.relay.permit_authenticated);
    assert_eq!((config.milter.listeners.listen.len(), config.milter.profile), (1, Some(Profile::Relay)));
    let [header] = &config.scanned.headers[..] else { panic!("{:?}", config.scanned) };
    assert_eq!(
        (header.name.as_str(), header.spam_score, header.position),
        ("X-Spam-Status", Some(12_500), Position::Any)
    );
    assert_eq!((header.spam.len(), header.virus.len()), (1, 1));
    let dnsbl = config.dnsbl.unwrap();
    assert_eq!((dnsbl.addresses.len(), dnsbl.lists.len(), dnsbl.resolvers.len()), (2, 2, 1));
    assert_eq!((dnsbl.sample.len(), dnsbl.sample[0].count), (1, 8));
    // The two that have a default show it.
    let plain = format!("{WATCH}addresses = ['192.0.2.25']\nlists = [{{ zone = 'zen.example.org' }}]\n");
    let plain = self::config(&plain).dnsbl.unwrap();
    assert_eq!((dnsbl.every, dnsbl.timeout), (plain.every, plain.timeout));
}
