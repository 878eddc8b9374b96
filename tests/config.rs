//! The configuration file: the sample means what it says, and every mistake is named with its place and its remedy.
#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use relaywarden::config::file::{Contents, Files, Loaded, read};
use relaywarden::config::{Config, Endpoint, NamedRealm, NasIdentity, RealmForm};
use relaywarden::radius::dictionary::Dictionary;
use relaywarden::relay::rule::Then;
use relaywarden::session::Name;
use relaywarden::session::event::{Rules, Span};

#[path = "config/clients.rs"]
mod clients;
#[path = "config/coa.rs"]
mod coa;
#[path = "config/dictionaries.rs"]
mod dictionaries;
#[path = "config/limits.rs"]
mod limits;
#[path = "config/nat.rs"]
mod nat;
#[path = "config/notices.rs"]
mod notices;
#[path = "config/realms.rs"]
mod realms;
#[path = "config/sample.rs"]
mod sample;
#[path = "config/scanned.rs"]
mod scanned;
#[path = "config/trends.rs"]
mod trends;
#[path = "config/watch.rs"]
mod watch;

const FILE: &str = "/etc/relaywarden/relaywarden.toml";

const RETENTION: &str = "[retention]\nsessions = '180d'\nmessages = '90d'\nquestions = '365d'\n";

/// Files that exist only here, with their modes.
struct Disk(HashMap<PathBuf, Contents>);

impl Disk {
    /// With what every configuration must say, where it does not.
    fn with(text: &str, mode: u32) -> Self {
        let retention = if text.contains("[retention]") { "" } else { RETENTION };
        Disk(HashMap::new()).and(FILE, format!("{text}\n{retention}").as_bytes(), mode)
    }

    fn and(mut self, path: &str, octets: &[u8], mode: u32) -> Self {
        self.0.insert(path.into(), Contents { octets: octets.to_vec(), mode });
        self
    }
}

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Contents> {
        self.0.get(path).cloned().ok_or(io::ErrorKind::NotFound.into())
    }

    fn zone(&self, name: &str) -> Option<TimeZone> {
        TimeZone::get(name).ok()
    }
}

fn loaded(disk: &Disk) -> Result<Loaded, String> {
    read(Path::new(FILE), disk, &mut Dictionary::beside_builtin()).map_err(|error| error.to_string())
}

fn config(text: &str) -> Config {
    loaded(&Disk::with(text, 0o100_640)).unwrap().config
}

/// The error without the file's name.
fn mistake(text: &str) -> String {
    let error = loaded(&Disk::with(text, 0o640)).unwrap_err();
    error.strip_prefix(&format!("{FILE}:")).unwrap_or(&error).to_owned()
}

fn warnings(text: &str) -> Vec<String> {
    let loaded = loaded(&Disk::with(text, 0o640)).unwrap();
    loaded.warnings.iter().map(|warning| warning.to_string().replace(FILE, "file")).collect()
}

fn client(more: &str) -> String {
    format!("[[radius.client]]\nname = 'a'\naddress = '192.0.2.1'\nsecret = 'sixteen octets!!'\n{more}\n")
}

/// Where block lists are named.
const WATCH: &str = "[watch.dnsbl]\n";

const SAMPLE: &str = include_str!("../examples/relaywarden.toml");

// What is understood.

#[test]
fn an_empty_file_is_every_default_without_a_listener_for_nobody() {
    let config = config("");
    assert_eq!(config.rules, Rules::default());
    assert_eq!(config.radius.listen, []);
    assert_eq!(config.data_dir, Path::new("/var/lib/relaywarden"));
    assert_eq!(config.socketmap.listen, [Endpoint::Tcp("127.0.0.1:10023".parse().unwrap())]);
    assert_eq!(config.policy.listeners.listen, [Endpoint::Tcp("127.0.0.1:10024".parse().unwrap())]);
    assert_eq!(config.http.listen, ["127.0.0.1:8025".parse().unwrap()]);
    assert_eq!((config.http.socket.to_str(), config.http.mode), (Some("/run/relaywarden/api.sock"), 0o660));
    assert!(!config.relay.observe && !config.relay.permit_unrecorded && !config.relay.permit_authenticated);
}

#[test]
fn relative_paths_begin_at_the_files_directory() {
    let config = config("data-dir = 'data'\n[socketmap]\nlisten = ['unix:s']\n[http]\nsocket = 'api'\n");
    assert_eq!(config.data_dir, Path::new("/etc/relaywarden/data"));
    assert_eq!(config.socketmap.listen, [Endpoint::Unix("/etc/relaywarden/s".into())]);
    assert_eq!(config.http.socket, Path::new("/etc/relaywarden/api"));
}

#[test]
fn durations_and_spans_become_rules() {
    let config = config(
        "[session]\ndefer-after-stop='0s'\ninterim-overdue='1.5x'\nlifetime-without-interim='1d'\n\
         nas-silence-grace='2h'\nstale-limit='30m'\nwarm-up='0s'\n",
    );
    let rules = Rules {
        defer_after_stop: Duration::ZERO,
        interim_overdue: Span::Intervals { tenths: 15 },
        lifetime_without_interim: Duration::from_secs(86_400),
        nas_silence_grace: Duration::from_secs(7_200),
        stale_limit: Duration::from_secs(1_800),
        warm_up: Span::Fixed(Duration::ZERO),
    };
    assert_eq!(config.rules, rules);
}

#[test]
fn the_identity_chain_takes_names_and_numbers_of_any_attribute() {
    let config = config(
        "[subscriber]\nidentity = ['26.3561.1', 'class', '89', 'IP-Port-Range-Local-Id', '26.24757.28.11.5', '26.9.0']\n\
         strip-realm = true\n",
    );
    let chain: Vec<_> = config.identity.chain.iter().map(ToString::to_string).collect();
    assert_eq!(chain, ["26.3561.1", "25", "89", "241.6.11", "26.24757.28.11.5", "26.9.0"]);
    assert!(config.identity.canonical.strip_realm && config.identity.canonical.lowercase);
    for envelope in ["26", "Vendor-Specific", "26.3561", "241", "245.26", "26.3561.256", "1.2.3.4.5.6"] {
        let mistake = mistake(&format!("[subscriber]\nidentity = ['{envelope}']\n"));
        assert!(mistake.contains("is no attribute known here"), "{mistake}");
    }
}

#[test]
fn a_client_says_what_its_records_leave_open() {
    let of = |more: &str| config(&client(more)).radius.clients.remove(0);
    let plain = of("");
    assert_eq!((plain.realm, plain.group), (None, None));
    assert!(!plain.snapshot && !plain.routed_netmask && !plain.one_to_one);
    let declared =
        of("realm = 'gold'\ngroup = 'pair1'\nsnapshot = true\nrouted-netmask = true\none-to-one = true");
    assert_eq!(declared.realm, Some(NamedRealm::Vrf(Name::from("gold"))));
    assert_eq!(declared.group, Some(Name::from("pair1")));
    assert!(declared.snapshot && declared.routed_netmask && declared.one_to_one);
    assert_eq!(of("realm = 'public'").realm, Some(NamedRealm::Public));
}

#[test]
fn what_is_kept_and_what_names_nobody_is_asked_for_by_name() {
    let config = config(
        "[subscriber]\nfold-mac = true\nshared-names = ['MIG', 'AC16.2d75.9D0a']\nkeep = ['Class', '26.4874.24']\n\
         many-sessions = 0\n",
    );
    let shared: Vec<_> = config.identity.shared_names.iter().map(ToString::to_string).collect();
    assert_eq!(shared, ["mig", "ac:16:2d:75:9d:0a"], "in the form of the names in records");
    let kept: Vec<_> = config.identity.keep.iter().map(|(name, id)| format!("{name} {id}")).collect();
    assert_eq!(kept, ["Class 25", "26.4874.24 26.4874.24"]);
    assert_eq!(config.many_sessions, 0);
}

#[test]
fn many_sessions_are_sixteen_unless_another_number_is_written() {
    assert_eq!(config("").many_sessions, 16);
    assert_eq!(config("[subscriber]\nmany-sessions = 1000000\n").many_sessions, 1_000_000);
    for wrong in ["-1", "1000001"] {
        assert_eq!(
            mistake(&format!("[subscriber]\nmany-sessions = {wrong}\n")),
            "2:17: subscriber.many-sessions: is out of range; write a number from 0 to 1000000"
        );
    }
}

const LIST: &str = "/etc/relaywarden/prefixes.csv";

// What is refused.

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = loaded(&Disk(HashMap::new())).unwrap_err();
    assert_eq!(error, format!("{FILE}: cannot be read: entity not found"));
}

#[test]
fn text_that_is_no_toml_has_its_place() {
    assert_eq!(mistake("[relay]\nmode = enforce\n").split(": ").next(), Some("2:8"));
    let error = loaded(&Disk(HashMap::new()).and(FILE, b"\xff", 0o600)).unwrap_err();
    assert_eq!(error, format!("{FILE}: is not UTF-8 text; save it as such"));
}

#[test]
fn keys_that_are_not_built_yet_are_unknown() {
    for (text, begins) in [
        ("[[limits]]\nname = 'x'\n", "1:3: limits: unknown field `limits`"),
        ("[[nas]]\ngroup = 'x'\n", "2:1: nas.group: unknown field `group`"),
        ("[relay]\nMode = 'observe'\n", "2:1: relay.Mode: unknown field `Mode`"),
    ] {
        let mistake = mistake(text);
        assert!(mistake.starts_with(begins), "{mistake}");
    }
    assert!(mistake(&client("profile = 'x'")).starts_with("5:1: radius.client.profile: unknown field"));
}

#[test]
fn each_mistake_in_a_rule_is_named() {
    let rule = |more: &str| format!("[[rule]]\nname = 'flood'\nwhen = 'signal'\nthen = 'note'\n{more}\n");
    for (text, begins) in [
        ("[[rule]]\nwhen = 'signal'\nthen = 'note'\n".to_owned(), "1:1: rule: 'name' is missing"),
        ("[[rule]]\nname = 'x'\nthen = 'note'\n".to_owned(), "1:1: rule: 'when' is missing"),
        ("[[rule]]\nname = 'x'\nwhen = 'signal'\n".to_owned(), "1:1: rule: 'then' is missing"),
        (rule("").replace("'flood'", "'a flood'"), "2:8: rule.name: 'a flood' is no rule's name"),
        (rule("").replace("'signal'", "'messages > 5'"), "3:8: rule.when: 'messages > 5' makes no rule act"),
        (rule("").replace("'signal'", "'complaints >= 3/x'"), "3:8: rule.when: 'x' is no time"),
        (rule("").replace("'note'", "'ban'"), "4:8: rule.then: 'ban' is nothing that a rule does"),
        (
            rule("").replace("'signal'", "'listing'").replace("'note'", "'suspend 1h'"),
            "4:8: rule.then: who stood out",
        ),
        (
            rule("").replace("'signal'", "'listing'").replace("'note'", "'suspend until delisted'"),
            "4:8: rule.then: who stood out",
        ),
        (
            rule("").replace("'note'", "'limit until delisted'"),
            "4:8: rule.then: nothing is delisted that was not listed",
        ),
        (
            rule("").replace("'note'", "'limit until released'"),
            "4:8: rule.then: 'limit until released' is nothing that a rule does",
        ),
        (rule("mode = 'on'"), "5:8: rule.mode: 'on' is unknown"),
        (rule("max-actions = '20'"), "5:15: rule.max-actions: '20' is no number within a time"),
        (rule("max-actions = '20/5d'"), "5:15: rule.max-actions: is out of range"),
        (rule("colour = 'red'"), "5:1: rule.colour: unknown field"),
        ("[rules]\nmax-actions = 20\n".to_owned(), "2:15: rules.max-actions: invalid type"),
        (rule("") + &rule(""), "7:8: rule.name: line 2 has the same"),
    ] {
        let mistake = mistake(&text);
        assert!(mistake.starts_with(begins), "{mistake}");
    }
    let text = rule("").replace("'signal'", "'listing'").replace("'note'", "'limit until delisted'");
    assert_eq!(config(&text).case_rules.all[0].then, Then::LimitUntilDelisted);
    let rules =
        config(&rule("mode = 'enforce'\nmax-actions = '5/1h'\n[rules]\nmax-actions = '7/2h'")).case_rules;
    assert_eq!((rules.brake.orders, rules.brake.within), (7, Duration::from_secs(7200)));
    assert!(rules.all[0].enforce && rules.all[0].brake.is_some_and(|brake| brake.orders == 5));
}

#[test]
fn a_value_of_another_type_has_its_place_and_key() {
    let mistake = mistake("[http]\nsocket-mode = 660\n");
    assert!(mistake.starts_with("2:15: http.socket-mode: invalid type"), "{mistake}");
    let mistake = self::mistake("[audit]\nrequire-purpose = 'yes'\n");
    assert!(mistake.starts_with("2:19: audit.require-purpose: invalid type"), "{mistake}");
}

#[test]
fn each_mistake_about_who_may_come_in_is_named() {
    for (text, expected) in [
        (
            "[http]\nnames = ['https://warden.isp.example']\n",
            "2:10: http.names: 'https://warden.isp.example' is no host's name; write it as browsers do, without scheme and \
             port, such as \"warden.isp.example\"",
        ),
        (
            "[http]\nviewers-group = ''\n",
            "2:17: http.viewers-group: is empty; write a value or remove the key",
        ),
        (
            "[http]\nauditors-group = ''\n",
            "2:18: http.auditors-group: is empty; write a value or remove the key",
        ),
    ] {
        assert_eq!(mistake(text), expected);
    }
    let config = config(
        "[http]\nnames = ['Warden.ISP.example']\noperators-group = 'abuse'\n[audit]\nrequire-purpose = true\n",
    );
    assert_eq!(
        (config.http.names, config.http.operators),
        (vec!["warden.isp.example".into()], Some("abuse".into()))
    );
    assert!(config.require_purpose);
}

#[test]
fn room_for_what_comes_and_goes_is_within_bounds() {
    let written = |text: &str| loaded(&Disk::with(&format!("[room]\n{text}\n"), 0o600)).is_ok();
    for (key, least, most) in [
        ("requests", 1_000, 10_000_000),
        ("remembered", 1_000, 10_000_000),
        ("connections", 10, 1_000_000),
        ("past", 100_000, 100_000_000),
    ] {
        for (number, fits) in [(least - 1, false), (least, true), (most, true), (most + 1, false)] {
            assert_eq!(written(&format!("{key} = {number}")), fits, "{key} = {number}");
        }
    }
    let room = config("[room]\nrequests = 1001\nremembered = 1002\nconnections = 1003\npast = 100004\n").room;
    assert_eq!((room.requests, room.remembered, room.connections, room.past), (1001, 1002, 1003, 100_004));
    assert_eq!(
        mistake("[room]\npast = 7\n"),
        "2:8: room.past: is out of range; write a number from 100000 to 100000000"
    );
}

#[test]
fn each_mistake_is_named_with_place_key_and_remedy() {
    for (text, expected) in [
        ("data-dir = ''\n", "1:12: data-dir: is empty; write a value or remove the key"),
        (
            "[relay]\nmode = 'watch'\n",
            "2:8: relay.mode: 'watch' is unknown; write one of: \"enforce\", \"observe\"",
        ),
        (
            "[relay]\nauthenticated = 'yes'\n",
            "2:17: relay.authenticated: 'yes' is unknown; write one of: \"permit\"",
        ),
        (
            "[relay]\nnever = ['192.0.2.1/24']\n",
            "2:10: relay.never: '192.0.2.1/24' is not the prefix it names; write \"192.0.2.0/24\", or the address you mean",
        ),
        (
            "[session]\nstale-limit = '10'\n",
            "2:15: session.stale-limit: '10' is no time; write a number and s, m, h or d, such as \"10m\"",
        ),
        (
            "[session]\nwarm-up = '3'\n",
            "2:11: session.warm-up: '3' is neither a time nor a number of interim intervals; write \"24h\" or \"3x\"",
        ),
        (
            "[subscriber]\nidentity = ['Usr-Name']\n",
            "2:13: subscriber.identity: 'Usr-Name' is no attribute known here; write its number, such as \"1\" or \
             \"26.3561.1\" (vendor, type), or name its dictionary in radius.dictionaries",
        ),
        (
            "[subscriber]\nidentity = []\n",
            "2:12: subscriber.identity: is empty; write a value or remove the key",
        ),
        (
            "[socketmap]\nlisten = ['localhost:10023']\n",
            "2:11: socketmap.listen: 'localhost:10023' is no address with a port; write \"127.0.0.1:10023\" or \
             \"[::1]:10023\" (no host names)",
        ),
        (
            "[policy]\nlisten = ['127.0.0.1:10023']\n[http]\nlisten = ['127.0.0.1:10023']\n[socketmap]\nlisten = []\n",
            "4:11: http.listen: policy.listen has this place already; choose another address, port or path",
        ),
        (
            "[policy]\nheader = 'X Token'\n",
            "2:10: policy.header: 'X Token' is no header's name; write letters, digits and hyphens, such as \
             \"X-Subscriber-Token\"",
        ),
        (
            "[policy]\ncontact = \"a\\nb\"\n",
            "2:11: policy.contact: cannot stand in an SMTP reply; write at most 120 printable ASCII characters",
        ),
        (
            "[http]\nsocket-mode = '0999'\n",
            "2:15: http.socket-mode: '0999' is no mode; write three or four octal digits, such as \"0660\"",
        ),
        ("[[mta]]\nname = 'mx1'\n", "1:1: mta: 'address' is missing; add it"),
        (
            "[relay]\nstatic = [{ prefix = '0.0.0.0/0', subscriber = 'a' }]\n",
            "2:22: relay.static.prefix: would make an open relay; write the subscriber's own prefix",
        ),
        (
            "[relay]\nstatic = [{ prefix = '192.0.2.0/28', subscriber = ' ' }]\n",
            "2:51: relay.static.subscriber: nothing is left of this name by the rules in [subscriber]; write another",
        ),
        (
            "[relay]\nnever = ['192.0.2.0/24']\nstatic = [{ prefix = '192.0.2.0/28', subscriber = 'a' }]\n",
            "3:22: relay.static.prefix: relay.never has 192.0.2.0/24, which never relays; remove one of them",
        ),
        (
            "[relay]\nstatic = [{ prefix = '192.0.2.7', subscriber = 'a' },\n{ prefix = '192.0.2.7/32', subscriber = 'b' }]\n",
            "3:12: relay.static.prefix: this prefix belongs to 'a' already; remove one of them",
        ),
    ] {
        assert_eq!(mistake(text), expected);
    }
}

#[test]
fn each_mistake_about_a_name_or_a_realm_is_named() {
    for (text, expected) in [
        (
            "[[mta]]\nname = 'mx1'\naddress = '192.0.2.25'\nrealm = ''\n",
            "4:9: mta.realm: is empty; write a value or remove the key",
        ),
        ("[policy]\nrealm = ''\n", "2:9: policy.realm: is empty; write a value or remove the key"),
        ("[socketmap]\nrealm = ' '\n", "2:9: socketmap.realm: is empty; write a value or remove the key"),
        (
            "[subscriber]\nkeep = ['Clas']\n",
            "2:9: subscriber.keep: 'Clas' is no attribute known here; write its number, such as \"1\" or \"26.3561.1\" \
             (vendor, type), or name its dictionary in radius.dictionaries",
        ),
        (
            "[subscriber]\nstrip-realm = true\nshared-names = ['@apn.example']\n",
            "3:17: subscriber.shared-names: nothing is left of this name by the rules in [subscriber]; write another",
        ),
    ] {
        assert_eq!(mistake(text), expected);
    }
}

#[test]
fn a_record_may_be_stale_below_a_day() {
    assert_eq!(config("[session]\nstale-limit = '23h'\n").rules.stale_limit, Duration::from_secs(23 * 3600));
    assert!(
        mistake("[session]\nstale-limit = '24h'\n").starts_with("2:15: session.stale-limit: is out of range")
    );
    for key in ["stale-limit", "interim-overdue", "lifetime-without-interim", "nas-silence-grace"] {
        let mistake = mistake(&format!("[session]\n{key} = '0s'\n"));
        assert!(mistake.contains("is out of range; write something from \"1s\""), "{mistake}");
    }
}

#[test]
fn port_zero_may_be_asked_for_twice() {
    let text = "[policy]\nlisten = ['127.0.0.1:0', '127.0.0.1:0']\n[socketmap]\nlisten = ['127.0.0.1:0']\n";
    assert_eq!(config(text).policy.listeners.listen.len(), 2);
}

// What is worth a look.

#[test]
fn a_daemon_that_nobody_feeds_or_asks_is_warned_about() {
    assert_eq!(
        warnings("[socketmap]\nlisten = []\n[policy]\nlisten = []\n"),
        [
            "file: no [[radius.client]]: nobody can send accounting, only static prefixes and logins can be permitted",
            "file: none of socketmap.listen, policy.listen and milter.listen has an entry: no MTA can ask",
        ]
    );
}

#[test]
fn a_listener_for_other_hosts_without_an_mta_is_warned_about() {
    let text = client("[policy]\nlisten = ['0.0.0.0:10024']");
    assert_eq!(
        warnings(&text),
        [
            "file:6:11: policy.listen: other hosts reach this listener, but no [[mta]] says which may ask; only this one can"
        ]
    );
    assert_eq!(
        warnings(&format!("{text}[[mta]]\nname = 'mx1'\naddress = '192.0.2.25'\n")),
        Vec::<String>::new()
    );
}

#[test]
fn a_secret_is_never_shown() {
    let loaded = loaded(&Disk::with(&client(""), 0o640)).unwrap();
    assert!(!format!("{loaded:?}").contains("sixteen"));
    assert!(!relaywarden::cli::check::Summary(&loaded.config).to_string().contains("sixteen"));
}

#[test]
fn the_summary_says_who_may_feed_and_who_may_ask() {
    let text = client(
        "may-assign = ['100.64.0.0/10']\nrealm = 'gold'\nsnapshot = true\ngroup = 'pair1'\n[subscriber]\n\
         shared-names = ['mig']\nkeep = ['Class']\n[relay]\nmode = 'observe'\n[[mta]]\nname = 'mx1'\n\
         address = '192.0.2.25'\nrealm = 'public'\n[policy]\nrealm = 'gold'\n[[nat]]\ninside = '100.64.0.0/22'\n\
         outside = '192.0.2.0/28'\nblock = 1008\nrealm = 'gold'\n[[rule]]\nname = 'flood'\nwhen = 'messages >= 500'\n\
         then = 'suspend 24h'",
    );
    let summary = relaywarden::cli::check::Summary(&config(&text)).to_string();
    for line in [
        "mode        observe: nothing is permitted nor refused",
        "radius      127.0.0.1:1813",
        "  client    a at 192.0.2.1/32 (each source is a NAS, each record lists everything, realm gold, group pair1) may \
         assign 100.64.0.0/10",
        "  but not   mig",
        "  keep      Class",
        "sessions    of one subscriber are worth a look from 16 on",
        "nat         100.64.0.0/22 of gold behind 192.0.2.0/28, 1008 ports each from 1024 on",
        "  realm     gold",
        "mta         mx1 from 192.0.2.25/32, realm public",
        "rule        flood: when messages >= 500 then suspend 24h (only watched)",
    ] {
        assert!(summary.lines().any(|found| found == line), "{line:?} is missing in\n{summary}");
    }
}

#[test]
fn check_config_reads_real_files_and_ends_with_78_when_they_are_bad() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("relaywarden.toml");
    let secret = dir.path().join("secrets/bras1");
    std::fs::create_dir(dir.path().join("secrets")).unwrap();
    std::fs::write(&path, SAMPLE).unwrap();
    std::fs::write(&secret, "sixteen octets!!\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o640)).unwrap();
    let run = || format!("{:?}", relaywarden::cli::check::run(&path));
    assert_eq!(run(), format!("{:?}", std::process::ExitCode::SUCCESS));
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(run(), format!("{:?}", std::process::ExitCode::from(78)));
}
