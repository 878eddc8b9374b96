//! Whose a message is known to have been by now. A record that came late, or an import, may change the past after it was decided.
//!
//! Knows: what is worth telling apart. Must not know: how an owner is found, or who is told.

use super::api::{MessageRow, Who, parse_rfc3339};
use super::{Staff, Trouble};
use crate::audit::rows::Confidence;

/// The owner as known now, where it is surely another than was decided then. What is less than sure accuses nobody, and
/// acquits nobody either.
///
/// # Errors
/// The past can't be asked.
pub async fn known_now<S: Staff>(staff: &S, row: &MessageRow) -> Result<Option<Who>, Trouble> {
    let address = row.address.as_deref().and_then(|address| address.parse().ok());
    let (Some(address), Some(at)) = (address, parse_rfc3339(&row.at)) else { return Ok(None) };
    let Some(realm) = staff.realm_of(address) else { return Ok(None) };
    let who = staff.owner(realm, address, row.port, at).await?;
    Ok(Some(who).filter(|who| is_sure(who) && who.subscriber != row.subscriber))
}

/// Whether it names one subscriber, without a doubt.
#[must_use]
pub fn is_sure(who: &Who) -> bool {
    who.subscriber.is_some() && who.confidence == Confidence::Exact.word()
}
