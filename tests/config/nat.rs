//! Translations, statics and lists of prefixes as an operator writes them.

use super::*;

/// A translation of 1024 inside addresses, whose 16 outside ones have 64 blocks each, with these lines instead or besides.
fn nat(more: &[&str]) -> String {
    let mut lines = vec!["inside = '100.64.0.0/22'", "outside = '192.0.2.0/28'", "block = 1008"];
    lines.retain(|line| !more.iter().any(|other| line.split(' ').next() == other.split(' ').next()));
    format!("[[nat]]\n{}\n{}\n", lines.join("\n"), more.join("\n"))
}

#[test]
fn a_translation_has_a_block_for_each_inside_address_and_not_one_too_few() {
    let exact = config(&nat(&[]));
    let [translation] = &exact.translations[..] else { panic!("one table") };
    assert_eq!((translation.first_port, translation.block, &translation.realm), (1024, 1008, &None));
    let mistake = mistake(&nat(&["block = 1009"]));
    assert_eq!(
        mistake,
        "3:11: nat.outside: 'inside' has 1024 addresses and 'outside' 1008 blocks of ports; widen 'outside', or lower \
         'block' or 'first-port'"
    );
    let lower = config(&nat(&["first-port = 1", "block = 1009", "realm = 'gold'"]));
    assert_eq!(lower.translations[0].realm, Some(Name::from("gold")));
}

#[test]
fn an_outside_address_is_of_one_translation_only() {
    let second = nat(&["inside = '100.65.0.0/28'", "outside = '192.0.2.16/32'"]);
    assert_eq!(config(&format!("{}{second}", nat(&[]))).translations.len(), 2);
    let overlapping = second.replace("192.0.2.16", "192.0.2.15");
    assert_eq!(
        mistake(&format!("{}{overlapping}", nat(&[]))),
        "9:11: nat.outside: line 3 has 192.0.2.0/28, which overlaps; a port of an outside address can belong to one \
         [[nat]] only"
    );
}

#[test]
fn each_mistake_in_a_translation_is_named() {
    for (more, expected) in [
        (
            "inside = '2001:db8::/32'",
            "4:10: nat.inside: ports are shared by IPv4 addresses only; write an IPv4 prefix such as \"192.0.2.0/28\"",
        ),
        (
            "outside = '2001:db8::/64'",
            "4:11: nat.outside: ports are shared by IPv4 addresses only; write an IPv4 prefix such as \"192.0.2.0/28\"",
        ),
        ("block = 0", "4:9: nat.block: is out of range; write a number from 1 to 65535"),
        ("block = 65536", "4:9: nat.block: is out of range; write a number from 1 to 65535"),
        ("first-port = 0", "5:14: nat.first-port: is out of range; write a number from 1 to 65535"),
        ("realm = ' '", "5:9: nat.realm: is empty; write a value or remove the key"),
    ] {
        assert_eq!(mistake(&nat(&[more])), expected, "{more}");
    }
    for key in ["inside", "outside", "block"] {
        let text: String =
            nat(&[]).lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect();
        assert_eq!(mistake(&text), format!("1:1: nat: '{key}' is missing; add it"));
    }
}

#[test]
fn a_static_subscriber_has_the_same_form_as_one_from_accounting() {
    let statics = |rules: &str, name: &str| {
        let text =
            format!("[relay]\nstatic = [{{ prefix = '192.0.2.0/28', subscriber = '{name}' }}]\n{rules}");
        config(&text).relay.statics[0].1.to_string()
    };
    assert_eq!(statics("", "Office"), "office");
    assert_eq!(statics("[subscriber]\nlowercase = false\n", "Office"), "Office");
    assert_eq!(statics("", "0xff41"), "0xff61");
}

#[test]
fn a_part_of_a_static_prefix_may_be_never_or_anothers() {
    let config = config(
        "[relay]\nnever = ['192.0.2.1']\nstatic = [{ prefix = '192.0.2.0/28', subscriber = 'a' }, \
         { prefix = '192.0.2.8/29', subscriber = 'b' }, { prefix = '192.0.2.0/28', subscriber = 'A' }]\n",
    );
    assert_eq!(config.relay.statics.len(), 2);
}

const LISTING: &str = "[subscriber]\nprefixes = 'prefixes.csv'\n";

#[test]
fn a_list_of_prefixes_lies_beside_the_configuration_and_names_like_accounting_does() {
    let list = b"subscriber,prefix,when\nBob,2001:db8:7::/48,online\nAlice,192.0.2.8/29,always\n";
    let prefixes = |rules: &str| {
        let disk = Disk::with(&format!("{LISTING}{rules}"), 0o640).and(LIST, list, 0o644);
        let listed = loaded(&disk).unwrap().config.prefixes;
        listed.iter().map(|l| format!("{} {} {:?}", l.prefix, l.subscriber, l.when)).collect::<Vec<_>>()
    };
    assert_eq!(prefixes(""), ["192.0.2.8/29 alice Always", "2001:db8:7::/48 bob Online"]);
    assert_eq!(prefixes("lowercase = false\n")[0], "192.0.2.8/29 Alice Always");
    assert_eq!(config("").prefixes, []);
}

#[test]
fn a_hundred_thousand_listed_prefixes_are_read() {
    let lines =
        (0..100_000_u32).rev().map(|n| format!("s{n},10.{}.{}.{},online\n", n >> 16, n >> 8 & 255, n & 255));
    let disk = Disk::with(LISTING, 0o640).and(LIST, lines.collect::<String>().as_bytes(), 0o644);
    let prefixes = loaded(&disk).unwrap().config.prefixes;
    assert_eq!(prefixes.len(), 100_000);
    assert_eq!(
        (prefixes[0].subscriber.text(), prefixes[99_999].subscriber.text()),
        (Some("s0"), Some("s99999"))
    );
}

#[test]
fn a_bad_line_in_the_list_of_prefixes_is_named_with_file_and_line() {
    let mistake = |list: &[u8], more: &str| {
        let disk = Disk::with(&format!("{LISTING}{more}"), 0o640).and(LIST, list, 0o644);
        loaded(&disk).unwrap_err()
    };
    assert_eq!(
        mistake(b"# routed\na,192.0.2.0/28,always\nb,192.0.2.0/28,always\n", ""),
        format!("{LIST}:3:3: line 2 gives this prefix to 'a'; change one of them")
    );
    assert_eq!(
        mistake(b"a,192.0.0.0/16,always\n", ""),
        format!("{LIST}:1:3: is wider than a subscriber's can be; write prefixes of /24 or longer")
    );
    assert_eq!(
        mistake(b"a,192.0.2.0/24,online\n", "[relay]\nnever = ['192.0.2.250']\n"),
        format!("{LIST}:1:3: relay.never has 192.0.2.250/32, which never relays; change one of them")
    );
    assert_eq!(
        mistake(
            b"a,192.0.2.0/28,online\n",
            "[relay]\nstatic = [{ prefix = '192.0.2.0/28', subscriber = 'a' }]\n"
        ),
        format!("{LIST}:1:3: relay.static gives this prefix to 'a' at all times; change one of them")
    );
}

#[test]
fn a_list_of_prefixes_that_is_missing_or_open_to_everybody_is_named() {
    assert_eq!(
        mistake(LISTING),
        format!(
            "2:12: subscriber.prefixes: {LIST} cannot be read: entity not found; the daemon's user must be able to"
        )
    );
    for (mode, open) in [(0o100_644, false), (0o664, false), (0o646, true)] {
        let disk = Disk::with(LISTING, 0o640).and(LIST, b"", mode);
        assert_eq!(loaded(&disk).is_err(), open, "{mode:o}");
    }
    let disk = Disk::with(LISTING, 0o640).and(LIST, b"", 0o666);
    assert!(loaded(&disk).unwrap_err().contains("can be changed by everybody (mode 0666); run: chmod o-w"));
}
