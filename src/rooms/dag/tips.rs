//! The ends of a room's graph are kept few: many of them make every event longer and every state costlier to settle. When nobody
//! says anything that would tie them together, we do, with an event that nobody gets to see.

use event::auth::levels::Level;
use store::{RoomNo, tables};

use crate::Rooms;
use crate::compose::Composer;
use crate::error::{Error, Result};
use crate::members;

/// The event that ties loose ends together. Other homeservers know it by this name.
pub(crate) const DUMMY: &str = "org.matrix.dummy_event";
/// How many ends a room may have.
const TIPS: usize = 10;
/// How many of our members are asked whether they may send it.
const SENDERS: usize = 100;
/// How often it is done in a row: one event can follow only so many.
const ROUNDS: usize = 4;

impl Rooms {
    /// Ties a room's ends together if there are many.
    pub(crate) async fn tie_up(&self, room: RoomNo) -> Result<()> {
        for _ in 0..ROUNDS {
            let s = self.store().snapshot();
            let head = s.get(tables::ROOM_HEADS, &room)?;
            if head.is_none_or(|head| head.tips.len() <= TIPS) {
                return Ok(());
            }
            let room_id = s.room_id(room)?;
            match self.thoroughly(&room_id, Composer::tie_up).await {
                Ok(settled) if settled.outcome => {}
                Ok(_) | Err(Error::Busy) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Composer {
    /// Whether somebody of ours could.
    fn tie_up(&mut self) -> Result<bool> {
        if self.desk.head.row.tips.len() <= TIPS {
            return Ok(false);
        }
        let needed = Level::Int(self.levels().event(DUMMY, false));
        let mut sender = None;
        for member in members::joined_here(&self.tx, self.desk.head.room).take(SENDERS) {
            let user = self.tx.user_id(member?.user)?;
            if self.levels().user(&user) >= needed {
                sender = Some(user);
                break;
            }
        }
        let Some(sender) = sender else {
            return Ok(false);
        };
        let nothing = serde_json::Map::new();
        let draft = self.draft(&sender, DUMMY, None, &nothing, None)?;
        match self.send(draft, None) {
            Ok(_) => Ok(true),
            Err(Error::Forbidden(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
