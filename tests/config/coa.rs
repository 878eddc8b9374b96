//! What the access side is told as an operator writes it, and each mistake that can be made with it.

use relaywarden::relay::line::Means;
use relaywarden::relay::standing::Held;

use super::*;

const NAS: &str = "[[coa.nas]]\nnas = 'bras*'\naddress = '192.0.2.1'\nsecret = 'sixteen octets..'\n";

/// With a session named, so that nothing else is missing.
fn nas(lines: &str) -> String {
    format!("{NAS}send = 'coa'\n{lines}\n")
}

const NAMED: &str = "attributes = ['Acct-Session-Id = \"{session}\"', 'NAS-Identifier = \"{nas-identifier}\"', \
                     'Filter-Id = \"walled-garden\"']";

#[test]
fn a_nas_is_asked_for_a_change_and_again_for_the_reverse() {
    let config = config(&format!(
        "[coa]\nmode = 'enforce'\nmax-requests = '5/10s'\n{}",
        nas(&format!("{NAMED}\non = 'limit'\nrelease = {{ send = 'coa', {NAMED} }}"))
    ));
    let summary = relaywarden::cli::check::Summary(&config).to_string();
    for line in [
        "coa         enforce, at most 5 requests in 10 s",
        "  of        bras* at 192.0.2.1:3799: coa while limited, and when they begin; coa at release",
    ] {
        assert!(summary.lines().any(|shown| shown == line), "{line} is not in\n{summary}");
    }
    let reached = config.coa.of("bras7").unwrap();
    assert_eq!((reached.on, reached.on_start, reached.signed), (Held::Limited, true, false));
    assert_eq!((reached.restrict.means, reached.restrict.attributes.len()), (Means::Coa, 3));
    assert!(config.coa.of("wlan1").is_none());
}

#[test]
fn nothing_is_sent_unless_it_is_said_and_who_was_cut_off_may_come_back() {
    let of = |text: &str| config(text).coa;
    assert!(of("").nases.is_empty() && !of(&nas(NAMED)).enforce);
    let disconnect = of(&nas(NAMED).replace("'coa'", "'disconnect'"));
    assert!(!disconnect.nases[0].on_start, "or it would be cut off for ever");
    assert_eq!(disconnect.nases[0].restrict.means, Means::Disconnect);
    let again = nas(&format!("{NAMED}\non-start = true")).replace("'coa'", "'disconnect'");
    assert!(of(&again).nases[0].on_start);
}

#[test]
fn a_nas_that_is_named_in_full_need_not_be_named_in_each_request() {
    let one = nas("attributes = ['Acct-Session-Id = \"{session}\"']").replace("bras*", "bras1/192.0.2.1");
    assert!(config(&one).coa.of("bras1/192.0.2.1").is_some());
}

#[test]
fn the_page_about_the_access_side_shows_what_is_understood() {
    let page = include_str!("../../docs/coa.md");
    let shown = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let shown = shown.replace("secret-file = \"secrets/bras-coa\"", "secret = \"sixteen octets..\"");
    let coa = config(&shown).coa;
    assert!(!coa.enforce && coa.nases.len() == 2, "{coa:?}");
}

#[test]
fn each_mistake_about_the_access_side_is_named() {
    for (lines, expected) in [
        (
            nas("attributes = ['User-Name = \"{user}\"', 'Filter-Id = \"walled\"']"),
            "6:14: coa.nas.attributes: nothing in it names one session, so that a NAS might end another's; add 'Acct-Session-Id = \
             \"{session}\"' or 'Framed-IP-Address = {address}'",
        ),
        (
            nas("attributes = ['Calling-Station-Id = \"{calling-station}\"', 'NAS-Port-Id = \"{port-id}\"']"),
            "6:14: coa.nas.attributes: nothing in it names one session, so that a NAS might end another's; add 'Acct-Session-Id = \
             \"{session}\"' or 'Framed-IP-Address = {address}'",
        ),
        (
            nas("attributes = ['Acct-Session-Id = \"{session}\"']"),
            "6:14: coa.nas.attributes: nas fits several, whose sessions may have the same number; add 'NAS-Identifier = \
             \"{nas-identifier}\"', or give each NAS a table of its own with its whole name",
        ),
        (
            nas("attributes = ['No-Such-Thing = 1']"),
            "6:15: coa.nas.attributes: 'No-Such-Thing = 1' is no attribute of a request: unknown attribute; write such as \
             'Acct-Session-Id = \"{session}\"'",
        ),
        (
            nas("attributes = ['Framed-IP-Address = {user}']"),
            "6:15: coa.nas.attributes: 'Framed-IP-Address = {user}' is no attribute of a request: {user} does not fit a value of \
             type Ipv4; write such as 'Acct-Session-Id = \"{session}\"'",
        ),
        (
            nas("attributes = ['Session-Timeout = soon']"),
            "6:15: coa.nas.attributes: 'Session-Timeout = soon' is no attribute of a request: the value is not of type Integer; \
             write such as 'Acct-Session-Id = \"{session}\"'",
        ),
        (
            nas("attributes = ['Message-Authenticator = 0x00']"),
            "6:15: coa.nas.attributes: 'Message-Authenticator = 0x00' is no attribute of a request: is written by the daemon; use \
             message-authenticator = true; write such as 'Acct-Session-Id = \"{session}\"'",
        ),
        (nas(""), "1:1: coa.nas: 'attributes' is missing; add it"),
        (
            nas(&format!("{NAMED}\nrelease = {{ send = 'coa' }}")),
            "7:11: coa.nas.release: 'attributes' is missing; add it",
        ),
        (format!("{NAS}{NAMED}\n"), "1:1: coa.nas: 'send' is missing; add it"),
        (
            format!("{NAS}send = 'kill'\n{NAMED}\n"),
            "5:8: coa.nas.send: 'kill' is unknown; write one of: \"coa\", \"disconnect\"",
        ),
        (
            nas(&format!("{NAMED}\non = 'release'")),
            "7:6: coa.nas.on: 'release' is unknown; write one of: \"suspend\", \"limit\"",
        ),
        (
            nas(NAMED).replace("192.0.2.1", "bras1"),
            "3:11: coa.nas.address: 'bras1' is no address with a port; write \"127.0.0.1:10023\" or \"[::1]:10023\" (no host \
             names)",
        ),
        (
            nas(NAMED).replace("bras*", "bras[1"),
            "2:7: coa.nas.nas: 'bras[1' is no pattern of names; write one with * and ?, such as \"*@office.example\"",
        ),
        (
            format!("{}{}", nas(NAMED), nas(NAMED)),
            "8:7: coa.nas.nas: line 2 has the same; change one of them",
        ),
        (
            format!("[coa]\nmax-requests = '50'\n{}", nas(NAMED)),
            "2:16: coa.max-requests: '50' is no number within a time; write such as \"20/1h\"",
        ),
    ] {
        assert_eq!(mistake(&lines), expected);
    }
    let unknown = mistake(&nas("attributes = ['Acct-Session-Id = \"{sesion}\"']"));
    assert!(
        unknown.contains("nothing is known by '{sesion}'; write one of {user}, {subscriber}, "),
        "{unknown}"
    );
}
