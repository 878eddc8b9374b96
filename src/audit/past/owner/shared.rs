//! The past of addresses that several subscribers share by ports.
//!
//! Knows: blocks of ports, configured translations, and the step from a block to whoever had the address behind it: the
//! rows of the table in `owner.rs` that speak of ports. Must not know: whole addresses. Without a port nobody is named.

use super::{Around, CLAIMED_IN_TURN, HELD_BY_SEVERAL, Question, alive_until, answer, judge, same_owner};
use crate::audit::AuditError;
use crate::audit::rows::{Candidate, Confidence, PastOwner};
use crate::audit::schema::{Key, Moment, unpacked_value};
use crate::session::event::Translation;
use crate::session::{Ports, Realm};

pub(in crate::audit) const TRANSLATIONS: &str = "SELECT realm, packed FROM translation
    WHERE valid_from <= ?1 AND (valid_until IS NULL OR valid_until > ?1) ORDER BY valid_from DESC";

const PORT_REQUIRED: &str = "the address was shared by ports; ask with the source port";

/// Whoever had a block, and how sure the step behind the translator is, where there is one.
pub(super) struct Joined {
    sure: Option<(Confidence, &'static str)>,
    pub(super) candidates: Vec<Candidate>,
}

impl Question<'_> {
    /// The blocks that were ever held at the address.
    pub(super) fn blocks(&self) -> Result<Vec<Ports>, AuditError> {
        let key = Key::of(self.address.into());
        let mut blocks: Vec<Ports> = Vec::new();
        for hold in self.seen.holds(self.realm.number(), key)?.iter() {
            if !hold.ports.is_all() && !blocks.contains(&hold.ports) {
                blocks.push(hold.ports);
            }
        }
        blocks.sort_unstable();
        Ok(blocks)
    }

    /// Who had the port, where the address was shared. `None`: it was not.
    pub(super) fn shared(&self, blocks: &[Ports]) -> Result<Option<PastOwner>, AuditError> {
        let answer = match self.port {
            None => self.sharers(blocks)?,
            Some(port) => self.block(blocks, port)?,
        };
        match answer {
            Some(answer) => Ok(Some(answer)),
            None => self.translated(),
        }
    }

    /// Everybody who shared the address.
    fn sharers(&self, blocks: &[Ports]) -> Result<Option<PastOwner>, AuditError> {
        let mut sharers = self.holders_of(blocks.iter())?.candidates;
        if sharers.is_empty() {
            return Ok(None);
        }
        sharers.extend(self.holders_of([&Ports::ALL].into_iter())?.candidates);
        sharers.sort_by_key(|sharer| sharer.ports);
        let mut candidates = Vec::new();
        for sharer in sharers {
            candidates.extend(self.joined(sharer)?.candidates);
        }
        Ok(Some(answer(Confidence::Ambiguous, candidates, PORT_REQUIRED)))
    }

    fn block(&self, blocks: &[Ports], port: u16) -> Result<Option<PastOwner>, AuditError> {
        let (inside, outside): (Vec<Ports>, Vec<Ports>) =
            blocks.iter().partition(|ports| ports.contains(port));
        let given = self.holders_of(inside.iter())?;
        let others = self.holders_of(outside.iter())?;
        if given.candidates.is_empty() && others.candidates.is_empty() {
            return Ok(None);
        }
        let is_given = !given.candidates.is_empty();
        let mut around = given;
        around.add(self.holders_of([&Ports::ALL].into_iter())?);
        let Some(newest) = around.candidates.iter().max_by_key(|candidate| candidate.valid_from).cloned()
        else {
            return self.nobody(&inside).map(Some);
        };
        if around.disputed {
            return self.several(around.candidates, CLAIMED_IN_TURN).map(Some);
        }
        if !is_given && others.candidates.iter().any(|other| other.valid_from > newest.valid_from) {
            let because = "the address was somebody's as a whole before it came to be shared by ports";
            return self.several(around.candidates, because).map(Some);
        }
        let (mine, older): (Vec<_>, Vec<_>) =
            around.candidates.into_iter().partition(|candidate| same_owner(&newest, candidate));
        let rivals: Vec<_> =
            older.into_iter().filter(|other| alive_until(other) > Some(newest.valid_from)).collect();
        if !rivals.is_empty() {
            let candidates = mine.into_iter().chain(rivals).collect();
            return self.several(candidates, HELD_BY_SEVERAL).map(Some);
        }
        match judge(Around { candidates: mine, disputed: false }, self.at) {
            Some(found) => self.behind(found).map(Some),
            None => Ok(None),
        }
    }

    fn holders_of<'a>(&self, blocks: impl Iterator<Item = &'a Ports>) -> Result<Around, AuditError> {
        let key = Key::of(self.address.into());
        let mut holders = Around::default();
        for ports in blocks {
            holders.add(self.around(key, *ports)?);
        }
        Ok(holders)
    }

    fn several(&self, candidates: Vec<Candidate>, because: &'static str) -> Result<PastOwner, AuditError> {
        let mut all = Vec::new();
        for candidate in candidates {
            all.extend(self.joined(candidate)?.candidates);
        }
        Ok(answer(Confidence::Ambiguous, all, because))
    }

    /// The answer about a block as one about whoever had the address behind it.
    fn behind(&self, found: PastOwner) -> Result<PastOwner, AuditError> {
        let PastOwner { confidence, candidates, because } = found;
        let mut behind = answer(confidence, Vec::new(), because);
        for candidate in candidates {
            let Joined { sure, candidates } = self.joined(candidate)?;
            behind.candidates.extend(candidates);
            if let Some((confidence, because)) = sure.filter(|(sure, _)| *sure > behind.confidence) {
                (behind.confidence, behind.because) = (confidence, because);
            }
        }
        Ok(behind)
    }

    /// Whoever had a block: its holder, or who had the address behind the translator that reported it.
    pub(super) fn joined(&self, block: Candidate) -> Result<Joined, AuditError> {
        let Some((realm, address)) = block.inside else {
            return Ok(Joined { sure: None, candidates: vec![block] });
        };
        let found = Question { realm: realm.around(address), address, port: None, ..*self }.unshared()?;
        if found.candidates.is_empty() {
            let because = "a translator gave the port to an inside address of which no owner is known";
            return Ok(Joined { sure: Some((Confidence::Unknown, because)), candidates: vec![block] });
        }
        let candidates = found.candidates.into_iter().map(|owner| Candidate {
            ports: block.ports,
            inside: block.inside,
            valid_from: owner.valid_from.max(block.valid_from),
            valid_until: [owner.valid_until, block.valid_until].into_iter().flatten().min(),
            ..owner
        });
        Ok(Joined { sure: Some((found.confidence, found.because)), candidates: candidates.collect() })
    }

    /// Who had an address behind a translator.
    fn unshared(&self) -> Result<PastOwner, AuditError> {
        match self.static_owner()? {
            Some(candidate) => Ok(answer(Confidence::Exact, vec![candidate], "a static prefix")),
            None => self.whole(&[]),
        }
    }

    /// Translators that report no blocks.
    fn translated(&self) -> Result<Option<PastOwner>, AuditError> {
        let Some((realm, translation)) = self.translation()? else { return Ok(None) };
        let Some(port) = self.port else {
            return Ok(Some(answer(Confidence::Unknown, Vec::new(), PORT_REQUIRED)));
        };
        // A port that is given to nobody is the translator's own.
        let Some(inside) = translation.inside_of(self.address, port) else {
            return self.nobody(&[]).map(Some);
        };
        let realm = realm.around(inside);
        let mut found = Question { realm, address: inside, port: None, ..*self }.unshared()?;
        let block = translation.block_around(port).unwrap_or(Ports::ALL);
        for candidate in &mut found.candidates {
            (candidate.ports, candidate.inside) = (block, Some((realm, inside)));
        }
        Ok(Some(found))
    }

    fn translation(&self) -> Result<Option<(Realm, Translation)>, AuditError> {
        self.seen.register.get(|connection| {
            let mut statement = connection.prepare_cached(TRANSLATIONS)?;
            let mut rows = statement.query((Moment(self.at),))?;
            while let Some(row) = rows.next()? {
                let translation: Translation = unpacked_value(row, 1)?;
                if translation.outside.contains(&self.address) {
                    return Ok(Some((Realm::of_number(row.get(0)?), translation)));
                }
            }
            Ok(None)
        })
    }
}

#[cfg(test)]
mod tests;
