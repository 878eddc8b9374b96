//! Whom a message concerns beside the owner of its address and its login: the login's subscriber, and who sends within a trusted host.
//!
//! Knows: by which rules these are found. Must not know: what follows for them.

use super::MailDesk;
use crate::config::Config;
use crate::relay::Query;
use crate::relay::ruling::Ruling;
use crate::relay::standing::Subject;
use crate::relay::within;
use crate::session::Name;

impl MailDesk {
    /// Each once, and none that is the owner.
    pub(super) fn beside(query: &Query, ruling: &Ruling, config: &Config) -> Vec<Subject> {
        let owner = ruling.owner();
        let of_login = query.login.as_deref().map(Name::new);
        let of_login = of_login.and_then(|login| config.logins.subscriber(&login));
        let of_login = of_login.filter(|of| owner.and_then(|owner| owner.subscriber.as_ref()) != Some(of));
        // By a static prefix: of any other line the sender is nobody's word.
        let host = owner.filter(|owner| owner.session.is_none()).and_then(|owner| owner.subscriber.as_ref());
        let within = host.and_then(|host| {
            let (_, by) = config.relay.within.iter().find(|(name, _)| name == host)?;
            Some(within::subject(host, *by, &query.sender))
        });
        of_login.map(Subject::Subscriber).into_iter().chain(within).collect()
    }
}
