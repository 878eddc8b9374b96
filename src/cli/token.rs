//! `token`: tokens are made, listed and revoked.
//!
//! Knows: options and bodies, and what is said of a token that was just made. Must not know: how tokens are kept, or what a
//! role may do.

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;

use super::output::{Row, Style, safe};
use super::rows::{local, or_nothing, text};
use super::{Answer, Daemon, Exit, Failure, Shown, read, time};
use crate::access::Role;
use crate::access::table::Scope;
use crate::clock;
use crate::server::http::api::rfc3339;
use crate::server::http::tokens::{NewToken, RevokeBody, TokenBody, TokenRow};

/// A token that is good until somebody thinks of it.
const NEVER: &str = "never";

/// `token`
#[derive(Debug, Clone, Subcommand)]
pub enum TokenCommand {
    /// Make a token; it is shown this once
    #[command(
        after_help = "Examples:\n  relaywarden token create --role viewer --note 'help desk'\n  relaywarden token \
                            create --role viewer --scope owner --expires 365d --note abusehq > token"
    )]
    Create(CreateArgs),
    /// Tokens, without their secrets
    #[command(after_help = "Example:\n  relaywarden token list")]
    List(ListArgs),
    /// Take a token back; sessions that browsers began with it end, too
    #[command(after_help = "Example:\n  relaywarden token revoke 5f1e0c2a")]
    Revoke(RevokeArgs),
}

/// `token create`
#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    /// What its holder may do
    #[arg(long, value_name = "ROLE", value_parser = Role::ALL.map(Role::word))]
    pub role: String,
    /// Only this part of it; may be repeated
    #[arg(long, value_name = "PART", value_parser = Scope::ALL.iter().map(|scope| scope.word()).collect::<Vec<_>>())]
    pub scope: Vec<String>,
    /// How long it is good: a span such as 90d, a moment, or never
    #[arg(long, value_name = "TIME", default_value = "90d")]
    pub expires: String,
    /// Who holds it, or what it is for
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Zone of local times, such as Europe/Berlin [default: the system's]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

/// `token list`
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    daemon: Daemon,
}

/// `token revoke`
#[derive(Debug, Clone, Args)]
pub struct RevokeArgs {
    /// Its number, as the list has it: what stands between rw_ and the next _
    pub id: String,
    #[command(flatten)]
    daemon: Daemon,
}

/// Does what is said of tokens.
///
/// # Errors
/// See [`Failure`].
pub fn run(command: &TokenCommand) -> Result<Answer, Failure> {
    match command {
        TokenCommand::Create(args) => create(args),
        TokenCommand::List(args) => list(args),
        TokenCommand::Revoke(args) => revoke(args),
    }
}

fn create(args: &CreateArgs) -> Result<Answer, Failure> {
    let zone = time::zone(args.tz.as_deref()).map_err(|error| Failure::Time("--tz", error))?;
    let expires = match args.expires.as_str() {
        NEVER => None,
        text => {
            let at = time::ahead(text, clock::now(), &zone);
            rfc3339(at.map_err(|error| Failure::Time("--expires", error))?)
        }
    };
    let body =
        TokenBody { role: args.role.clone(), scopes: args.scope.clone(), expires, note: args.note.clone() };
    let body = serde_json::to_vec(&body).map_err(|_| Failure::Unspellable)?;
    let made: NewToken = args.daemon.client()?.order("/v1/tokens", body)?;
    let until = match &made.row.expires {
        Some(expires) => format!("until {}", time::shown(expires, &zone)),
        None => "until it is revoked".to_owned(),
    };
    let scopes = made.row.scopes.join(", ");
    let scopes = if scopes.is_empty() { String::new() } else { format!(", {scopes} only") };
    let said = format!("token {}: {}{scopes}, {until}; it is shown this once", made.row.id, made.row.role);
    // The token alone, so that it can go to a file or a secret store.
    Ok(Answer { text: format!("{}\n", safe(&made.token)), remark: Some(safe(&said)), exit: Exit::Found })
}

fn list(args: &ListArgs) -> Result<Answer, Failure> {
    let style: Style = args.shown.style()?;
    let question = read::Question::new("/v1/tokens", &args.shown);
    read::listed::<TokenRow>(&question, &args.daemon, &style, "there are no tokens")
}

fn revoke(args: &RevokeArgs) -> Result<Answer, Failure> {
    // Who has the whole token at hand, because it strayed somewhere, pastes that.
    let id = args.id.strip_prefix("rw_").and_then(|rest| rest.split('_').next()).unwrap_or(&args.id);
    let body = serde_json::to_vec(&RevokeBody { id: id.to_owned() }).map_err(|_| Failure::Unspellable)?;
    let row: TokenRow = args.daemon.client()?.order("/v1/tokens/revoke", body)?;
    Ok(Answer { text: format!("token {} is revoked\n", safe(&row.id)), remark: None, exit: Exit::Found })
}

impl Row for TokenRow {
    const HEADINGS: &'static [&'static str] =
        &["ID", "ROLE", "SCOPES", "STATE", "CREATED", "BY", "EXPIRES", "NOTE"];
    const FIELDS: &'static [&'static str] =
        &["id", "role", "scopes", "state", "note", "created", "by", "expires", "revoked", "revoked_by"];

    fn line(&self, zone: &TimeZone) -> Vec<String> {
        let expires = self.expires.as_deref().map_or_else(|| NEVER.to_owned(), |at| time::shown(at, zone));
        vec![
            self.id.clone(),
            self.role.clone(),
            or_nothing(Some(&self.scopes.join(" "))),
            self.state.clone(),
            local(self.created.as_deref(), zone),
            self.by.clone(),
            expires,
            or_nothing(Some(&self.note)),
        ]
    }

    fn fields(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.role.clone(),
            self.scopes.join(" "),
            self.state.clone(),
            self.note.clone(),
            text(self.created.as_deref()),
            self.by.clone(),
            text(self.expires.as_deref()),
            text(self.revoked.as_deref()),
            text(self.revoked_by.as_deref()),
        ]
    }
}
