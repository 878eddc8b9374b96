//! Parts of NASes, each kept once: thousands of sessions are of the same one.
//!
//! Knows: which there are. Must not know: what is limited by them.

use std::sync::Arc;

use foldhash::HashSet;

use super::event::Scope;

/// Parts without a port, which is each session's own.
#[derive(Debug, Default)]
pub(super) struct Scopes(HashSet<Arc<Scope>>);

impl Scopes {
    /// The one value of all sessions of this part, but for the port.
    pub(super) fn shared(&mut self, scope: &Scope) -> Arc<Scope> {
        let scope = Scope { nas_port: None, ..scope.clone() };
        if let Some(known) = self.0.get(&scope) {
            return Arc::clone(known);
        }
        let scope = Arc::new(scope);
        self.0.insert(Arc::clone(&scope));
        scope
    }

    /// One session fewer is of this part.
    pub(super) fn leave(&mut self, scope: &Arc<Scope>) {
        // That session's and ours.
        if Arc::strong_count(scope) <= 2 {
            self.0.remove(scope);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Name;
    use super::*;

    #[test]
    fn a_part_is_kept_once_and_goes_with_its_last_session() {
        let mut scopes = Scopes::default();
        let at = |port| Scope {
            called_station: Some(Name::from("ap1")),
            nas_port: Some(port),
            ..Scope::default()
        };
        let (one, other) = (scopes.shared(&at(1)), scopes.shared(&at(2)));
        assert!(Arc::ptr_eq(&one, &other));
        scopes.leave(&one);
        drop(one);
        assert_eq!(scopes.0.len(), 1);
        scopes.leave(&other);
        assert_eq!(scopes.0.len(), 0);
    }
}
