//! Unix users at the other end of the socket, and what they may do.
//!
//! Root and the daemon's own user are auditors. The groups that the configuration names say who of the others may do what;
//! where it names none, whoever the socket's mode lets in is an operator.
//!
//! Knows: users, groups and roles. Must not know: requests, or any path.

use std::ffi::CString;
use std::fmt;

use nix::unistd::{Gid, Group, Uid, User};

use super::Peer;
use crate::access::Role;
use crate::config::Http;
use crate::session::Name;

/// A group that the configuration names, and the system does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchGroup {
    key: &'static str,
    group: String,
}

impl fmt::Display for NoSuchGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http.{} {}: there is no such group", self.key, self.group)
    }
}

impl std::error::Error for NoSuchGroup {}

/// Which groups have which role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peers {
    own: Uid,
    groups: Vec<(Gid, Role)>,
}

impl Peers {
    /// Looks the groups up.
    ///
    /// # Errors
    /// One is not there.
    pub fn of(http: &Http) -> Result<Peers, NoSuchGroup> {
        let named = [
            ("auditors-group", &http.auditors, Role::Auditor),
            ("operators-group", &http.operators, Role::Operator),
            ("viewers-group", &http.viewers, Role::Viewer),
        ];
        let mut groups = Vec::new();
        for (key, group, role) in named {
            let Some(group) = group else { continue };
            match Group::from_name(group) {
                Ok(Some(found)) => groups.push((found.gid, role)),
                _ => return Err(NoSuchGroup { key, group: group.clone() }),
            }
        }
        Ok(Peers { own: Uid::effective(), groups })
    }

    /// What this user, in these groups, may do; `None`: nothing.
    #[must_use]
    pub fn role(&self, user: Uid, groups: &[Gid]) -> Option<Role> {
        if user.is_root() || user == self.own {
            return Some(Role::Auditor);
        }
        if self.groups.is_empty() {
            return Some(Role::Operator);
        }
        self.groups.iter().filter(|(group, _)| groups.contains(group)).map(|(_, role)| *role).max()
    }

    /// Who a user is, by the system's database. That may be in the network, and blocks.
    #[must_use]
    pub fn peer(&self, user: Uid, group: Gid) -> Peer {
        let known = User::from_uid(user).ok().flatten();
        let listed = known.as_ref().and_then(|known| {
            let name = CString::new(known.name.as_str()).ok()?;
            nix::unistd::getgrouplist(&name, group).ok()
        });
        let groups = listed.unwrap_or_else(|| vec![group]);
        let name = known.map_or_else(|| nameless(user), |known| Name::from(known.name.as_str()));
        Peer { name, role: self.role(user, &groups) }
    }

    /// The same while the database does not answer.
    #[must_use]
    pub fn unnamed(&self, user: Uid, group: Gid) -> Peer {
        Peer { name: nameless(user), role: self.role(user, &[group]) }
    }
}

fn nameless(user: Uid) -> Name {
    Name::from(format!("uid:{user}").as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(groups: &[(u32, Role)]) -> Peers {
        let groups = groups.iter().map(|(gid, role)| (Gid::from_raw(*gid), *role)).collect();
        Peers { own: Uid::from_raw(900), groups }
    }

    #[test]
    fn root_and_the_daemons_user_are_auditors_and_others_operators_where_no_group_is_named() {
        let peers = peers(&[]);
        assert_eq!(peers.role(Uid::from_raw(0), &[]), Some(Role::Auditor));
        assert_eq!(peers.role(Uid::from_raw(900), &[]), Some(Role::Auditor));
        assert_eq!(peers.role(Uid::from_raw(1000), &[Gid::from_raw(0)]), Some(Role::Operator));
    }

    #[test]
    fn where_groups_are_named_the_highest_counts_and_who_is_in_none_may_nothing() {
        let peers = peers(&[(50, Role::Auditor), (51, Role::Operator), (52, Role::Viewer)]);
        let role = |groups: &[u32]| {
            let groups: Vec<Gid> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
            peers.role(Uid::from_raw(1000), &groups)
        };
        assert_eq!(role(&[52, 51]), Some(Role::Operator));
        assert_eq!(role(&[52]), Some(Role::Viewer));
        assert_eq!(role(&[1, 50]), Some(Role::Auditor));
        assert_eq!(role(&[1]), None);
        assert_eq!(peers.role(Uid::from_raw(0), &[]), Some(Role::Auditor));
    }

    #[test]
    fn a_group_that_is_not_there_is_named_with_its_key() {
        let http = Http { viewers: Some("no-such-group-of-ours".to_owned()), ..Http::default() };
        let error = Peers::of(&http).unwrap_err().to_string();
        assert_eq!(error, "http.viewers-group no-such-group-of-ours: there is no such group");
    }
}
