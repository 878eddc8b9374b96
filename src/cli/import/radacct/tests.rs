//! Rows and what they say, in stories and in pairs.

use super::*;
use crate::cli::import::table::Form;
use crate::cli::time;
use jiff::tz::TimeZone;

/// Central European Time by its rule, so that the tests need no zone files.
fn berlin() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn columns(heading: &str) -> Result<Columns, HeadFault> {
    let fields = Form::of(heading.as_bytes()).split(heading.as_bytes()).unwrap();
    Columns::of(&fields.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>())
}

fn read(heading: &str, line: &str) -> Result<ImportRow, RowFault> {
    let fields = Form::of(heading.as_bytes()).split(line.as_bytes()).unwrap();
    let zone = berlin();
    columns(heading).unwrap().row(7, &fields, &|text: &str| time::written(text, &zone))
}

/// What a row says: each record's moment, and its attributes as lines.
fn says(heading: &str, line: &str) -> Vec<(String, String)> {
    let row = read(heading, line).unwrap();
    assert_eq!(row.line, 7);
    row.records.into_iter().map(|record| (record.at, record.attributes)).collect()
}

fn attributes(lines: &str) -> String {
    crate::cli::import::hex(&text::parse_attributes(lines, Dictionary::builtin()).unwrap())
}

const SHORT: &str = "acctsessionid,acctstarttime,acctupdatetime,acctstoptime,acctsessiontime";

/// Moments and statuses of a row under `SHORT`, whose session is "s".
fn short(line: &str) -> Vec<String> {
    let shown = |(at, told): (String, String)| {
        let minutes = at.strip_prefix("2026-11-23T").unwrap().strip_suffix(".000Z").unwrap().to_owned();
        for status in ["Start", "Interim-Update", "Stop"] {
            for lasted in [None, Some(0), Some(1), Some(1800), Some(3600), Some(3000)] {
                let mut lines = format!("Acct-Session-Id = s\nAcct-Status-Type = {status}\n");
                lasted.iter().for_each(|seconds| lines.push_str(&format!("Acct-Session-Time = {seconds}\n")));
                if attributes(&lines) == told {
                    let lasted = lasted.map(|seconds| format!(" after {seconds}")).unwrap_or_default();
                    return format!("{status} {minutes}{lasted}");
                }
            }
        }
        panic!("{told} is none of those");
    };
    says(SHORT, line).into_iter().map(shown).collect()
}

#[test]
fn an_open_row_of_psql_says_a_start_and_an_interim_update() {
    let heading = "radacctid,acctsessionid,acctuniqueid,username,realm,nasipaddress,nasportid,acctstarttime,\
                   acctupdatetime,acctstoptime,acctinterval,acctsessiontime,callingstationid,calledstationid,\
                   acctterminatecause,framedipaddress,framedipv6prefix,framedipv6address,framedinterfaceid,\
                   delegatedipv6prefix,class";
    let line = "4711,81a09556,f00,\"alice, home\",isp.example,192.0.2.1,eth 0/1:7,2026-11-23 14:00:00+01,\
                2026-11-23 14:30:00+01,,600,1800,00:1d:60:d7:68:79,isp,,100.64.0.7,2001:db8:1::/64,\
                2001:db8:2::7/128,::7,2001:db8:f00::/56,0x6162";
    let common = "Acct-Session-Id = \"81a09556\"\nUser-Name = \"alice, home\"\nNAS-IP-Address = 192.0.2.1\n\
                  NAS-Port-Id = \"eth 0/1:7\"\nCalling-Station-Id = \"00:1d:60:d7:68:79\"\n\
                  Called-Station-Id = \"isp\"\nFramed-IP-Address = 100.64.0.7\n\
                  Framed-IPv6-Prefix = 2001:db8:1::/64\nFramed-IPv6-Address = 2001:db8:2::7\n\
                  Delegated-IPv6-Prefix = 2001:db8:f00::/56\nClass = 0x6162\n";
    let interim = format!("{common}Acct-Status-Type = Interim-Update\nAcct-Session-Time = 1800");
    assert_eq!(
        says(heading, line),
        [
            ("2026-11-23T13:00:00.000Z".to_owned(), attributes(&format!("{common}Acct-Status-Type = Start"))),
            ("2026-11-23T13:30:00.000Z".to_owned(), attributes(&interim)),
        ]
    );
    assert_eq!(read(heading, line).unwrap().nas, Some("192.0.2.1".parse().unwrap()));
}

#[test]
fn a_closed_row_of_mysql_says_a_start_and_a_stop() {
    let heading = "acctstoptime\tacctsessionid\tusername\tacctstarttime\tacctterminatecause\tframedipaddress\tclass\tnasipaddress";
    let line =
        "2026-11-23 14:30:00\ts\tal\\tice\t2026-11-23 14:00:00\tUser-Request\t100.64.0.7\tNULL\t2001:db8::1";
    let common = "Acct-Session-Id = s\nUser-Name = \"al\\tice\"\nFramed-IP-Address = 100.64.0.7\n\
                  NAS-IPv6-Address = 2001:db8::1\n";
    let stop = format!("{common}Acct-Status-Type = Stop\nAcct-Session-Time = 1800\nAcct-Terminate-Cause = 1");
    assert_eq!(
        says(heading, line),
        [
            ("2026-11-23T13:00:00.000Z".to_owned(), attributes(&format!("{common}Acct-Status-Type = Start"))),
            ("2026-11-23T13:30:00.000Z".to_owned(), attributes(&stop)),
        ]
    );
}

#[test]
fn what_a_row_does_not_tell_is_made_of_what_it_does() {
    // Never updated: alive when it began.
    assert_eq!(short("s,2026-11-23 14:00:00,,,"), ["Start 13:00:00", "Interim-Update 13:00:00 after 0"]);
    // The Start was lost.
    assert_eq!(short("s,,2026-11-23 14:00:00,,1800"), ["Interim-Update 13:00:00 after 1800"]);
    assert_eq!(short("s,,2026-11-23 14:00:00,,"), ["Interim-Update 13:00:00"]);
    assert_eq!(short("s,,,2026-11-23 14:00:00,1800"), ["Stop 13:00:00 after 1800"]);
    // MySQL's "never".
    assert_eq!(
        short("s,2026-11-23 14:00:00,0000-00-00 00:00:00,0000-00-00 00:00:00,0"),
        ["Start 13:00:00", "Interim-Update 13:00:00 after 0"]
    );
    // Updated before it began: the beginning was corrected later.
    assert_eq!(
        short("s,2026-11-23 14:00:00,2026-11-23 13:00:00,,"),
        ["Start 13:00:00", "Interim-Update 13:00:00 after 0"]
    );
    assert_eq!(read(SHORT, "s,,,,1800"), Err(RowFault::NoTime));
    assert_eq!(read(SHORT, ",2026-11-23 14:00:00,,,"), Err(RowFault::NoSessionId));
}

#[test]
fn the_rows_times_count_unless_the_nas_counted_a_minute_more_or_less() {
    let row =
        |seconds: &str| short(&format!("s,2026-11-23 14:00:00,2026-11-23 15:00:00,,{seconds}")).remove(1);
    for agrees in ["", "0", "3600", "3540", "3660"] {
        assert_eq!(row(agrees), "Interim-Update 14:00:00 after 3600", "{agrees}");
    }
    assert_eq!(row("3000"), "Interim-Update 14:00:00 after 3000");
    let counted = |seconds: &str| {
        let line = format!("s,2026-11-23 14:00:00,2026-11-23 15:00:00,,{seconds}");
        says(SHORT, &line).remove(1).1
    };
    assert_ne!(counted("3539"), counted("3540"));
    assert_ne!(counted("3661"), counted("3660"));
}

#[test]
fn an_end_a_minute_before_the_beginning_is_a_matter_of_clocks_and_a_second_more_is_not() {
    let stopped = |stop: &str| read(SHORT, &format!("s,2026-11-23 14:01:00,,2026-11-23 {stop},"));
    assert_eq!(
        short("s,2026-11-23 14:01:00,,2026-11-23 14:00:00,"),
        ["Start 13:00:00", "Stop 13:00:00 after 0"]
    );
    assert_eq!(stopped("13:59:59"), Err(RowFault::Backwards));
}

#[test]
fn a_moment_that_was_there_twice_or_is_none_is_named_with_its_column() {
    let fault = |line: &str| read(SHORT, line).unwrap_err().to_string();
    assert_eq!(
        fault("s,2026-10-25 02:30:00,,,"),
        "acctstarttime: the clocks were set back, so this hour was there twice; say 2026-10-25T02:30:00+02:00 or \
         2026-10-25T02:30:00+01:00"
    );
    assert!(fault("s,2026-03-29 02:30:00,,,").starts_with("acctstarttime: the clocks were set forward"));
    assert!(fault("s,2026-11-23 14:00:00,,yesterday,").starts_with("acctstoptime: not a moment; write"));
    assert!(fault("s,2026-11-23 14:00:00,x,,").starts_with("acctupdatetime: not a moment; write"));
    assert_eq!(fault("s,2026-11-23 14:00:00,,,-5"), "acctsessiontime: not a number of seconds");
    assert_eq!(fault("s,2026-11-23 14:00:00"), "2 fields, where there are 5 columns");
    assert!(read(SHORT, "s,2026-10-25 02:30:00+02,,,").is_ok());
}

#[test]
fn an_address_that_is_none_is_named_and_one_that_says_nothing_yet_is_told_as_it_is() {
    let heading = "acctsessionid,acctstarttime,acctstoptime,framedipaddress,framedipv6prefix,nasipaddress";
    let row = |more: &str| read(heading, &format!("s,2026-11-23 14:00:00,,{more}"));
    for fine in
        ["0.0.0.0,,", "100.64.0.7/24,2001:db8::/64,", ",2001:db8::7,", ",2001:db8::7/64,192.0.2.1", ",,"]
    {
        assert!(row(fine).is_ok(), "{fine}");
    }
    // Host bits would make the prefix one that the decoder leaves out.
    assert_eq!(row(",2001:db8::7/64,"), row(",2001:db8::/64,"));
    for (bad, attribute) in [
        ("100.64.0,,", "Framed-IP-Address"),
        ("100.64.0.7/33,,", "Framed-IP-Address"),
        ("2001:db8::7,,", "Framed-IP-Address"),
        (",100.64.0.0/24,", "Framed-IPv6-Prefix"),
        (",2001:db8::/129,", "Framed-IPv6-Prefix"),
        (",,bras1", "nasipaddress"),
    ] {
        let fault = row(bad).unwrap_err().to_string();
        assert_eq!(fault, format!("{attribute}: not an address or prefix of its kind"), "{bad}");
    }
}

#[test]
fn octets_that_are_no_text_reach_the_daemon_as_they_are() {
    let fields =
        [Some(b"caf\xe9\"\\\n\x01".to_vec()), Some(b"s".to_vec()), Some(b"1795435200".to_vec()), None];
    let heading = ["username", "acctsessionid", "acctstarttime", "acctstoptime"].map(|name| name.into());
    let row = Columns::of(&heading).unwrap().row(1, &fields, &|text| time::written(text, &berlin())).unwrap();
    // User-Name, its length, and eight octets.
    assert!(row.records[0].attributes.starts_with("010a636166e9225c0a01"), "{}", row.records[0].attributes);
}

#[test]
fn a_name_of_253_octets_fits_and_a_longer_one_is_named() {
    let row = |octets: usize| {
        let line = format!("s,1795435200,,{}", "a".repeat(octets));
        read("acctsessionid,acctstarttime,acctstoptime,username", &line)
    };
    assert!(row(253).is_ok());
    assert_eq!(row(254).unwrap_err().to_string(), "User-Name: too long");
}

#[test]
fn a_column_with_the_name_of_an_attribute_is_that_attribute() {
    let heading = "acctsessionid,acctstarttime,acctstoptime,Framed-Route,ADSL-Agent-Circuit-Id,Event-Timestamp,groupname,8";
    let line = "s,1795435200,,198.51.100.8/29 0.0.0.0 1,0x0004000f0002,1,dsl,9";
    let lines = "Acct-Session-Id = s\nFramed-Route = \"198.51.100.8/29 0.0.0.0 1\"\n\
                 ADSL-Agent-Circuit-Id = 0x0004000f0002\nAcct-Status-Type = Start";
    assert_eq!(says(heading, line)[0].1, attributes(lines));
}

#[test]
fn a_heading_lacks_nothing_and_says_nothing_twice() {
    let fault = |heading: &str| columns(heading).unwrap_err().to_string();
    assert!(columns("AcctSessionId,AcctStartTime,AcctStopTime").is_ok());
    assert!(columns("Acct-Session-Id;acct_start_time;acctstoptime").is_ok());
    for missing in NEEDED {
        let others: Vec<_> = NEEDED.into_iter().filter(|needed| *needed != missing).collect();
        assert!(fault(&others.join(",")).starts_with(&format!("has no column {missing};")));
    }
    assert_eq!(
        fault("acctsessionid,acctstarttime,acctstoptime,username,User-Name"),
        "has the column User-Name twice"
    );
}

#[test]
fn a_cause_that_is_unknown_costs_nothing() {
    let row = |cause: &str| {
        let heading = "acctsessionid,acctstarttime,acctstoptime,acctterminatecause";
        read(heading, &format!("s,1795435200,1795435201,{cause}")).unwrap().records.remove(1).attributes
    };
    assert_eq!(row("User-Request"), row("1"));
    assert_eq!(row("Sunspots"), row(""));
    assert_ne!(row("1"), row(""));
}
