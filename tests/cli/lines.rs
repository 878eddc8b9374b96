//! `who -`: lines on standard input, each answered in its turn.

use serde_json::Value;

use crate::fake::{Answers, Daemon};

const LINES: &str = "\
Nov 23 14:20:00 mx1 postfix/smtpd[7]: 4bX: client=dsl7.isp.example[198.51.100.7]:40112

nothing at all
2026-10-25 02:30:00 mx1 postfix/smtpd[7]: connect from unknown[198.51.100.7]
198.51.100.7 or 198.51.100.9 at 2026-11-23 14:20
198.51.100.7
";

fn rows(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).expect("an object in each line")).collect()
}

#[test]
fn each_line_is_answered_in_its_turn_with_what_was_understood_of_it() {
    let daemon = Daemon::start(Answers::full());
    let zone = ["who", "-", "--tz", "Europe/Berlin", "--purpose", "ticket 7"];
    let run = daemon.run_fed(&[zone.as_slice(), &["-o", "ndjson"]].concat(), LINES.as_bytes());
    assert_eq!((run.exit, run.err.as_str()), (0, ""), "{run:?}");
    let rows = rows(&run.out);
    let lines: Vec<_> = rows.iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [1, 3, 4, 5, 6], "blank lines are passed over and counted");
    let said = |row: &Value| row["remark"].as_str().unwrap_or_default().to_owned();
    assert_eq!((&rows[0]["address"], &rows[0]["port"]), (&"198.51.100.7".into(), &40112.into()));
    assert!(rows[0]["at"].as_str().unwrap().ends_with("-11-23T13:20:00.000Z"), "{}", rows[0]);
    assert_eq!(rows[0]["answer"]["confidence"], "until-last-interim");
    assert_eq!(
        (said(&rows[1]).as_str(), &rows[1]["answer"]),
        ("no address found in this line", &Value::Null)
    );
    assert!(said(&rows[2]).contains("twice") && rows[2]["answer"].is_null(), "{}", rows[2]);
    assert_eq!(rows[3]["addresses"], serde_json::json!(["198.51.100.7", "198.51.100.9"]));
    assert!(said(&rows[4]).contains("as of now"), "{}", rows[4]);
    assert_eq!(rows[4]["answer"]["subscriber"], "alice@isp.example");
    let asked = daemon.answers.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2, "what was not asked about is not recorded: {asked:?}");
    assert!(asked[0].contains("/v1/owner?") && asked[0].contains("purpose=ticket%207"), "{asked:?}");
}

#[test]
fn one_row_per_line_in_every_format_and_nothing_that_could_act() {
    let daemon = Daemon::start(Answers::full());
    let hostile = "\u{1b}[2J=cmd() 198.51.100.7\r\nfrom=<\u{202e}@x> 198.51.100.7 port 7\n\u{ff}\u{0}\n";
    for (format, lines) in [("table", 4), ("csv", 4), ("ndjson", 3)] {
        let run = daemon.run_fed(&["who", "-", "-o", format], hostile.as_bytes());
        assert_eq!((run.exit, run.out.lines().count()), (0, lines), "{run:?}");
        assert!(!run.out.contains(['\u{1b}', '\u{202e}', '\r', '\u{0}']), "{run:?}");
    }
    let run = daemon.run_fed(&["who", "-", "-o", "json"], hostile.as_bytes());
    assert_eq!(serde_json::from_str::<Value>(&run.out).unwrap().as_array().unwrap().len(), 3);
}

#[test]
fn lines_in_which_nobody_is_found_are_1() {
    let daemon = Daemon::start(Answers::full());
    for input in
        ["", "\n \n", "nothing\n", "198.51.100.200\n", "2026-10-25 02:30:00 x client=[198.51.100.7]\n"]
    {
        let run = daemon.run_fed(&["who", "-", "--tz", "Europe/Berlin"], input.as_bytes());
        assert_eq!(run.exit, 1, "{input:?} {run:?}");
    }
    let run = daemon.run_fed(&["who", "-", "--at", "2026-11-23T14:00:00Z", "--port", "9"], b"198.51.100.7\n");
    assert_eq!(run.exit, 0, "{run:?}");
    assert!(daemon.answers.asked.lock().unwrap().last().unwrap().contains("port=9&at=2026-11-23T14%3A00"));
}

#[test]
fn more_lines_than_are_answered_at_once_are_2() {
    let daemon = Daemon::start(Answers::full());
    let run = daemon.run_fed(&["who", "-"], "x\n".repeat(10_001).as_bytes());
    assert_eq!((run.exit, run.out.as_str()), (2, ""), "{}", run.err);
    assert!(run.err.contains("more than 10000 lines"), "{}", run.err);
    assert_eq!(daemon.run_fed(&["who", "-"], "x\n".repeat(10_000).as_bytes()).exit, 1);
}
