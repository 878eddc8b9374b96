//! Records that a NAS told somebody else, and that come to us out of that one's files: they warm an empty map and fill
//! the past.
//!
//! Knows: that a file says nothing about whether its NAS speaks now, and that what is history leaves no trace but in the
//! past. Must not know: files, or how old a record may be; its arrival says when it is to be judged as of.

use super::event::{Effect, Ended, Kind, Record};
use super::held::{Id, SAME_MOMENT, began};
use super::machine::Machine;
use super::{Place, Realm, SessionKey, Timestamp};

impl Machine {
    pub(super) fn import(&mut self, record: &Record, effects: &mut Vec<Effect>) {
        self.name_realm(record.realm.as_ref(), effects);
        let stale = self.is_stale(record);
        let id = match self.nas_numbers.get(&record.nas) {
            Some(&nas) => Id { nas, session: record.session_id.clone() },
            // A NAS of which there is nothing but history need not exist any more.
            None if stale => return self.tell_past(None, record, effects),
            None => Id { nas: self.meet(record, record.event), session: record.session_id.clone() },
        };
        if let Some(nas) = self.nases.get(id.nas as usize) {
            nas.shared.heard_before(record.event);
        }
        let past = match record.kind {
            _ if record.service.is_some() => false,
            Kind::Start | Kind::Interim => stale,
            // Row 32: a Stop ends a session that lives, however late it comes.
            Kind::Stop => self.sessions.get(&id).is_none_or(|held| held.stopped_before_it_began(record)),
            Kind::On | Kind::Off => false,
        };
        if past {
            self.tell_past(Some(&id), record, effects);
        }
        // Of a session that is long over no tombstone is needed: whatever it would keep out is history too. There may be
        // millions of them.
        if !past || (record.kind == Kind::Stop && !stale) {
            self.follow(id.nas, record, effects);
        }
    }

    /// What a record tells of a session that is over, or of the past of one that lives.
    fn tell_past(&self, id: Option<&Id>, record: &Record, effects: &mut Vec<Effect>) {
        let (from, until) = (began(record), record.event);
        let realm = self.known_realm(record).unwrap_or(Realm::NOWHERE);
        let known = id.and_then(|id| self.life_of(id, record));
        let lives = known.as_ref().is_some_and(|life| life.lives);
        let incarnation = known.map_or(from, |life| life.incarnation);
        let session = SessionKey { nas: record.nas.clone(), id: record.session_id.clone(), incarnation };
        if !lives && matches!(record.kind, Kind::Start | Kind::Interim | Kind::Stop) {
            effects.push(Effect::SessionOpened {
                session: session.clone(),
                subscriber: record.subscriber.clone(),
                user_name: record.user_name.clone(),
                line: record.line.clone(),
                inside: record.inside.map(|inside| (realm, inside)),
                kept: record.kept.clone(),
            });
        }
        for claim in &record.claims {
            effects.push(Effect::PastHeld {
                session: session.clone(),
                subscriber: record.subscriber.clone(),
                place: Place::new(realm, claim.prefix, claim.ports),
                from,
                until,
                ended: record.kind == Kind::Stop,
                inferred: from < until,
            });
        }
        let how = match record.kind {
            Kind::Stop => Ended::Stopped,
            // Nothing more was heard of it, or what was comes next.
            Kind::Interim => Ended::Expired,
            Kind::Start | Kind::On | Kind::Off => return,
        };
        if !lives {
            effects.push(Effect::SessionClosed { session, at: until, last_seen: until, how });
        }
    }

    /// The life of a session, as far as we heard of it ourselves, that a record tells of. Ids are used again, by the same
    /// customer too; and who wrote the file may have had the beginning a second apart from us.
    fn life_of(&self, id: &Id, record: &Record) -> Option<Life> {
        let from = began(record);
        if let Some(held) = self.sessions.get(id)
            && held.same_identity(record)
            && from.plus(SAME_MOMENT) >= held.opened()
        {
            return Some(Life { incarnation: held.opened(), lives: true });
        }
        let incarnation = self.tombstones.get(id)?.incarnation;
        let same = from.since(incarnation).max(incarnation.since(from)) <= SAME_MOMENT;
        same.then_some(Life { incarnation, lives: false })
    }
}

struct Life {
    incarnation: Timestamp,
    lives: bool,
}
