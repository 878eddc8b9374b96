//! Rows and what becomes of them, by client, by age, by what they lack.

use super::*;
use crate::access::{Asker, Role, Via};
use crate::config::{AttributePath, Coa, Http, Identity, Listeners, Policy, Radius, Relay, Room, Secret};
use crate::radius::dictionary::Dictionary;
use crate::radius::text;
use crate::session::event::{Kind, Rules as SessionRules};
use crate::session::identity::Canonical;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const HOUR: u64 = 3600;
const START: &str =
    "Acct-Status-Type = Start\nAcct-Session-Id = s1\nUser-Name = Alice\nFramed-IP-Address = 100.64.0.7";

fn client(name: &str, address: &str) -> Client {
    let client = Client::new(Name::from(name), address.parse().unwrap(), Secret::new(b"testing123"));
    Client { may_assign: vec!["100.64.0.0/10".parse().unwrap()], ..client }
}

fn config() -> Config {
    let proxy = Client { nas: NasIdentity::Attributes, ..client("radius1", "192.0.2.100/32") };
    let one = Client { nas: NasIdentity::Client, ..client("cluster", "203.0.113.0/28") };
    let clients = vec![client("bras1", "192.0.2.1/32"), proxy, client("brases", "198.51.100.0/24"), one];
    Config {
        retention: crate::config::Retention::of_all(Duration::from_secs(180 * 86_400)),
        trend: crate::relay::trend::Thresholds::default(),
        require_purpose: false,
        room: Room::default(),
        case_rules: Default::default(),
        dnsbl: None,
        milter: Default::default(),
        scanned: Default::default(),
        coa: Coa::default(),
        logins: Default::default(),
        notices: Vec::new(),
        data_dir: "/nonexistent".into(),
        radius: Radius { clients, ..Radius::default() },
        identity: Identity::new(
            vec![AttributePath::standard(1)],
            Canonical { lowercase: true, ..Canonical::default() },
        ),
        many_sessions: 0,
        limits: Vec::new(),
        translations: Vec::new(),
        prefixes: Vec::new(),
        rules: SessionRules::default(),
        relay: Relay {
            observe: false,
            permit_unrecorded: false,
            never: vec!["100.64.0.250/32".parse().unwrap()],
            statics: Vec::new(),
            permit_authenticated: false,
            within: Vec::new(),
        },
        mtas: Vec::new(),
        socketmap: Listeners::default(),
        policy: Policy::default(),
        http: Http::default(),
    }
}

fn before(seconds: u64) -> Timestamp {
    NOW.minus(Duration::from_secs(seconds))
}

fn said(lines: &str, at: Timestamp) -> ImportRecord {
    let octets = text::parse_attributes(lines, Dictionary::builtin()).unwrap();
    let attributes = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    ImportRecord { at: rfc3339(at).unwrap(), dated: true, attributes }
}

fn row(nas: &str, records: Vec<ImportRecord>) -> ImportRow {
    ImportRow { line: 7, nas: nas.parse().ok(), records }
}

fn chunk(client: Option<&str>, as_of: Timestamp, rows: Vec<ImportRow>) -> Chunk {
    Chunk {
        by: Asker { name: Name::from("root"), role: Role::Operator, via: Via::Socket, scopes: Vec::new() },
        file: Name::from("radacct.csv"),
        as_of,
        client: client.map(Name::from),
        dry_run: false,
        rows,
    }
}

/// What becomes of one row of a file that tells of `as_of`.
fn judged(client: Option<&str>, as_of: Timestamp, row: ImportRow) -> (Fate, String, Vec<Record>) {
    let Judged { records, mut rows } = judge(&chunk(client, as_of, vec![row]), &config(), NOW).unwrap();
    let Outcome { line, outcome, reason } = rows.remove(0);
    assert_eq!(line, 7);
    (outcome, reason.unwrap_or_default(), records)
}

fn plainly(nas: &str, lines: &str, at: Timestamp) -> (Fate, String, Vec<Record>) {
    judged(None, NOW, row(nas, vec![said(lines, at)]))
}

#[test]
fn a_row_is_read_by_the_rules_for_packets() {
    let (fate, reason, records) = plainly("192.0.2.1", START, before(60));
    assert_eq!((fate, reason.as_str(), records.len()), (Fate::Accepted, "", 1));
    let record = &records[0];
    assert_eq!(
        (record.kind, &record.nas, &record.client),
        (Kind::Start, &Name::from("bras1"), &Name::from("bras1"))
    );
    assert_eq!(record.subscriber, Some(Name::from("alice")));
    assert_eq!((record.event, record.arrival, record.dated), (before(60), before(60), true));
    assert_eq!(record.claims[0].prefix, "100.64.0.7/32".parse().unwrap());
}

#[test]
fn a_prefix_that_may_not_be_is_dropped_and_told() {
    for (address, dropped) in
        [("100.64.0.7", false), ("203.0.113.7", true), ("100.64.0.250", true), ("0.0.0.0", false)]
    {
        let lines = START.replace("100.64.0.7", address);
        let (fate, reason, records) = plainly("192.0.2.1", &lines, before(60));
        assert_eq!((fate, records.len()), (Fate::Accepted, 1), "{address}");
        let told = "left out what bras1 may not assign: 1 of its addresses and prefixes";
        assert_eq!(reason, if dropped { told } else { "" }, "{address}");
    }
}

#[test]
fn a_row_is_of_the_client_that_has_its_nas_or_of_the_one_that_is_named() {
    let nas = |client: Option<&str>, nas: &str, more: &str| {
        let row = row(nas, vec![said(&format!("{START}\n{more}"), before(60))]);
        let (fate, reason, records) = judged(client, NOW, row);
        records.first().map_or_else(|| format!("{}: {reason}", fate.word()), |record| record.nas.to_string())
    };
    assert_eq!(nas(None, "192.0.2.1", ""), "bras1");
    assert_eq!(nas(None, "198.51.100.9", ""), "brases/198.51.100.9");
    assert_eq!(nas(None, "203.0.113.5", ""), "cluster");
    assert_eq!(nas(Some("cluster"), "", ""), "cluster");
    assert_eq!(nas(Some("bras1"), "10.0.0.1", ""), "bras1", "a single host is its name");
    assert_eq!(nas(Some("radius1"), "10.0.0.1", "NAS-IP-Address = 10.0.0.1"), "radius1/10.0.0.1");
    assert_eq!(nas(Some("radius1"), "10.0.0.1", "NAS-Identifier = bras7"), "radius1/bras7");
    assert_eq!(nas(Some("radius1"), "10.0.0.1", ""), "radius1/10.0.0.1", "where the server had it from");
    assert_eq!(
        nas(None, "10.0.0.1", ""),
        "rejected: no [[radius.client]] has 10.0.0.1; say whose records they are with --client"
    );
    assert_eq!(
        nas(None, "", ""),
        "rejected: does not tell its NAS; say whose records they are with --client"
    );
    assert_eq!(
        nas(Some("brases"), "10.0.0.1", ""),
        "rejected: 10.0.0.1 is no address of the client that was named"
    );
    assert_eq!(
        nas(Some("brases"), "", ""),
        "rejected: does not tell its NAS; say whose records they are with --client"
    );
    let unknown = chunk(Some("bras9"), NOW, Vec::new());
    assert_eq!(judge(&unknown, &config(), NOW), Err(NoSuchClient));
}

#[test]
fn an_hour_is_fresh_and_a_second_more_is_history() {
    for (age, fate, arrival) in [(HOUR, Fate::Accepted, before(HOUR)), (HOUR + 1, Fate::History, NOW)] {
        let (became, _, records) = plainly("192.0.2.1", START, before(age));
        assert_eq!((became, records[0].arrival), (fate, arrival), "{age}");
    }
}

#[test]
fn a_row_is_as_fresh_as_its_last_word() {
    let interim = START.replace("Start", "Interim-Update");
    let records = vec![said(START, before(5 * HOUR)), said(&interim, before(60))];
    let (fate, _, records) = judged(None, NOW, row("192.0.2.1", records));
    assert_eq!(fate, Fate::Accepted);
    assert_eq!(
        [records[0].arrival, records[1].arrival],
        [NOW, before(60)],
        "the Start is history all the same"
    );
}

#[test]
fn a_file_of_an_hour_ago_counts_as_of_then_and_an_older_one_is_history() {
    for (age, fate, arrival) in [(HOUR, Fate::Accepted, before(HOUR + 60)), (HOUR + 1, Fate::History, NOW)] {
        let row = row("192.0.2.1", vec![said(START, before(age + 60))]);
        let (became, _, records) = judged(None, before(age), row);
        assert_eq!((became, records[0].arrival), (fate, arrival), "{age}");
    }
}

#[test]
fn five_minutes_after_the_file_is_a_matter_of_clocks_and_a_second_more_of_zones() {
    let told = |ahead: u64| {
        let at = before(600).plus(Duration::from_secs(ahead));
        judged(None, before(600), row("192.0.2.1", vec![said(START, at)]))
    };
    let (fate, _, records) = told(300);
    assert_eq!(
        (fate, records[0].event),
        (Fate::Accepted, before(600)),
        "nothing happened after it was written"
    );
    let (fate, reason, records) = told(301);
    assert_eq!((fate, records.len()), (Fate::Rejected, 0));
    assert!(reason.contains("are --tz and --as-of right?"), "{reason}");
}

#[test]
fn a_delay_happened_before_the_server_had_it() {
    let (_, _, records) = plainly("192.0.2.1", &format!("{START}\nAcct-Delay-Time = 30"), before(60));
    assert_eq!((records[0].event, records[0].arrival), (before(90), before(60)));
}

#[test]
fn what_concerns_no_session_is_ignored_and_what_is_no_packet_rejected() {
    let ignored = |lines: &str| plainly("192.0.2.1", lines, before(60));
    for lines in
        ["Acct-Status-Type = 9\nAcct-Session-Id = s1", "Acct-Status-Type = Start", "Acct-Session-Id = s1"]
    {
        let (fate, reason, records) = ignored(lines);
        assert_eq!((fate, records.len()), (Fate::Ignored, 0), "{lines}");
        assert!(!reason.is_empty());
    }
    let with = |change: fn(&mut ImportRecord)| {
        let mut record = said(START, before(60));
        change(&mut record);
        let (fate, reason, records) = judged(None, NOW, row("192.0.2.1", vec![record]));
        assert_eq!((fate, records.len()), (Fate::Rejected, 0));
        reason
    };
    assert_eq!(with(|record| record.at = "2026-11-23 14:00".to_owned()), "its moment is not RFC 3339");
    assert_eq!(with(|record| record.attributes.push('0')), "its attributes are no hex digits");
    assert_eq!(with(|record| record.attributes.push_str("+1")), "its attributes are no hex digits");
    assert_eq!(with(|record| record.attributes.push_str("0101")), "attribute 1 has a length below 2");
    assert_eq!(with(|record| record.attributes.push_str("0109")), "attribute 1 reaches beyond the packet");
}

#[test]
fn a_packet_of_4096_octets_is_read_and_a_longer_one_is_not() {
    let padded = |octets: usize| {
        let mut record = said("Acct-Status-Type = Start\nAcct-Session-Id = s", before(60));
        let mut left = octets - record.attributes.len() / 2;
        while left > 0 {
            let length = if left > 255 + 2 { 255 } else { left.min(250) };
            record.attributes.push_str(&format!("19{length:02x}{}", "00".repeat(length - 2)));
            left -= length;
        }
        judged(None, NOW, row("192.0.2.1", vec![record])).1
    };
    assert_eq!(padded(4076), "");
    assert_eq!(padded(4077), "more attributes than a packet can carry");
}

#[test]
fn a_row_has_one_to_four_records_and_all_of_them_count_or_none() {
    let records = |count: usize| vec![said(START, before(60)); count];
    for (count, fate) in [(0, Fate::Rejected), (1, Fate::Accepted), (4, Fate::Accepted), (5, Fate::Rejected)]
    {
        assert_eq!(judged(None, NOW, row("192.0.2.1", records(count))).0, fate, "{count}");
    }
    let mixed = vec![said(START, before(60)), said("Acct-Status-Type = 9\nAcct-Session-Id = s1", before(60))];
    let (fate, _, kept) = judged(None, NOW, row("192.0.2.1", mixed));
    assert_eq!((fate, kept.len()), (Fate::Ignored, 0));
}

#[test]
fn a_chunk_is_written_down_with_its_file_its_lines_and_its_moment() {
    let mut chunk = chunk(Some("bras1"), before(60), vec![row("", Vec::new()), row("", Vec::new())]);
    chunk.rows[1].line = 1006;
    let text = "/v1/import?file=radacct.csv&client=bras1&as_of=2027-01-15T07:59:00.000Z&lines=7-1006";
    assert_eq!(spelled(&chunk), Name::from(text));
}
