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

#[path = "config/dictionaries.rs"]
mod dictionaries;
#[path = "config/limits.rs"]
mod limits;

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

// The sample.

const SAMPLE: &str = include_str!("../examples/relaywarden.toml");

#[test]
fn the_sample_means_what_an_empty_file_and_one_client_mean() {
    let disk = Disk::with(SAMPLE, 0o644).and("/etc/relaywarden/secrets/bras1", b"sixteen octets!!\n", 0o640);
    let sample = loaded(&disk).unwrap();
    assert_eq!(sample.warnings, []);
    let plain =
        config("[[radius.client]]\nname = 'bras1'\naddress = '127.0.0.0/8'\nsecret = 'sixteen octets!!'\n");
    assert_eq!(sample.config, plain);
}

#[test]
fn every_commented_key_of_the_sample_is_one_and_shows_its_default() {
    let default = config(&SAMPLE.replace("secret-file = \"secrets/bras1\"", "secret = \"sixteen octets!!\""));
    // What has no default, or shows an example instead of one.
    let not_defaults = [
        "secret",
        "may-assign",
        "role",
        "directory",
        "client",
        "files",
        "remove",
        "identifier",
        "authenticated",
        "name",
        "address",
        "realm",
        "group",
        "inside",
        "outside",
        "block",
        "first-port",
        "header",
        "contact",
        "socket-group",
        "viewers-group",
        "operators-group",
        "auditors-group",
        "names",
        "time-zone",
        "prefixes",
        "time-zone",
        "when",
        "then",
        "match",
        "messages",
        "recipients",
        "bytes",
        "message-size",
        "text",
        "addresses",
        "lists",
        "sample",
        "every",
        "resolver",
        "timeout",
    ];
    // Of a table that is commented as well.
    let of_a_limit = "# mode = \"observe\"";
    let mut seen = 0;
    for (line, key) in SAMPLE.lines().filter_map(|line| {
        let setting = line.strip_prefix("# ")?;
        let (key, _) = setting.split_once(" = ")?;
        key.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'-').then_some((line, key))
    }) {
        if not_defaults.contains(&key) || line == of_a_limit {
            continue;
        }
        seen += 1;
        let with = SAMPLE
            .replace("secret-file = \"secrets/bras1\"", "secret = \"sixteen octets!!\"")
            .replacen(line, &line[2..], 1);
        let mut explicit = config(&with);
        // The default mode of these sockets is written as no mode.
        for mode in [&mut explicit.socketmap.mode, &mut explicit.policy.listeners.mode] {
            if *mode == Some(0o660) {
                *mode = None;
            }
        }
        assert_eq!(explicit, default, "{line}");
    }
    assert!(seen >= 27, "only {seen} keys were found in the sample");
}

#[test]
fn the_examples_that_are_no_defaults_are_understood() {
    let mut text = SAMPLE.replace("secret-file = \"secrets/bras1\"", "secret = \"sixteen octets!!\"");
    for (from, to) in [
        ("# may-assign", "may-assign"),
        ("# role", "role"),
        ("# [[radius.detail]]", "[[radius.detail]]"),
        ("# directory", "directory"),
        ("# client = \"freeradius\"", "client = \"bras1\""),
        ("# files", "files"),
        ("# remove", "remove"),
        ("# [[nas]]", "[[nas]]"),
        ("# identifier", "identifier"),
        ("# address = \"192.0.2.7\"", "address = \"192.0.2.7\""),
        ("# name = \"berlin-7\"", "name = \"berlin-7\""),
        ("# authenticated", "authenticated"),
        ("# group", "group"),
        ("# [[nat]]", "[[nat]]"),
        ("# inside", "inside"),
        ("# outside", "outside"),
        ("# block", "block"),
        ("# first-port", "first-port"),
        ("# realm", "realm"),
        ("# [[mta]]", "[[mta]]"),
        ("# name = \"mx1\"", "name = \"mx1\""),
        ("# address = \"192.0.2.25\"", "address = \"192.0.2.25\""),
        ("# header", "header"),
        ("# contact", "contact"),
        ("# socket-group", "socket-group"),
        ("# prefixes = ", "prefixes = "),
        ("# [[rule]]", "[[rule]]"),
        ("# name = \"flood\"", "name = \"flood\""),
        ("# when = ", "when = "),
        ("# then = ", "then = "),
        ("# [watch.dnsbl]", "[watch.dnsbl]"),
        ("# addresses = ", "addresses = "),
        ("# lists = ", "lists = "),
        ("# sample = []         # such as ", "sample = "),
        ("# every = ", "every = "),
        ("# resolver = ", "resolver = "),
        ("# timeout = ", "timeout = "),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let disk = Disk::with(&text, 0o640).and(LIST, b"bob,2001:db8:7::/48,online\n", 0o644);
    let config = loaded(&disk).unwrap().config;
    assert_eq!((config.mtas.len(), config.prefixes.len()), (1, 1));
    let [rule] = &config.case_rules.all[..] else { panic!("{:?}", config.case_rules) };
    assert_eq!((rule.enforce, rule.then), (false, Then::Suspend(Some(Duration::from_secs(86_400)))));
    let gold = Some(NamedRealm::Vrf(Name::from("gold")));
    assert_eq!((&config.mtas[0].realm, &config.socketmap.realm), (&gold, &gold));
    assert_eq!(config.policy.listeners.realm, gold);
    assert_eq!(config.radius.clients[0].realm, Some(NamedRealm::Public));
    assert_eq!(config.translations.len(), 1);
    assert_eq!(config.translations[0].realm, Some(Name::from("gold")));
    assert_eq!(config.radius.clients[0].nas, NasIdentity::Attributes);
    assert_eq!(config.radius.clients[0].nases.len(), 1);
    let with_defaults = config.radius.details[0].clone();
    assert_eq!((with_defaults.files.as_str(), with_defaults.remove), ("detail*", false));
    assert_eq!(config.http.group.as_deref(), Some("abuse"));
    assert_eq!(config.policy.header.as_deref(), Some("X-Subscriber-Token"));
    assert!(config.relay.permit_authenticated);
    let dnsbl = config.dnsbl.unwrap();
    assert_eq!((dnsbl.addresses.len(), dnsbl.lists.len(), dnsbl.resolvers.len()), (2, 2, 1));
    assert_eq!((dnsbl.sample.len(), dnsbl.sample[0].count), (1, 8));
    // The two that have a default show it.
    let plain = format!("{WATCH}addresses = ['192.0.2.25']\nlists = [{{ zone = 'zen.example.org' }}]\n");
    let plain = self::config(&plain).dnsbl.unwrap();
    assert_eq!((dnsbl.every, dnsbl.timeout), (plain.every, plain.timeout));
}

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
fn the_longest_client_prefix_is_found_first() {
    let text = "[[radius.client]]\nname='wide'\naddress='192.0.2.0/24'\nsecret='sixteen octets!!'\n\
                [[radius.client]]\nname='one'\naddress='192.0.2.1'\nsecret='sixteen octets!!'\n";
    let config = config(text);
    let found =
        |address: &str| config.radius.client(address.parse().unwrap()).map(|client| client.name.clone());
    assert_eq!(found("192.0.2.1"), Some(Name::from("one")));
    assert_eq!(found("192.0.2.2"), Some(Name::from("wide")));
    assert_eq!(found("192.0.3.1"), None);
}

#[test]
fn a_client_says_how_its_nases_are_named() {
    let nas = |more: &str| config(&client(more)).radius.clients[0].nas;
    assert_eq!(nas(""), NasIdentity::Source);
    assert_eq!(nas("nas = 'source'"), NasIdentity::Source);
    assert_eq!(nas("nas = 'client'"), NasIdentity::Client);
    assert_eq!(nas("role = 'proxy'\nmay-assign = ['100.64.0.0/10']"), NasIdentity::Attributes);
}

fn proxy(name: &str, more: &str) -> String {
    let host = name.bytes().next().unwrap();
    format!(
        "[[radius.client]]\nname = '{name}'\naddress = '192.0.2.{host}'\nsecret = 'sixteen octets!!'\nrole = 'proxy'\n{more}\n"
    )
}

#[test]
fn a_nas_stands_behind_the_proxy_it_names_and_else_behind_every_one() {
    let pools = "may-assign = ['100.64.0.0/10']";
    let nases = "[[nas]]\nclient = 'b'\nidentifier = 'bras7'\nname = 'berlin'\nmay-assign = ['100.64.0.0/12']\n\
                 [[nas]]\naddress = '192.0.2.77'\n";
    let config = config(&(client("") + &proxy("b", pools) + &proxy("c", pools) + nases));
    let behind = |name: &str| {
        let client = config.radius.clients.iter().find(|client| client.name == Name::from(name)).unwrap();
        client.nases.iter().map(|nas| (nas.identifier.is_some(), nas.address.is_some())).collect::<Vec<_>>()
    };
    assert_eq!(behind("a"), []);
    assert_eq!(behind("b"), [(true, false), (false, true)]);
    assert_eq!(behind("c"), [(false, true)]);
}

#[test]
fn a_proxy_needs_no_pools_where_its_nases_have_some() {
    let config = config(&proxy("b", "[[nas]]\nidentifier = 'bras7'\nmay-assign = ['100.64.0.0/12']\n"));
    let client = &config.radius.clients[0];
    let bras7 = client.nas_behind(Some(b"bras7"), None);
    assert_eq!(client.may_assign(bras7).map(<[_]>::len), Some(1));
    assert_eq!(client.may_assign(client.nas_behind(Some(b"bras8"), None)), None);
    assert_eq!(client.pools().len(), 1);
}

#[test]
fn a_directory_is_followed_by_the_rules_of_a_client() {
    let detail = "[[radius.detail]]\nclient = 'a'\ndirectory = 'detail'\n";
    let followed = config(&client(detail)).radius.details;
    assert_eq!(followed[0].directory, Path::new("/etc/relaywarden/detail"));
    assert_eq!((followed[0].client.clone(), followed[0].files.as_str()), (Name::from("a"), "detail*"));
    // Nobody listens for a client of which only files are read.
    let unheard = "[radius]\nlisten = []\n";
    assert_eq!(config(&format!("{unheard}{}", client(detail))).radius.listen, []);
    assert!(
        mistake(&format!(
            "{unheard}{}{}",
            client(detail),
            client("").replace("'a'", "'b'").replace(".1'", ".2'")
        ))
        .contains("can be heard")
    );
}

#[test]
fn each_mistake_about_another_way_of_feeding_is_named() {
    let pools = "may-assign = ['100.64.0.0/10']";
    let detail = |more: &str| client(&format!("[[radius.detail]]\n{more}"));
    let behind = |more: &str| proxy("b", &format!("{pools}\n[[nas]]\n{more}"));
    for (text, expected) in [
        (detail("client = 'a'"), "5:1: radius.detail: 'directory' is missing; add it"),
        (detail("directory = '/d'"), "5:1: radius.detail: 'client' is missing; add it"),
        (
            detail("directory = '/d'\nclient = 'b'"),
            "7:10: radius.detail.client: no [[radius.client]] is called 'b'; write the name of one",
        ),
        (
            detail("directory = '/d'\nclient = 'a'\nfiles = 'a/*'"),
            "8:9: radius.detail.files: 'a/*' is no pattern of file names; write one without a slash, such as \"detail*\"",
        ),
        (
            detail("directory = '/d'\nclient = 'a'\n[[radius.detail]]\ndirectory = '/d/e'\nclient = 'a'"),
            "9:13: radius.detail.directory: line 5 follows these files already; change one of them",
        ),
        (
            behind("name = 'x'"),
            "7:1: nas: a NAS behind a proxy is known by its 'identifier' or its 'address'; add one of them",
        ),
        (
            behind("client = 'c'\nidentifier = 'x'"),
            "8:10: nas.client: no [[radius.client]] is called 'c'; write the name of one",
        ),
        (
            behind("identifier = 'x'\n[[nas]]\nidentifier = 'x'"),
            "9:1: nas: line 7 has the same; change one of them",
        ),
        (
            behind("identifier = 'x'\nname = 'n'\n[[nas]]\nidentifier = 'y'\nname = 'n'"),
            "10:1: nas: line 7 has the same; change one of them",
        ),
        (
            behind("address = '192.0.2.0/24'"),
            "8:11: nas.address: '192.0.2.0/24' is no address; write one, such as \"192.0.2.7\"",
        ),
        (
            client("[[nas]]\nidentifier = 'x'"),
            "5:1: nas: only a [[radius.client]] with role = \"proxy\" has NASes behind it; set its role, or remove this table",
        ),
        (
            client("[[nas]]\nclient = 'a'\nidentifier = 'x'"),
            "6:10: nas.client: only a [[radius.client]] with role = \"proxy\" has NASes behind it; set its role, or remove \
             this table",
        ),
        (
            proxy("b", "[[nas]]\nidentifier = 'x'"),
            "6:1: nas: neither this NAS nor its proxy says which prefixes are its own; add 'may-assign' to one of them",
        ),
    ] {
        assert_eq!(mistake(&text), expected);
    }
}

#[test]
fn a_secret_file_loses_one_newline_and_nothing_else() {
    for (octets, secret) in [
        (b"\xff secret 16 o.\n".as_slice(), b"\xff secret 16 o.".as_slice()),
        (b"crlf is a newline\r\n", b"crlf is a newline"),
        (b"two newlines of it\n\n", b"two newlines of it\n"),
        (b"no newline at all ", b"no newline at all "),
    ] {
        let text = "[[radius.client]]\nname='a'\naddress='::1'\nsecret-file='s'\n";
        let disk = Disk::with(text, 0o644).and("/etc/relaywarden/s", octets, 0o600);
        assert_eq!(loaded(&disk).unwrap().config.radius.clients[0].secret.octets(), secret);
    }
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
const LIST: &str = "/etc/relaywarden/prefixes.csv";

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

#[test]
fn a_realm_is_named_by_the_attributes_of_the_client_else_of_all_else_by_the_usual_ones() {
    let spelled = |text: &str| {
        let config = config(text);
        let attributes = config.radius.clients[0].realm_attributes.iter();
        attributes.map(|attribute| (attribute.path.to_string(), attribute.form.clone())).collect::<Vec<_>>()
    };
    let pair = |key: &str| RealmForm::Pair { key: key.into() };
    let number = |octets| RealmForm::Number { octets };
    let usual = [
        ("26.9.1".to_owned(), pair("vrf-id")),
        ("26.4874.1".to_owned(), RealmForm::Name),
        ("26.2352.4".to_owned(), RealmForm::Name),
        ("26.6527.100".to_owned(), number(4)),
    ];
    assert_eq!(spelled(&client("")), usual);
    let all = "[radius]\nrealm-attributes = ['26.9.1=lcp:vpn=id', 'NAS-Port', '26.26000.7']\n";
    let named = [
        ("26.9.1".to_owned(), pair("lcp:vpn=id")),
        ("5".to_owned(), number(4)),
        ("26.26000.7".to_owned(), RealmForm::Name),
    ];
    assert_eq!(spelled(&format!("{all}{}", client(""))), named);
    let own = format!("{all}{}", client("realm-attributes = ['Class']"));
    assert_eq!(spelled(&own), [("25".to_owned(), RealmForm::Name)]);
    assert_eq!(spelled(&format!("{all}{}", client("realm-attributes = []"))), []);
}

#[test]
fn the_summary_says_by_what_a_realm_is_named_where_that_was_chosen_and_counts() {
    let realm = |more: &str| {
        let summary = relaywarden::cli::check::Summary(&config(&client(more))).to_string();
        summary.lines().find(|line| line.starts_with("  realm ")).map(str::to_owned)
    };
    assert_eq!(realm(""), None);
    assert_eq!(
        realm("realm-attributes = ['Cisco-AVPair=vpn', '26.26000.7']").as_deref(),
        Some("  realm     as named by vpn in Cisco-AVPair (26.9.1), 26.26000.7")
    );
    assert_eq!(
        realm("realm-attributes = []").as_deref(),
        Some("  realm     public, whatever its records name")
    );
    assert_eq!(realm("realm = 'gold'\nrealm-attributes = []"), None);
}

#[test]
fn an_attribute_for_realms_that_is_not_known_is_named_with_its_place() {
    let unknown = "is no attribute known here; write its number, such as \"1\" or \"26.3561.1\" (vendor, type), or name \
                   its dictionary in radius.dictionaries";
    for written in ["Cisco-AVPiar=vrf-id", "Cisco-AVPair=", "=vrf-id", "26.9.256", ""] {
        let all = format!("[radius]\nrealm-attributes = [\"Class\",\n  \"{written}\"]\n");
        assert_eq!(mistake(&all), format!("3:3: radius.realm-attributes: '{written}' {unknown}"));
    }
    assert_eq!(
        mistake(&client("realm-attributes = ['VRF']")),
        format!("5:21: radius.client.realm-attributes: 'VRF' {unknown}")
    );
}

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
fn a_list_is_known_by_its_name_else_by_its_zone_and_asked_about_ipv6_where_it_has_some() {
    let config = config(&format!(
        "{WATCH}addresses = ['192.0.2.25', '2001:db8::25']\nevery = '1m'\nresolver = ['[::1]:5353']\n\
         lists = [{{ zone = 'Zen.Example.org' }}, {{ zone = 'k3y.bl.example', name = 'bl', ipv6 = true }}]\n"
    ));
    let summary = relaywarden::cli::check::Summary(&config).to_string();
    for line in [
        "dnsbl       zen.example.org, bl, every 60 s",
        "  of        192.0.2.25, 2001:db8::25",
        "  resolver  [::1]:5353",
    ] {
        assert!(summary.lines().any(|shown| shown == line), "{line} is not in\n{summary}");
    }
    assert!(!summary.contains("k3y"), "a key in a zone is nobody else's");
    let dnsbl = config.dnsbl.unwrap();
    let told: Vec<_> = dnsbl
        .lists
        .iter()
        .map(|list| (list.name.to_string(), list.zone.as_str(), dnsbl.addresses_of(list).count()))
        .collect();
    assert_eq!(
        told,
        [("zen.example.org".to_owned(), "zen.example.org", 1), ("bl".to_owned(), "k3y.bl.example", 2)]
    );
    assert_eq!((dnsbl.every.as_secs(), dnsbl.timeout.as_secs(), dnsbl.resolvers[0].port()), (60, 5, 5353));
    assert_eq!(self::config("").dnsbl, None);
}

#[test]
fn the_page_about_block_lists_shows_what_is_understood() {
    let page = include_str!("../docs/reputation.md");
    let shown = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let dnsbl = config(shown).dnsbl.unwrap();
    assert_eq!((dnsbl.lists[1].name.to_string(), dnsbl.lists[1].ipv6), ("bl".to_owned(), true));
}

/// A table of block lists with these lines, and what it must have beside.
fn watch(lines: &[&str]) -> String {
    let has = |key: &str| lines.iter().any(|line| line.starts_with(key));
    let mut lines = lines.to_vec();
    if !has("addresses") {
        lines.push("addresses = ['192.0.2.25']");
    }
    if !has("lists") {
        lines.push("lists = [{ zone = 'zen.example.org' }]");
    }
    format!("{WATCH}{}\n", lines.join("\n"))
}

#[test]
fn each_mistake_about_ranges_that_are_sampled_is_named() {
    for (lines, expected) in [
        (
            ["sample = [{ prefix = '10.0.0.0/8', count = 8 }]"].as_slice(),
            "2:22: watch.dnsbl.sample.prefix: '10.0.0.0/8' can't be sampled; write a public IPv4 prefix of your customers', such \
             as \"198.51.100.0/24\"",
        ),
        (
            &["sample = [{ prefix = '198.51.100.0/24', count = 257 }]"],
            "2:49: watch.dnsbl.sample.count: is out of range; write a number from 1 to 256",
        ),
        (
            &["sample = [{ prefix = '198.51.100.0/24' }]"],
            "2:11: watch.dnsbl.sample: 'count' is missing; add it",
        ),
        (
            &[
                "sample = [{ prefix = '198.51.100.0/24', count = 8 },",
                "{ prefix = '198.51.100.0/24', count = 1 }]",
            ],
            "3:12: watch.dnsbl.sample.prefix: line 2 has the same; change one of them",
        ),
    ] {
        assert_eq!(mistake(&watch(lines)), expected);
    }
}

#[test]
fn each_mistake_about_block_lists_is_named() {
    assert!(config(&watch(&[])).dnsbl.is_some());
    for (lines, expected) in [
        (
            ["addresses = ['192.0.2.25', '10.0.0.25']"].as_slice(),
            "2:28: watch.dnsbl.addresses: no block list can have '10.0.0.25', which others never see; write the address that \
             mail leaves from",
        ),
        (
            &["addresses = ['192.0.2.25', '192.0.2.26', '192.0.2.25']"],
            "2:42: watch.dnsbl.addresses: line 2 has the same; change one of them",
        ),
        (
            &["addresses = ['192.0.2.0/24']"],
            "2:14: watch.dnsbl.addresses: '192.0.2.0/24' is no address; write one, such as \"192.0.2.7\"",
        ),
        (&["addresses = []"], "2:13: watch.dnsbl.addresses: is empty; write a value or remove the key"),
        (&["lists = []"], "2:9: watch.dnsbl.lists: is empty; write a value or remove the key"),
        (&["lists = [{ name = 'zen' }]"], "2:10: watch.dnsbl.lists: 'zone' is missing; add it"),
        (
            &["lists = [{ zone = 'https://zen.example.org/' }]"],
            "2:19: watch.dnsbl.lists.zone: no block list can lie at 'https://zen.example.org/'; write its zone as its operator \
             names it, such as \"zen.example.org\"",
        ),
        (
            &["lists = [{ zone = 'zen.example.org' },", "{ zone = 'ZEN.example.org', name = 'other' }]"],
            "3:10: watch.dnsbl.lists.zone: line 2 has the same; change one of them",
        ),
        (
            &[
                "lists = [{ zone = 'zen.example.org', name = 'a' },",
                "{ zone = 'bl.example.org', name = 'a' }]",
            ],
            "3:35: watch.dnsbl.lists.name: line 2 has the same; change one of them",
        ),
        (
            &["every = '59s'"],
            "2:9: watch.dnsbl.every: is out of range; write something from \"1m\" to \"1d\"",
        ),
        (
            &["timeout = '31s'"],
            "2:11: watch.dnsbl.timeout: is out of range; write something from \"1s\" to \"30s\"",
        ),
        (
            &["resolver = ['ns.example:53']"],
            "2:13: watch.dnsbl.resolver: 'ns.example:53' is no address with a port; write \"127.0.0.1:10023\" or \
             \"[::1]:10023\" (no host names)",
        ),
        (&["resolver = []"], "2:12: watch.dnsbl.resolver: is empty; write a value or remove the key"),
    ] {
        assert_eq!(mistake(&watch(lines)), expected);
    }
    let lacks = format!("{WATCH}addresses = ['192.0.2.25']\n");
    assert_eq!(mistake(&lacks), "1:1: watch.dnsbl: 'lists' is missing; add it");
    assert!(mistake("[watch]\ndnsb = 1\n").starts_with("2:1: watch.dnsb: unknown field"));
    let cautions = warnings(&watch(&["addresses = ['2001:db8::25']"]));
    let caution = "file:2:14: watch.dnsbl.addresses: no list is asked about IPv6 addresses; a list that has some is told by \
                   ipv6 = true";
    assert!(cautions.contains(&caution.to_owned()), "{cautions:?}");
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
fn each_mistake_in_a_client_is_named() {
    for (more, expected) in [
        (
            "role = 'proxy'",
            "5:8: radius.client.role: a proxy speaks for other NASes; add 'may-assign' to say which prefixes are theirs, here or in a [[nas]]",
        ),
        (
            "role = 'proxy'\nnas = 'source'\nmay-assign = ['::/0']",
            "6:7: radius.client.nas: 'role' says already how NASes are named; remove 'nas'",
        ),
        ("group = ''", "5:9: radius.client.group: is empty; write a value or remove the key"),
        ("realm = ''", "5:9: radius.client.realm: is empty; write a value or remove the key"),
        (
            "secret-file = 's'",
            "5:15: radius.client.secret-file: a client needs one of 'secret' and 'secret-file', not both",
        ),
        (
            "[[radius.client]]\nname = 'a'\naddress = '192.0.2.2'\nsecret = 'sixteen octets!!'",
            "6:8: radius.client.name: line 2 has the same; change one of them",
        ),
        (
            "[[radius.client]]\nname = 'b'\naddress = '192.0.2.1/32'\nsecret = 'sixteen octets!!'",
            "7:11: radius.client.address: line 3 has the same; change one of them",
        ),
        (
            "[[radius.client]]\nname = 'b'\nsecret = 'sixteen octets!!'",
            "5:1: radius.client: 'address' is missing; add it",
        ),
        (
            "[[radius.client]]\nname = 'b'\naddress = '192.0.2.2'",
            "5:1: radius.client: a client needs one of 'secret' and 'secret-file', not both",
        ),
        (
            "[radius]\nlisten = []",
            "6:10: radius.listen: is empty, so that no [[radius.client]] can be heard; add an address or remove the key",
        ),
    ] {
        assert_eq!(mistake(&client(more)), expected);
    }
}

#[test]
fn a_secret_of_eight_octets_is_taken_with_a_warning_and_one_of_seven_refused() {
    let secret = |text: &str| client("").replace("sixteen octets!!", text);
    assert_eq!(
        mistake(&secret("1234567")),
        "4:10: radius.client.secret: the secret has 7 octets and can be guessed; use 16 or more, at least 8"
    );
    assert_eq!(
        warnings(&secret("12345678")),
        ["file:4:10: radius.client.secret: the secret has only 8 octets; 16 random ones withstand guessing"]
    );
    assert_eq!(warnings(&secret("123456789012345")).len(), 1);
    assert_eq!(warnings(&secret("1234567890123456")), Vec::<String>::new());
}

#[test]
fn what_holds_a_secret_is_not_open_to_everybody() {
    for (mode, open) in [(0o640, false), (0o660, false), (0o644, true), (0o642, true)] {
        assert_eq!(loaded(&Disk::with(&client(""), mode)).is_err(), open, "{mode:o}");
        let text = "[[radius.client]]\nname='a'\naddress='::1'\nsecret-file='s'\n";
        let disk = Disk::with(text, 0o644).and("/etc/relaywarden/s", b"sixteen octets!!", mode);
        assert_eq!(loaded(&disk).is_err(), open, "{mode:o}");
    }
    assert_eq!(
        loaded(&Disk::with(&client(""), 0o100_644)).unwrap_err(),
        format!(
            "{FILE}:4:10: radius.client.secret: {FILE} holds a secret and is open to everybody (mode 0644); run: chmod o= {FILE}"
        )
    );
}

#[test]
fn a_secret_file_that_is_not_there_is_named() {
    let mistake = mistake("[[radius.client]]\nname='a'\naddress='::1'\nsecret-file='s'\n");
    assert_eq!(
        mistake,
        "4:13: radius.client.secret-file: /etc/relaywarden/s cannot be read: entity not found; the daemon's user must \
         be able to"
    );
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
            "file: neither socketmap.listen nor policy.listen has an entry: no MTA can ask",
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
