//! Rules that act alone: what is only watched, what is in force, and the brake after which a human is called.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects by failing loudly, also outside of its #[test] functions"
)]

use serde_json::Value;

use crate::common::asking::{Mail, Policy};
use crate::common::daemon::Daemon;
use crate::common::eventually;
use crate::complaints::{Report, field, taken, world};
use crate::house::{edit, metric, printed, reload};

const ALICE: &str = "100.64.0.7";
const BOB: &str = "100.64.0.8";

/// A complaint about the message in this row; the number of its case.
fn complain(daemon: &Daemon, reporter: &str, message: &Value) -> String {
    let (token, at) = (field(message, "token"), field(message, "at"));
    let report = Report { reporter, source: "", token, queue_id: "", client: ALICE, at };
    taken(daemon, &report.text())["case"].to_string()
}

/// The history of a case once it has this in it.
fn history(daemon: &Daemon, case: &str, what: &str) -> Vec<Value> {
    eventually(&format!("case {case} to have {what}"), || {
        let case = daemon.json(&["cases", case])?;
        let history = case["history"].as_array()?.clone();
        history.iter().any(|event| event["what"] == what).then_some(history)
    })
}

fn rcpt(daemon: &Daemon, client: &str) -> String {
    Policy::connect(daemon.policy).rcpt(&Mail { client, ..Mail::default() })
}

#[test]
fn a_rule_is_watched_first_and_then_acts_once_on_what_is_new() {
    let (mut daemon, _, alice, _) = world();
    let first = complain(&daemon, "a@example.org", &alice);
    let rule = "[[rule]]\nname = \"spam\"\nwhen = \"complaints >= 2/24h\"\nthen = \"suspend 24h\"\n[http]\n";
    edit(&daemon, "[http]\n", rule);
    assert!(reload(&daemon).contains("read again"));
    let second = complain(&daemon, "b@example.org", &alice);
    let watched = history(&daemon, &second, "observed");
    let [_, event] = &watched[..] else { panic!("{watched:?}") };
    assert_eq!(
        (field(event, "by"), field(event, "order"), field(event, "subject")),
        ("rule:spam", "suspend", "alice")
    );
    assert_eq!(field(event, "note"), "2 complaints about alice");
    assert_eq!(rcpt(&daemon, ALICE), "OK", "it only says so");
    let would = daemon.json(&["rules", "--dry-run", "spam"]).expect("one case");
    assert_eq!(would.as_array().map(Vec::len), Some(1), "{would}");
    assert_eq!((would[0]["case"].to_string(), field(&would[0], "what")), (second.clone(), "suspended"));

    edit(&daemon, "suspend 24h\"\n", "suspend 24h\"\nmode = \"enforce\"\n");
    assert!(reload(&daemon).contains("read again"));
    let third = complain(&daemon, "c@example.org", &alice);
    let acted = history(&daemon, &third, "suspended");
    assert_eq!((field(&acted[1], "by"), field(&acted[1], "note")), ("rule:spam", "3 complaints about alice"));
    let refused = rcpt(&daemon, ALICE);
    assert!(
        refused.starts_with("550 5.7.1 ") && refused.contains(&acted[1]["reference"].to_string()),
        "{refused}"
    );
    assert_eq!(rcpt(&daemon, BOB), "OK");
    let held = daemon.json(&["suspensions"]).expect("one");
    assert_eq!((held[0]["case"].to_string(), field(&held[0], "by")), (third.clone(), "rule:spam"));

    // A human lets her go: the rule has had its say about these cases, also after a restart.
    daemon.order(&["cases", "release", &third, "--reason", "she called"]);
    daemon.restart();
    let fourth = complain(&daemon, "d@example.org", &alice);
    history(&daemon, &fourth, "suspended");
    for (case, length) in [(&first, 1), (&second, 2), (&third, 3)] {
        let row = daemon.json(&["cases", case]).expect("the case");
        assert_eq!(row["history"].as_array().map(Vec::len), Some(length), "{row}");
    }
    let rules = daemon.json(&["rules"]).expect("one");
    assert_eq!((field(&rules[0], "mode"), &rules[0]["cases"]), ("enforce", &3.into()), "{rules}");
}

#[test]
fn after_so_many_orders_a_human_is_called_and_nothing_is_done() {
    let (mut daemon, _, alice, bob) = world();
    let rules = "[rules]\nmax-actions = \"1/1h\"\n[[rule]]\nname = \"spam\"\nwhen = \"complaints >= 1\"\n\
                 then = \"limit 24h\"\nmode = \"enforce\"\n[http]\n";
    edit(&daemon, "[http]\n", rules);
    // What lay there before a rule was written is nothing new, and a restart does not make it so.
    daemon.restart();
    let one = complain(&daemon, "a@example.org", &alice);
    history(&daemon, &one, "limited");
    daemon.restart();
    let other = complain(&daemon, "b@example.org", &bob);
    let called = history(&daemon, &other, "called");
    assert_eq!((field(&called[1], "order"), field(&called[1], "subject")), ("limit", "bob"));
    let held = printed(&daemon.cli(&["suspensions"]), 0);
    assert!(held.contains("alice") && !held.contains("bob"), "{held}");
    eventually("the log to say so", || {
        daemon.log_text().contains("somebody must look at this case").then_some(())
    });
    assert_eq!(metric(&daemon, "relaywarden_rule_actions_total{outcome=\"called\"}"), 1);
}
