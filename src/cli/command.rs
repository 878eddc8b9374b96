//! Commands that order: `suspend`, `limit` and `release`.
//!
//! Knows: the body of an order and what to say once it holds. Must not know: who may give it; the socket's mode and the
//! daemon decide that.

use clap::Args;
use jiff::tz::TimeZone;

use super::output::safe;
use super::{Answer, Daemon, Exit, Failure, time};
use crate::clock;
use crate::server::http::api::{OrderBody, OrderRow, rfc3339};
use crate::session::Name;

/// What each order needs.
#[derive(Debug, Clone, Args)]
pub struct OrderArgs {
    /// Whom: a subscriber, or a SASL login with --login
    pub subject: String,
    /// Why; kept with the order
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The name is a SASL login
    #[arg(long)]
    pub login: bool,
    /// The name is of who sends within a trusted host, as host/sender
    #[arg(long, conflicts_with = "login")]
    pub within: bool,
    /// Also for a name that was never seen, or that of a static range
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    daemon: Daemon,
}

/// `suspend`, `limit`
#[derive(Debug, Clone, Args)]
pub struct HoldBackArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// Until then [default: until released]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Zone of local times, such as Europe/Berlin [default: the system's]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
}

/// `release`
#[derive(Debug, Clone, Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    order: OrderArgs,
}

/// No mail from here on.
///
/// # Errors
/// See [`Failure`].
pub fn suspend(args: &HoldBackArgs) -> Result<Answer, Failure> {
    hold_back(args, "/v1/suspensions", "suspended")
}

/// Little mail from here on.
///
/// # Errors
/// See [`Failure`].
pub fn limit(args: &HoldBackArgs) -> Result<Answer, Failure> {
    hold_back(args, "/v1/suspensions/limit", "limited")
}

fn hold_back(args: &HoldBackArgs, path: &str, standing: &str) -> Result<Answer, Failure> {
    let zone = time::zone(args.tz.as_deref()).map_err(|error| Failure::Time("--tz", error))?;
    let row = give(path, &args.order, until(args.until.as_deref(), &zone)?)?;
    let text = format!(
        "{} {} is {standing} {}; reference {}\n",
        safe(&row.kind),
        safe(&row.subject),
        shown_until(row.until.as_deref(), &zone),
        row.reference
    );
    Ok(Answer { text, remark: None, exit: Exit::Found })
}

/// `--until` in the spelling of the API.
pub(super) fn until(text: Option<&str>, zone: &TimeZone) -> Result<Option<String>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let at = time::parse(text, clock::now(), zone).map_err(|error| Failure::Time("--until", error))?;
    Ok(rfc3339(at))
}

/// Until when an order holds, in words.
pub(super) fn shown_until(until: Option<&str>, zone: &TimeZone) -> String {
    match until {
        Some(until) => format!("until {} ({})", time::shown(until, zone), safe(until)),
        None => "until released".to_owned(),
    }
}

/// As before again.
///
/// # Errors
/// See [`Failure`].
pub fn release(args: &ReleaseArgs) -> Result<Answer, Failure> {
    let row = give("/v1/suspensions/release", &args.order, None)?;
    let text =
        format!("{} {} is released; reference {}\n", safe(&row.kind), safe(&row.subject), row.reference);
    Ok(Answer { text, remark: None, exit: Exit::Found })
}

fn give(path: &str, order: &OrderArgs, until: Option<String>) -> Result<OrderRow, Failure> {
    let body = OrderBody {
        subject: Name::from_text(&order.subject).to_string(),
        kind: [(order.login, "login"), (order.within, "within")]
            .into_iter()
            .find_map(|(is, kind)| is.then(|| kind.to_owned())),
        reason: order.reason.clone(),
        until,
        force: order.force,
    };
    let body = serde_json::to_vec(&body).map_err(|_| Failure::Unspellable)?;
    Ok(order.daemon.client()?.order(path, body)?)
}
