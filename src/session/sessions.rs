//! All living sessions, by NAS: what concerns one NAS must not cost a walk over those of the others.
//!
//! Knows: where a session is kept. Must not know: anything about it.

use std::collections::HashMap;

use super::Name;
use super::held::{Held, Id};

/// Sessions by number of their NAS and Acct-Session-Id.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_nas: Vec<HashMap<Name, Held>>,
    count: usize,
}

impl Sessions {
    pub(super) fn get(&self, id: &Id) -> Option<&Held> {
        self.by_nas.get(id.nas as usize)?.get(&id.session)
    }

    pub(super) fn get_mut(&mut self, id: &Id) -> Option<&mut Held> {
        self.by_nas.get_mut(id.nas as usize)?.get_mut(&id.session)
    }

    pub(super) fn contains(&self, id: &Id) -> bool {
        self.get(id).is_some()
    }

    pub(super) fn insert(&mut self, id: &Id, held: Held) {
        let place = id.nas as usize;
        if self.by_nas.len() <= place {
            self.by_nas.resize_with(place.saturating_add(1), HashMap::new);
        }
        if let Some(sessions) = self.by_nas.get_mut(place)
            && sessions.insert(id.session.clone(), held).is_none()
        {
            self.count = self.count.saturating_add(1);
        }
    }

    pub(super) fn remove(&mut self, id: &Id) -> Option<Held> {
        let held = self.by_nas.get_mut(id.nas as usize)?.remove(&id.session)?;
        self.count = self.count.saturating_sub(1);
        Some(held)
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn ids(&self) -> Vec<Id> {
        self.iter().map(|(id, _)| id).collect()
    }

    pub(super) fn ids_of(&self, nas: u32) -> Vec<Id> {
        let sessions = self.by_nas.get(nas as usize);
        sessions
            .into_iter()
            .flat_map(HashMap::keys)
            .map(|session| Id { nas, session: session.clone() })
            .collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Id, &Held)> {
        (0_u32..).zip(&self.by_nas).flat_map(|(nas, sessions)| {
            sessions.iter().map(move |(session, held)| (Id { nas, session: session.clone() }, held))
        })
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Held> {
        self.by_nas.iter_mut().flat_map(HashMap::values_mut)
    }

    pub(super) fn values_of_mut(&mut self, nas: u32) -> impl Iterator<Item = &mut Held> {
        self.by_nas.get_mut(nas as usize).into_iter().flat_map(HashMap::values_mut)
    }
}
