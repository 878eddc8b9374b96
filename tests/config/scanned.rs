//! A milter and scanners as an operator writes them, and each mistake that can be made with them.

use relaywarden::relay::Profile;
use relaywarden::relay::scanned::Finding;
use relaywarden::relay::scanner::{Rules, Told};

use super::*;

#[test]
fn nobody_is_listened_to_by_milter_unless_it_is_said_and_headers_are_those_of_scanners() {
    let config = config("");
    assert_eq!((config.milter.listeners.listen.len(), config.milter.profile), (0, None));
    assert_eq!(config.scanned, Rules::default());
    let one = self::config("[milter]\nlisten = ['unix:m']\nprofile = 'mx'\nsocket-mode = '0666'\n");
    assert_eq!(one.milter.listeners.listen, [Endpoint::Unix("/etc/relaywarden/m".into())]);
    assert_eq!((one.milter.listeners.mode, one.milter.profile), (Some(0o666), Some(Profile::Mx)));
    let summary = relaywarden::cli::check::Summary(&one).to_string();
    for line in ["milter      unix:/etc/relaywarden/m", "  profile   mx"] {
        assert!(summary.lines().any(|shown| shown == line), "{line} is not in\n{summary}");
    }
}

#[test]
fn one_rule_of_ones_own_takes_the_place_of_all_that_are_built_in() {
    let rules = config(
        "[scanned]\nspam-actions = ['reject']\nvirus-symbols = []\n[[scanned.header]]\nname = 'X-Own'\nspam = ['bad']\n",
    )
    .scanned;
    assert_eq!(rules.names(), [b"x-own".to_vec()]);
    let finding = |action, symbols: &[(&str, &str)]| {
        rules.by_rspamd(&Told { action, score: 9.0, symbols }).map(|found| found.finding)
    };
    assert_eq!(finding("reject", &[]), Some(Finding::Spam));
    assert_eq!(finding("add header", &[("CLAM_VIRUS", "")]), None);
}

#[test]
fn the_page_about_milters_shows_what_is_understood() {
    let page = include_str!("../../docs/milter.md");
    let shown: String = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    // The header's table comes after the one that it is of, as in any file.
    let (header, scanned) = shown.split_once("[scanned]").unwrap();
    let (milter, header) = header.split_once("[[scanned.header]]").unwrap();
    let whole = format!("{milter}[scanned]{scanned}[[scanned.header]]{header}");
    let config = config(&whole);
    assert_eq!(config.scanned.headers.len(), 1);
    assert_eq!(config.milter.listeners.listen.len(), 1);
    let usual = Rules::default();
    assert_eq!(config.scanned.spam_actions, usual.spam_actions);
    assert_eq!(config.scanned.virus_symbols, usual.virus_symbols);
}

#[test]
fn the_page_about_milters_shows_what_is_tried() {
    let page = include_str!("../../docs/milter.md");
    for tried in [
        include_str!("../../examples/postfix/verdicts.main.cf"),
        include_str!("../../examples/sendmail/relaywarden.mc"),
    ] {
        for line in tried
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with(['#']) && !line.starts_with("dnl "))
        {
            assert!(page.lines().any(|shown| shown == line), "{line}");
        }
    }
}

#[test]
fn each_mistake_about_milters_and_scanners_is_named() {
    for (text, expected) in [
        (
            "[milter]\nprofile = 'inbound'\n",
            "2:11: milter.profile: 'inbound' is unknown; write one of: \"relay\", \"submission\", \"mx\"",
        ),
        (
            "[milter]\nlisten = ['127.0.0.1:10024']\n",
            "2:11: milter.listen: policy.listen has this place already; choose another address, port or path",
        ),
        ("[[scanned.header]]\nspam = ['yes']\n", "1:1: scanned.header: 'name' is missing; add it"),
        ("[[scanned.header]]\nname = 'X-A'\n", "1:1: scanned.header: 'spam' is missing; add it"),
        (
            "[[scanned.header]]\nname = 'X A'\nspam = ['yes']\n",
            "2:8: scanned.header.name: 'X A' is no header's name; write letters, digits and hyphens, such as \
             \"X-Subscriber-Token\"",
        ),
        (
            "[[scanned.header]]\nname = 'X-A'\nspam = ['yes']\nposition = 'top'\n",
            "4:12: scanned.header.position: 'top' is unknown; write one of: \"any\", \"first\", \"last\"",
        ),
        (
            "[[scanned.header]]\nname = 'X-A'\nspam-score = 1e9\n",
            "3:14: scanned.header.spam-score: is out of range; write a number from -1000000 to 1000000",
        ),
        (
            "[[scanned.header]]\nname = 'X-A'\nspam-score = nan\n",
            "3:14: scanned.header.spam-score: is out of range; write a number from -1000000 to 1000000",
        ),
    ] {
        assert_eq!(mistake(text), expected);
    }
    assert!(mistake("[scanned]\nspam-actions = ['']\n").starts_with("2:17: scanned.spam-actions: "));
}
