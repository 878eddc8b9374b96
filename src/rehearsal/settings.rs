//! Clients and rules of a story to the configuration that they would be.
//!
//! Knows: in which table of the configuration a key stands. Must not know: what a key means, or which there are: the
//! configuration's own reader says what is wrong with them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use super::Fault;
use super::words::unquoted;
use crate::config::Config;
use crate::config::file::{self, Contents, Files};
use crate::radius::dictionary::Dictionary;

/// Keys that hold lists.
const LISTS: [&str; 6] = ["may-assign", "identity", "never", "shared-names", "keep", "realm-attributes"];
/// Keys of a table other than `[session]`.
const TABLES: [(&str, &[&str]); 3] = [
    (
        "subscriber",
        &[
            "identity",
            "lowercase",
            "strip-realm",
            "fold-mac",
            "shared-names",
            "keep",
            "many-sessions",
            "prefixes",
            "prefixes",
        ],
    ),
    ("relay", &["never", "static"]),
    ("radius", &["realm-attributes"]),
];
const SESSION: &str = "session";

/// Keys with their values in TOML.
type Keys = Vec<(String, String)>;

/// A line that configures.
#[derive(Debug, Clone)]
pub(super) enum Setting {
    /// `client`, and its name.
    Client(String, Keys),
    /// `rule`.
    Rule(Keys),
    /// `nat`: a deterministic translation.
    Nat(Keys),
    /// `listed`: a line of the list of prefixes that no record carries.
    Listed(String),
}

impl Setting {
    pub(super) fn client(name: &str, words: &[&str]) -> Self {
        Setting::Client(unquoted(name).to_owned(), keys(words))
    }

    pub(super) fn rule(words: &[&str]) -> Self {
        Setting::Rule(keys(words))
    }

    pub(super) fn nat(words: &[&str]) -> Self {
        Setting::Nat(keys(words))
    }

    pub(super) fn listed(words: &[&str]) -> Self {
        Setting::Listed(format!("{}\n", words.join(",")))
    }
}

fn keys(words: &[&str]) -> Keys {
    words.iter().map(|word| key(word)).collect()
}

fn key(word: &str) -> (String, String) {
    let Some((key, value)) = word.split_once('=') else { return (word.to_owned(), "true".to_owned()) };
    let value = unquoted(value);
    let value = match key {
        "static" => list(value, |one| {
            // An IPv6 prefix has colons before its length.
            let colon = one.find('/').and_then(|slash| Some(slash + one.get(slash..)?.find(':')?));
            let (prefix, subscriber) =
                colon.and_then(|colon| Some((one.get(..colon)?, one.get(colon + 1..)?))).unwrap_or((one, ""));
            format!("{{ prefix = {}, subscriber = {} }}", text(prefix), text(subscriber))
        }),
        _ if LISTS.contains(&key) => list(value, text),
        _ if matches!(value, "true" | "false") || value.bytes().all(|octet| octet.is_ascii_digit()) => {
            value.to_owned()
        }
        _ => text(value),
    };
    (key.to_owned(), value)
}

fn text(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}

fn list(value: &str, one: impl Fn(&str) -> String) -> String {
    let parts: Vec<_> = value.split(',').filter(|_| !value.is_empty()).map(one).collect();
    format!("[{}]", parts.join(", "))
}

/// What was set so far.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// In the order in which they were first named.
    clients: Vec<(String, Keys)>,
    rules: BTreeMap<String, String>,
    translations: Vec<Keys>,
    listed: Vec<String>,
}

impl Settings {
    pub(super) fn set(&mut self, setting: &Setting) {
        match setting {
            Setting::Client(name, keys) => match self.clients.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => known.clone_from(keys),
                None => self.clients.push((name.clone(), keys.clone())),
            },
            Setting::Rule(keys) => self.rules.extend(keys.iter().cloned()),
            Setting::Nat(keys) => self.translations.push(keys.clone()),
            Setting::Listed(line) => {
                self.listed.push(line.clone());
                self.rules.insert("prefixes".to_owned(), text(LISTED));
            }
        }
    }

    /// The configuration that this is. Without a client there is `bras1`; without an address the first client is
    /// 198.51.100.1, the second .2.
    pub(super) fn config(&self) -> Result<Config, Fault> {
        let only = vec![("bras1".to_owned(), Vec::new())];
        let clients = if self.clients.is_empty() { &only } else { &self.clients };
        // Nothing in a story lasts that long.
        let mut toml =
            String::from("[retention]\nsessions = \"180d\"\nmessages = \"180d\"\nquestions = \"180d\"\n");
        for (table, keys) in TABLES.iter().copied().chain([(SESSION, [].as_slice())]) {
            let here = |key: &str| match table {
                SESSION => !TABLES.iter().any(|(_, keys)| keys.contains(&key)),
                _ => keys.contains(&key),
            };
            write_table(&mut toml, &format!("[{table}]"), self.rules.iter().filter(|(key, _)| here(key)));
        }
        for keys in &self.translations {
            write_table(&mut toml, "[[nat]]", keys.iter().map(|(key, value)| (key, value)));
        }
        for (number, (name, keys)) in (1..).zip(clients) {
            write_table(&mut toml, "[[radius.client]]", keys.iter().map(|(key, value)| (key, value)));
            let _ = writeln!(toml, "name = {}\nsecret = \"told to everybody\"", text(name));
            if !keys.iter().any(|(key, _)| key == "address") {
                let _ = writeln!(toml, "address = \"198.51.100.{number}\"");
            }
        }
        let written = Written { toml, listed: self.listed.concat() };
        let loaded = file::read(Path::new(CONFIGURATION), &written, &mut Dictionary::beside_builtin());
        loaded.map(|loaded| loaded.config).map_err(|error| {
            let key = error.place.and_then(|place| place.key).map(|key| format!("{key}: "));
            Fault::Settings(format!("{}{}", key.unwrap_or_default(), error.fault))
        })
    }
}

fn write_table<'a>(toml: &mut String, header: &str, keys: impl Iterator<Item = (&'a String, &'a String)>) {
    let _ = writeln!(toml, "{header}");
    keys.for_each(|(key, value)| {
        let _ = writeln!(toml, "{} = {value}", text(key));
    });
}

/// The names of the two files that a story's settings would be.
const CONFIGURATION: &str = "scenario";
const LISTED: &str = "listed";

/// Their texts, which are nobody else's to read.
struct Written {
    toml: String,
    listed: String,
}

impl Files for Written {
    fn read(&self, path: &Path) -> io::Result<Contents> {
        let text = if path == Path::new(CONFIGURATION) { &self.toml } else { &self.listed };
        Ok(Contents { octets: text.clone().into_bytes(), mode: 0o600 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::words;
    use super::*;

    fn config(lines: &[&str]) -> Result<Config, Fault> {
        let mut settings = Settings::default();
        for line in lines {
            let words = words(line).unwrap();
            settings.set(&match words[0] {
                "client" => Setting::client(words[1], &words[2..]),
                _ => Setting::rule(&words[1..]),
            });
        }
        settings.config()
    }

    #[test]
    fn lines_are_what_the_configuration_says_in_other_words() {
        let config = config(&[
            "client bras1 address=203.0.113.1 may-assign=192.0.2.0/24,2001:db8::/32 stop-start",
            "client bras2",
            "rule defer-after-stop=1m never=192.0.2.250,192.0.2.251 static=192.0.2.240/29:office,2001:db8::/56:home",
            "rule identity=Class,User-Name lowercase=false strip-realm",
        ])
        .unwrap();
        let [one, two] = &config.radius.clients[..] else { panic!("two clients") };
        assert_eq!((one.may_assign.len(), one.stop_start), (2, true));
        assert_eq!(two.address, "198.51.100.2/32".parse().unwrap());
        assert_eq!(config.rules.defer_after_stop.as_secs(), 60);
        assert_eq!((config.relay.never.len(), config.relay.statics.len()), (2, 2));
        assert_eq!(config.identity.chain.len(), 2);
        assert!(config.identity.canonical.strip_realm && !config.identity.canonical.lowercase);
    }

    #[test]
    fn what_is_wrong_is_said_by_the_configurations_reader() {
        let said = |line: &str| config(&[line]).unwrap_err().to_string();
        assert!(said("client bras1 may-asign=192.0.2.0/24").contains("unknown field `may-asign`"));
        assert!(said("rule stale-limit=soon").starts_with("session.stale-limit: 'soon' is no time"));
        assert!(said("rule static=192.0.2.240/29").starts_with("relay.static.subscriber: "));
    }
}
