//! Cases that order something: what mail servers are told right after, what is left of it after a restart, and what stands in
//! the record.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects by failing loudly, also outside of its #[test] functions"
)]

use serde_json::Value;

use crate::common::asking::{Mail, Policy};
use crate::common::daemon::{Daemon, text};
use crate::common::nas::Status;
use crate::house::printed;

const ALICE: &str = "100.64.0.7";
const BOB: &str = "100.64.0.8";

fn world() -> Daemon {
    let daemon = Daemon::start();
    let mut nas = daemon.nas();
    nas.report(Status::Start, "alice", "s1", ALICE);
    nas.report(Status::Start, "bob", "s2", BOB);
    daemon
}

/// The number of a case that somebody opens.
fn opened(daemon: &Daemon, arguments: &[&str]) -> String {
    let out = printed(&daemon.cli(&[&["cases", "open"], arguments].concat()), 0);
    let number = out.strip_prefix("case ").and_then(|rest| rest.split(':').next());
    number.unwrap_or_else(|| panic!("no number in {out:?}")).to_owned()
}

fn field<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_else(|| panic!("{name} of {row}"))
}

fn history(case: &Value) -> Vec<&str> {
    case["history"].as_array().expect("a list").iter().map(|event| field(event, "what")).collect()
}

#[test]
fn a_suspension_from_a_case_holds_for_the_very_next_recipient_and_so_does_the_release() {
    let mut daemon = world();
    let case = opened(&daemon, &["alice", "--reason", "she called", "--ticket", "T-17"]);
    let mut mta = Policy::connect(daemon.policy);
    let ask = |mta: &mut Policy, client| mta.rcpt(&Mail { client, ..Mail::default() });
    assert_eq!(ask(&mut mta, ALICE), "OK");
    let suspend = ["cases", "suspend", &case, "--reason", "open proxy", "--ticket", "T-17"];
    let out = printed(&daemon.cli(&suspend), 0);
    assert!(out.contains("suspended subscriber alice until released; reference "), "{out}");
    let refused = ask(&mut mta, ALICE);
    let reference = out.trim_end().rsplit(' ').next().expect("a number");
    assert!(
        refused.starts_with("550 5.7.1 ") && refused.contains(&format!("(reference {reference}")),
        "{refused}"
    );
    assert_eq!(ask(&mut mta, BOB), "OK", "nobody else");
    let held = daemon.json(&["suspensions"]).expect("one");
    assert_eq!(
        (field(&held[0], "standing"), held[0]["case"].to_string()),
        ("suspended", case.clone()),
        "{held}"
    );

    for crash in [true, false] {
        match crash {
            true => daemon.crash(),
            false => daemon.terminate(),
        }
        daemon.launch();
        daemon.wait_until_ready();
        assert_eq!(daemon.json(&["suspensions"]), Some(held.clone()), "a start changes no standing");
    }
    let mut mta = Policy::connect(daemon.policy);
    assert!(ask(&mut mta, ALICE).starts_with("550 5.7.1 "));
    // Closing lets nobody go; releasing does, also from a case that is closed.
    daemon.order(&["cases", "close", &case, "--reason", "she cleaned it"]);
    assert!(ask(&mut mta, ALICE).starts_with("550 5.7.1 "));
    let again = daemon.cli(&["cases", "suspend", &case, "--reason", "again"]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again.stderr));
    daemon.order(&["cases", "release", &case, "--reason", "cleaned"]);
    assert_eq!(ask(&mut mta, ALICE), "OK");
    let nothing = daemon.cli(&["cases", "release", &case, "--reason", "again"]);
    assert_eq!(nothing.status.code(), Some(1), "{}", text(&nothing.stderr));
    let row = daemon.json(&["cases", &case]).expect("the case");
    assert_eq!(history(&row), ["opened", "suspended", "closed", "released"]);
    assert_eq!(
        (field(&row["history"][1], "note"), field(&row["history"][1], "ticket")),
        ("open proxy", "T-17")
    );
    assert_eq!(row["in_force"], serde_json::json!([]), "{row}");
}

#[test]
fn a_limited_sender_is_listed_and_not_stopped_and_a_suspension_outranks_the_limit() {
    let daemon = world();
    let mut mta = Policy::connect(daemon.policy);
    let mut ask = || mta.rcpt(&Mail { client: ALICE, ..Mail::default() });
    let until = "2099-01-01T00:00:00Z";
    daemon.order(&["limit", "alice", "--reason", "slow down", "--until", until]);
    assert_eq!(ask(), "OK");
    daemon.order(&["suspend", "alice", "--reason", "open proxy"]);
    daemon.order(&["limit", "alice", "--reason", "slower"]);
    assert!(ask().starts_with("550 5.7.1 "), "whoever limits lets nobody go");
    let rows = daemon.json(&["suspensions"]).expect("two");
    let standing: Vec<_> =
        rows.as_array().expect("a list").iter().map(|row| field(row, "standing")).collect();
    assert_eq!(standing, ["suspended", "limited"], "{rows}");
    daemon.order(&["release", "alice", "--reason", "cleaned"]);
    assert_eq!(ask(), "OK");
    let none = daemon.cli(&["suspensions"]);
    assert_eq!(none.status.code(), Some(1), "{}", text(&none.stdout));
}

#[test]
fn a_case_about_a_login_holds_the_login_and_one_that_may_be_about_several_takes_a_name() {
    let daemon = world();
    let unknown = daemon.cli(&["cases", "open", "sales", "--login", "--reason", "password stolen"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", text(&unknown.stderr));
    let case = opened(&daemon, &["sales", "--login", "--force", "--reason", "password stolen"]);
    daemon.order(&["cases", "suspend", &case, "--reason", "password stolen"]);
    let mut mta = Policy::connect(daemon.policy);
    let mut ask = |login| mta.rcpt(&Mail { client: ALICE, login, ..Mail::default() });
    assert!(ask("sales").starts_with("550 5.7.1 "));
    assert_eq!(ask(""), "OK", "the login, and nobody who has the address");
    let of_login = daemon.json(&["cases", "--login", "sales"]).expect("one");
    assert_eq!(of_login.as_array().map(Vec::len), Some(1), "{of_login}");
    assert_eq!(
        daemon.json(&["cases", "--subscriber", "sales"]),
        None,
        "a subscriber of that name is somebody else"
    );
    let wrong = daemon.cli(&["cases", "suspend", &case, "--subject", "bob", "--reason", "x"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong.stderr));
    assert!(text(&wrong.stderr).contains("not about them"), "{}", text(&wrong.stderr));
    assert_eq!(ask(""), "OK");
    // Whoever looked at it has asked about the login.
    daemon.json(&["cases", &case]).expect("the case");
    let asked = daemon.json(&["audit", "questions", "--about", "sales"]).expect("rows");
    assert!(asked.as_array().is_some_and(|rows| !rows.is_empty()), "{asked}");
}

#[test]
fn a_dismissed_case_is_closed_and_is_found_by_its_kind_and_state() {
    let daemon = world();
    let case = opened(&daemon, &["alice", "--reason", "so many"]);
    daemon.order(&["cases", "note", &case, "--reason", "a club's newsletter"]);
    daemon.order(&["cases", "dismiss", &case, "--reason", "she does that each month"]);
    let rows = daemon.json(&["cases", "--kind", "staff", "--state", "closed"]).expect("one");
    assert_eq!(history(&rows[0]), ["opened", "noted", "dismissed"]);
    assert_eq!(daemon.json(&["cases", "--kind", "signal"]), None);
}
