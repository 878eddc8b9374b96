//! Limits as an operator writes them, and each mistake that can be made with one.

use std::time::Duration;

use relaywarden::relay::limit::Measure;

use super::{Disk, Name, SAMPLE, config, loaded, mistake, warnings};

#[test]
fn the_limit_of_the_sample_is_understood() {
    let mut text = SAMPLE.replace("secret-file = \"secrets/bras1\"", "secret = \"sixteen octets!!\"");
    for key in [
        "[[limit]]",
        "name = \"default\"",
        "mode = \"observe\"",
        "message-size = ",
        "connections = 20",
        "text = ",
    ] {
        let commented = format!("# {key}");
        assert!(text.contains(&commented), "{key}");
        text = text.replacen(&commented, key, 1);
    }
    for key in ["match", "messages", "recipients", "bytes", "refused"] {
        let line = text.lines().find(|line| line.starts_with(&format!("# {key} = "))).unwrap().to_owned();
        let (_, example) = line.split_once("# such as ").unwrap();
        text = text.replacen(&line, &format!("{key} = {example}"), 1);
    }
    let limits = config(&text).limits;
    let [limit, of_the_limited] = &limits[..] else { panic!("{limits:?}") };
    assert_eq!((of_the_limited.kind.limited, of_the_limited.enforced), (true, true));
    assert_eq!((limit.name.to_string().as_str(), limit.enforced), ("default", false));
    let rates: Vec<_> = limit.rates.iter().map(|rate| (rate.measure, rate.to_string())).collect();
    let wanted = [
        (Measure::Messages, "20/1m"),
        (Measure::Messages, "200/1h"),
        (Measure::Messages, "500/1d"),
        (Measure::Recipients, "300/1h"),
        (Measure::Recipients, "1000/1d"),
        (Measure::Bytes, "2147483648/1d"),
        (Measure::Refused, "50/1h"),
    ];
    assert_eq!(rates, wanted.map(|(measure, rate)| (measure, rate.to_owned())));
    assert_eq!((limit.message_size, limit.connections), (Some(35 << 20), Some(20)));
    assert_eq!(limit.rates[0].within, Duration::from_secs(60));
    assert_eq!(limit.kind.to_string(), "authenticated=true nas=bras*");
    assert!(limit.text.as_ref().is_some_and(|text| text.starts_with("Your line sent")));
}

#[test]
fn what_a_milter_tells_has_limits_that_can_be_exceeded_and_kept() {
    let connections = "3:15: limit.connections: is out of range; write a number from 1 to 100000";
    let refused = "3:12: limit.refused: '0/1h' is not so many in so long; write a number from 1, a slash and a time, such as \
                   \"200/1h\"";
    for (key, expected) in [
        ("connections = 0", connections),
        ("connections = 100001", connections),
        ("refused = ['0/1h']", refused),
    ] {
        assert_eq!(mistake(&format!("[[limit]]\nname = 'x'\n{key}\n")), expected);
    }
}

#[test]
fn each_mistake_in_a_limit_is_named_with_place_key_and_remedy() {
    let limit = |more: &str| format!("[[limit]]\nname = 'x'\n{more}\n");
    for (text, expected) in [
        (
            limit(""),
            "1:1: limit: limits nothing; add 'messages', 'recipients', 'bytes', 'message-size', 'connections' \
             or 'refused'",
        ),
        (
            limit("messages = ['20']"),
            "3:13: limit.messages: '20' is not so many in so long; write a number from 1, a slash and a time, such as \
             \"200/1h\"",
        ),
        (
            limit("recipients = ['9/1m', '0/1h']"),
            "3:23: limit.recipients: '0/1h' is not so many in so long; write a number from 1, a slash and a time, such as \
             \"200/1h\"",
        ),
        (
            limit("bytes = ['2 GiB/24h']"),
            "3:10: limit.bytes: '2 GiB/24h' is not so many octets in so long; write a size, a slash and a time, such as \
             \"2GiB/24h\"",
        ),
        (
            limit("messages = ['20/7d']"),
            "3:13: limit.messages: is out of range; write something from \"1s\" to \"3d\"",
        ),
        (
            limit("message-size = '35MB'"),
            "3:16: limit.message-size: '35MB' is no size; write a number and KiB, MiB or GiB, such as \"35MiB\"",
        ),
        (
            limit("messages = ['1/1m']\nmode = 'warn'"),
            "4:8: limit.mode: 'warn' is unknown; write one of: \"observe\", \"enforce\"",
        ),
        (
            limit("messages = ['1/1m']\nmatch = { nas = '[' }"),
            "4:17: limit.match.nas: '[' is no pattern of names; write one with * and ?, such as \"*@office.example\"",
        ),
        (
            limit("messages = ['1/1m']\nmatch = { subscriber = '' }"),
            "4:24: limit.match.subscriber: is empty; write a value or remove the key",
        ),
        (
            limit("messages = ['1/1m']\nmatch = { attribute = 'gold' }"),
            "4:23: limit.match.attribute: 'gold' is no attribute with a value; write such as \"Filter-Id=gold*\"",
        ),
        (
            limit("messages = ['1/1m']\nmatch = { attribute = 'Filter-Id=gold' }"),
            "4:23: limit.match.attribute: 'Filter-Id' is not kept, so nobody is known by it; add it to subscriber.keep",
        ),
        (
            limit("messages = ['1/1m']\nmatch = { class = 'gold' }"),
            "4:19: limit.match.class: 'Class' is not kept, so nobody is known by it; add it to subscriber.keep",
        ),
        (
            limit("messages = ['1/1m']\nmatch = { attribute = 'Filter-Id=gold', class = 'gold' }"),
            "4:49: limit.match.class: 'attribute' says already which; remove 'class'",
        ),
        (
            limit("messages = ['1/1m']\ntext = \"two\\nlines\""),
            "4:8: limit.text: cannot stand in an SMTP reply; write at most 200 printable ASCII characters",
        ),
        (
            format!("{}{}", limit("messages = ['1/1m']"), limit("messages = ['2/1m']")),
            "5:8: limit.name: line 2 has the same; change one of them",
        ),
        ("[[limit]]\nmessages = ['1/1m']\n".to_owned(), "1:1: limit: 'name' is missing; add it"),
    ] {
        assert_eq!(mistake(&text), expected);
    }
    assert!(
        mistake(&limit("match = { speed = 'x' }"))
            .starts_with("3:11: limit.match.speed: unknown field `speed`")
    );
}

#[test]
fn who_is_limited_by_an_order_is_so_whether_it_is_configured_or_not() {
    let names = |text: &str| -> Vec<String> {
        config(text).limits.iter().map(|limit| format!("{} {}", limit.name, limit.kind)).collect()
    };
    assert_eq!(names(""), ["limited limited"]);
    let own = "[[limit]]\nname = 'few'\nmessages = ['1/1h']\nmatch = { limited = true }\n";
    assert_eq!(names(own), ["few limited"]);
}

#[test]
fn a_rate_that_is_never_reached_is_told() {
    let told = warnings("[[limit]]\nname = 'x'\nmessages = ['20/1m', '200/1h', '100/24h']\n");
    let wanted = "limit 'x': 200/1h can never be exceeded, for 100/1d is exceeded before";
    assert!(told.iter().any(|warning| warning.ends_with(wanted)), "{told:?}");
}

const LOGINS: &str = "/etc/relaywarden/logins.csv";

#[test]
fn a_login_belongs_to_whom_the_list_beside_the_configuration_says() {
    let disk = Disk::with("[logins]\nfile = 'logins.csv'\nsame-names = true\n", 0o640).and(
        LOGINS,
        b"sales@shop.example,Alice\n",
        0o644,
    );
    let config = loaded(&disk).unwrap().config;
    let of = |login: &str| config.logins.subscriber(&Name::from(login)).map(|name| name.to_string());
    assert_eq!((of("sales@shop.example").as_deref(), of("Bob").as_deref()), (Some("alice"), Some("bob")));
    let summary = relaywarden::cli::check::Summary(&config).to_string();
    assert!(summary.contains("logins      1 listed, others are subscribers' names"), "{summary}");
    assert!(self::config("").logins.is_empty());
}

#[test]
fn a_list_of_logins_that_is_missing_or_open_to_everybody_is_named() {
    let text = "[logins]\nfile = 'logins.csv'\n";
    let missing = loaded(&Disk::with(text, 0o640)).unwrap_err();
    assert!(missing.contains(&format!(":2:8: logins.file: {LOGINS} cannot be read")), "{missing}");
    let open = loaded(&Disk::with(text, 0o640).and(LOGINS, b"", 0o666)).unwrap_err();
    assert!(open.contains("can be changed by everybody (mode 0666)"), "{open}");
    let twice = loaded(&Disk::with(text, 0o640).and(LOGINS, b"sales,a\nsales,b\n", 0o644)).unwrap_err();
    assert_eq!(twice, format!("{LOGINS}:2:1: line 1 gives this login to 'a'; change one of them"));
}

#[test]
fn a_limit_is_for_whoever_has_an_attribute_by_the_name_under_which_it_is_kept() {
    let limit = |kind: &str| {
        format!(
            "[subscriber]\nkeep = ['25', 'Filter-Id']\n[[limit]]\nname = 'x'\nmessages = ['1/1m']\nmatch = {kind}\n"
        )
    };
    let told = |kind: &str| config(&limit(kind)).limits[0].kind.to_string();
    assert_eq!(told("{ class = 'gold' }"), "25=gold");
    assert_eq!(told("{ attribute = ' filter-id = gold* ' }"), "Filter-Id=gold*");
}

#[test]
fn senders_within_a_static_host_are_told_apart_in_one_way() {
    let relay = |second: &str| {
        format!(
            "[relay]\nstatic = [\n{{ prefix = '192.0.2.0/28', subscriber = 'web', within = 'sender' }},\n\
             {{ prefix = '192.0.2.16/28', subscriber = 'Web'{second} }}]\n"
        )
    };
    let within =
        |text: &str| config(text).relay.within.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>();
    assert_eq!(within(&relay("")), ["web"]);
    assert_eq!(within(&relay(", within = 'sender'")), ["web"]);
    assert_eq!(
        mistake(&relay(", within = 'sender-domain'")),
        "4:58: relay.static.within: line 3 says something else about the same subscriber; change one of them"
    );
    assert_eq!(
        mistake(&relay(", within = 'login'")),
        "4:58: relay.static.within: 'login' is unknown; write one of: \"sender\", \"sender-domain\""
    );
}
