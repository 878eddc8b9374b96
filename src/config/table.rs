//! The tables of the configuration file as they are written, each text with its place.
//!
//! Knows: which keys there are, and that there are no others. Must not know: what a value means.

use serde::Deserialize;
use toml::Spanned;

/// A text and where it stands.
pub(super) type Text = Spanned<String>;

/// A list of texts and where it stands.
pub(super) type Texts = Spanned<Vec<Text>>;

/// A number and where it stands, as large or small as TOML allows.
pub(super) type Number = Spanned<i64>;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct File {
    pub data_dir: Option<Text>,
    pub radius: Radius,
    pub subscriber: Subscriber,
    pub session: Session,
    pub relay: Relay,
    pub limit: Vec<Spanned<Limit>>,
    pub nas: Vec<Spanned<Nas>>,
    pub nat: Vec<Spanned<Nat>>,
    pub mta: Vec<Spanned<Mta>>,
    pub socketmap: Sockets,
    pub policy: Policy,
    pub milter: Milter,
    pub scanned: Scanned,
    pub http: Http,
    pub retention: Option<Spanned<Retention>>,
    pub audit: Audit,
    pub room: Room,
    pub trend: Trend,
    pub rules: CommonRules,
    pub rule: Vec<Spanned<Rule>>,
    pub watch: Watch,
    pub coa: Coa,
    pub logins: Logins,
    pub notice: Vec<Spanned<Notice>>,
}

/// `[rules]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct CommonRules {
    pub max_actions: Option<Text>,
}

/// `[[rule]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Rule {
    pub name: Option<Text>,
    pub when: Option<Text>,
    pub then: Option<Text>,
    pub mode: Option<Text>,
    pub max_actions: Option<Text>,
}

/// `[[notice]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Notice {
    pub name: Option<Text>,
    pub webhook: Option<Text>,
    pub secret_file: Option<Text>,
    pub ca_file: Option<Text>,
    pub command: Option<Texts>,
    pub events: Option<Texts>,
    pub report_at: Option<Text>,
    pub timeout: Option<Text>,
}

/// `[retention]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Retention {
    pub sessions: Option<Text>,
    pub messages: Option<Text>,
    pub questions: Option<Text>,
}

/// `[radius]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Radius {
    pub listen: Option<Texts>,
    pub dictionaries: Vec<Text>,
    pub realm_attributes: Option<Texts>,
    pub client: Vec<Spanned<Client>>,
    pub detail: Vec<Spanned<Detail>>,
}

/// `[[radius.detail]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Detail {
    pub directory: Option<Text>,
    pub client: Option<Text>,
    pub files: Option<Text>,
    pub remove: bool,
}

/// `[[nas]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Nas {
    pub client: Option<Text>,
    pub identifier: Option<Text>,
    pub address: Option<Text>,
    pub name: Option<Text>,
    pub may_assign: Option<Texts>,
    pub realm: Option<Text>,
}

/// `[[radius.client]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Client {
    pub name: Option<Text>,
    pub address: Option<Text>,
    pub secret: Option<Text>,
    pub secret_file: Option<Text>,
    pub may_assign: Option<Texts>,
    pub nas: Option<Text>,
    pub role: Option<Text>,
    pub stop_start: bool,
    pub realm: Option<Text>,
    pub realm_attributes: Option<Texts>,
    pub group: Option<Text>,
    pub snapshot: bool,
    pub routed_netmask: bool,
    pub one_to_one: bool,
}

/// `[subscriber]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Subscriber {
    pub identity: Option<Texts>,
    pub lowercase: bool,
    pub strip_realm: bool,
    pub fold_mac: bool,
    pub shared_names: Vec<Text>,
    pub keep: Vec<Text>,
    pub many_sessions: Option<Number>,
    pub prefixes: Option<Text>,
}

impl Default for Subscriber {
    fn default() -> Self {
        Subscriber {
            identity: None,
            lowercase: true,
            strip_realm: false,
            fold_mac: false,
            shared_names: Vec::new(),
            keep: Vec::new(),
            many_sessions: None,
            prefixes: None,
        }
    }
}

/// `[session]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Session {
    pub defer_after_stop: Option<Text>,
    pub interim_overdue: Option<Text>,
    pub lifetime_without_interim: Option<Text>,
    pub nas_silence_grace: Option<Text>,
    pub stale_limit: Option<Text>,
    pub warm_up: Option<Text>,
}

/// `[relay]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Relay {
    pub mode: Option<Text>,
    pub unrecorded: Option<Text>,
    pub never: Vec<Text>,
    #[serde(rename = "static")]
    pub statics: Vec<Spanned<Static>>,
    pub authenticated: Option<Text>,
}

/// An entry of `relay.static`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Static {
    pub prefix: Option<Text>,
    pub subscriber: Option<Text>,
    pub within: Option<Text>,
}

/// `[[limit]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Limit {
    pub name: Option<Text>,
    pub mode: Option<Text>,
    #[serde(rename = "match")]
    pub kind: Kind,
    pub messages: Vec<Text>,
    pub recipients: Vec<Text>,
    pub bytes: Vec<Text>,
    pub message_size: Option<Text>,
    pub connections: Option<Number>,
    pub refused: Vec<Text>,
    pub text: Option<Text>,
}

/// `match` of `[[limit]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Kind {
    pub subscriber: Option<Text>,
    pub nas: Option<Text>,
    pub attribute: Option<Text>,
    pub class: Option<Text>,
    #[serde(rename = "static")]
    pub is_static: bool,
    pub authenticated: Option<bool>,
    pub limited: bool,
}

/// `[[nat]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Nat {
    pub inside: Option<Text>,
    pub outside: Option<Text>,
    pub block: Option<Number>,
    pub first_port: Option<Number>,
    pub realm: Option<Text>,
}

/// `[[mta]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Mta {
    pub name: Option<Text>,
    pub address: Option<Text>,
    pub realm: Option<Text>,
}

/// `[socketmap]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Sockets {
    pub listen: Option<Texts>,
    pub socket_mode: Option<Text>,
    pub socket_group: Option<Text>,
    pub realm: Option<Text>,
}

/// `[policy]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Policy {
    pub listen: Option<Texts>,
    pub socket_mode: Option<Text>,
    pub socket_group: Option<Text>,
    pub realm: Option<Text>,
    pub header: Option<Text>,
    pub contact: Option<Text>,
}

/// `[milter]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Milter {
    pub listen: Option<Texts>,
    pub socket_mode: Option<Text>,
    pub socket_group: Option<Text>,
    pub realm: Option<Text>,
    pub profile: Option<Text>,
    pub message_ids: Option<bool>,
}

/// `[scanned]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Scanned {
    pub spam_actions: Option<Vec<Text>>,
    pub virus_symbols: Option<Vec<Text>>,
    pub header: Option<Vec<Spanned<ScannedHeader>>>,
}

/// `[[scanned.header]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct ScannedHeader {
    pub name: Option<Text>,
    pub spam: Vec<Text>,
    pub virus: Vec<Text>,
    pub spam_score: Option<Spanned<f64>>,
    pub contains: Option<Text>,
    pub position: Option<Text>,
}

/// `[http]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Http {
    pub socket: Option<Text>,
    pub socket_mode: Option<Text>,
    pub socket_group: Option<Text>,
    pub viewers_group: Option<Text>,
    pub operators_group: Option<Text>,
    pub auditors_group: Option<Text>,
    pub listen: Option<Texts>,
    pub names: Option<Texts>,
    pub time_zone: Option<Text>,
    pub url: Option<Text>,
}

/// `[audit]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Audit {
    pub require_purpose: Option<Spanned<bool>>,
}

/// `[room]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Room {
    pub requests: Option<Number>,
    pub remembered: Option<Number>,
    pub connections: Option<Number>,
    pub past: Option<Number>,
}

/// `[trend]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Trend {
    pub signals: Option<Spanned<bool>>,
    pub learn: Option<Text>,
    pub messages: Threshold,
    pub hours: Threshold,
    pub recipients: Threshold,
    pub domains: Threshold,
    pub new_domains: Threshold,
    pub strangers: Threshold,
    pub senders: Threshold,
    pub helo: Threshold,
    pub refused: Threshold,
    pub spam: Threshold,
    pub virus: Threshold,
    pub addresses: Threshold,
}

/// An entry of `[trend]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Threshold {
    pub floor: Option<Number>,
    pub factor: Option<Text>,
}

/// `[watch]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Watch {
    pub dnsbl: Option<Spanned<Dnsbl>>,
}

/// `[watch.dnsbl]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Dnsbl {
    pub addresses: Option<Texts>,
    pub lists: Option<Spanned<Vec<Spanned<BlockList>>>>,
    pub sample: Vec<Spanned<Sample>>,
    pub every: Option<Text>,
    pub resolver: Option<Texts>,
    pub timeout: Option<Text>,
}

/// An entry of `watch.dnsbl.lists`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct BlockList {
    pub zone: Option<Text>,
    pub name: Option<Text>,
    pub ipv6: bool,
}

/// An entry of `watch.dnsbl.sample`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Sample {
    pub prefix: Option<Text>,
    pub count: Option<Number>,
}

/// `[coa]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Coa {
    pub mode: Option<Text>,
    pub max_requests: Option<Text>,
    pub nas: Vec<Spanned<Reached>>,
}

/// `[[coa.nas]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Reached {
    pub nas: Option<Text>,
    pub address: Option<Text>,
    pub secret: Option<Text>,
    pub secret_file: Option<Text>,
    pub on: Option<Text>,
    pub on_start: Option<bool>,
    pub send: Option<Text>,
    pub attributes: Option<Texts>,
    pub message_authenticator: bool,
    pub release: Option<Spanned<Release>>,
}

/// `release` of `[[coa.nas]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Release {
    pub send: Option<Text>,
    pub attributes: Option<Texts>,
}

/// `[logins]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Logins {
    pub file: Option<Text>,
    pub same_names: Option<Spanned<bool>>,
}
