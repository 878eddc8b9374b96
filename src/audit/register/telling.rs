//! Adds to the story of a prefix what is not about one session. Nothing that was told is ever corrected.
//!
//! Knows: where a line of a story goes. Must not know: what follows from it for the other tables.

use super::By;
use super::writing::Writing;
use crate::audit::facts::{Position, Told};
use crate::audit::rows::What;
use crate::audit::schema::{Moment, Spot, column, packed_value};
use crate::session::event::Translation;
use crate::session::{Name, Place, Realm, Timestamp};
use crate::views::Cause;

impl Writing<'_> {
    pub(super) fn tell(&self, place: &Place, told: Told) -> rusqlite::Result<()> {
        let told = Told { ports: place.ports, ..told };
        let Spot { realm, key, .. } = Spot::of(place);
        self.in_use(By::Stories, realm, key)?;
        let Position { sequence, step } = self.position;
        // An entry may tell several things of one prefix, and one outcome may be told of several.
        self.execute(
            "INSERT INTO story SELECT ?1, ?2, ?3, ?4, coalesce(max(step) + 1, ?5), ?6, ?7 FROM story
             WHERE realm = ?1 AND length = ?2 AND network = ?3 AND sequence = ?4",
            (realm, key.length, key.network, column(sequence), step, Moment(told.at), packed_value(&told)?),
        )?;
        Ok(())
    }

    pub(super) fn tell_translation(
        &self,
        cause: Cause,
        translation: &Translation,
        at: Timestamp,
        over: bool,
    ) -> rusqlite::Result<()> {
        let what = What::Translation { inside: translation.inside, over };
        self.tell(&Place::whole(Realm::PUBLIC, translation.outside), Told::new(cause, at, what))
    }

    pub(super) fn restarted(&self, cause: Cause, nas: &Name, at: Timestamp) -> rusqlite::Result<()> {
        let told = Told::new(cause, at, What::Restarted);
        self.execute(
            "INSERT INTO restart VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            (nas.octets(), column(self.position.sequence), Moment(at), packed_value(&told)?),
        )?;
        Ok(())
    }
}
