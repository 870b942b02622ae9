//! The end of a room's graph, kept in memory by the room's lane: the tips, the present state's tree, and the few state events
//! that most others are judged by, parsed. A room has one writer, so nothing but the lane makes this stale; every batch
//! still asserts the row it was decided on, so that a lane whose last batch failed finds out.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use event::{Pdu, Rules};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use store::rows::rooms::HeadRow;
use store::{EventNo, RoomNo, Snapshot, UserNo, tables};

use crate::error::{Error, Result};
use crate::state::now;
use crate::stored::Stored;
use crate::summary::{self, Summary};

/// How many members' events a head keeps.
const MEMBERS: usize = 128;
/// How many of the last transactions a head remembers. Those that are older have long been committed.
const TXNS: usize = 4096;

/// A state event and its number.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) no: EventNo,
    pub(crate) pdu: Pdu,
}

/// A joined member, as far as sending needs it.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub(crate) no: UserNo,
    pub(crate) member: Option<Known>,
}

/// What the next event of a room depends on.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) room: RoomNo,
    pub(crate) room_id: OwnedRoomId,
    pub(crate) rules: &'static Rules,
    pub(crate) row: HeadRow,
    /// The tips themselves, in the order of `row.tips`.
    pub(crate) tips: Vec<Pdu>,
    pub(crate) create: Known,
    /// Of the state that others are judged by: power levels and join rules.
    pub(crate) power_levels: Option<Known>,
    pub(crate) join_rules: Option<Known>,
    pub(crate) summary: Summary,
    members: HashMap<OwnedUserId, Sender>,
    txns: Arc<Recent>,
    /// Tells heads of the same room apart that were read at different times.
    pub(crate) generation: u64,
}

impl Head {
    /// Reads the head of a room.
    pub(crate) fn load(s: &Snapshot, room_id: &RoomId, generation: u64) -> Result<Self> {
        let room = crate::members::room(s, room_id)?;
        let basics = summary::basics(s, room)?;
        let row = s
            .get(tables::ROOM_HEADS, &room)?
            .ok_or(Error::Bug("a room without a head"))?;
        let tips = Stored::get_many(s, &row.tips)?;
        let known = |no: EventNo| -> Result<Known> {
            let pdu = Stored::get(s, no)?.pdu(room_id)?;
            Ok(Known { no, pdu })
        };
        let state = |event_type| now::find(s, room, event_type, "")?.map(known).transpose();
        Ok(Self {
            room,
            room_id: room_id.to_owned(),
            rules: basics.rules,
            tips: tips
                .iter()
                .map(|tip| tip.pdu(room_id))
                .collect::<Result<_>>()?,
            create: known(basics.create)?,
            power_levels: state("m.room.power_levels")?,
            join_rules: state("m.room.join_rules")?,
            summary: summary::of(s, room)?,
            row,
            members: HashMap::new(),
            txns: Arc::default(),
            generation,
        })
    }

    /// The head of a room that has nothing but its create event.
    pub(crate) fn newborn(room: RoomNo, rules: &'static Rules, create: Known) -> Self {
        Self {
            room,
            room_id: create.pdu.room_id().to_owned(),
            rules,
            row: HeadRow {
                tips: Vec::new(),
                depth: 0,
                root: None,
            },
            tips: Vec::new(),
            create,
            power_levels: None,
            join_rules: None,
            summary: Summary::default(),
            members: HashMap::new(),
            txns: Arc::default(),
            generation: 0,
        }
    }

    /// A user's membership and number, from memory if they sent something lately.
    pub(crate) fn sender(&mut self, s: &Snapshot, user: &UserId) -> Result<Sender> {
        if let Some(known) = self.members.get(user) {
            return Ok(known.clone());
        }
        let no = s.user_no(user)?.ok_or(Error::NotJoined)?;
        let member = now::get(s, self.room, "m.room.member", user.as_str())?;
        let member = member
            .map(|event| {
                Ok::<_, Error>(Known {
                    no: event.no(),
                    pdu: event.pdu(&self.room_id)?,
                })
            })
            .transpose()?;
        let sender = Sender { no, member };
        if self.members.len() >= MEMBERS {
            self.members.clear();
        }
        self.members.insert(user.to_owned(), sender.clone());
        Ok(sender)
    }

    /// Takes note that an event has become a tip beside those that it does not follow.
    pub(crate) fn fork(&mut self, event: EventNo, pdu: &Pdu, follows: &[EventNo]) {
        let tips = std::mem::take(&mut self.tips);
        let numbers = std::mem::take(&mut self.row.tips);
        for (no, tip) in numbers.into_iter().zip(tips) {
            if !follows.contains(&no) {
                self.row.tips.push(no);
                self.tips.push(tip);
            }
        }
        self.row.tips.push(event);
        self.tips.push(pdu.clone());
        let depths = self.tips.iter().map(Pdu::depth);
        self.row.depth = depths.max().unwrap_or_default();
    }

    /// Takes note that an event has become the only tip.
    pub(crate) fn advance(&mut self, event: EventNo, pdu: &Pdu) {
        self.row.tips = vec![event];
        self.row.depth = pdu.depth();
        self.tips = vec![pdu.clone()];
    }

    /// Takes note of new state, where others are judged by it.
    pub(crate) fn note_state(&mut self, known: &Known) {
        let Some((event_type, state_key)) = known.pdu.state_pair() else {
            return;
        };
        match (event_type, state_key) {
            ("m.room.power_levels", "") => self.power_levels = Some(known.clone()),
            ("m.room.join_rules", "") => self.join_rules = Some(known.clone()),
            ("m.room.member", user) => {
                self.members.retain(|known, _| known.as_str() != user);
            }
            _ => {}
        }
    }

    /// The event that the head itself remembers for a type and a key: `None` if it does not know, `Some(None)` if there is none.
    #[expect(
        clippy::option_option,
        reason = "not knowing and knowing of nothing are two things"
    )]
    pub(crate) fn remembered(&self, event_type: &str, state_key: &str) -> Option<Option<Known>> {
        match (event_type, state_key) {
            ("m.room.create", "") => Some(Some(self.create.clone())),
            ("m.room.power_levels", "") => Some(self.power_levels.clone()),
            ("m.room.join_rules", "") => Some(self.join_rules.clone()),
            ("m.room.member", user) => {
                let user: &UserId = user.try_into().ok()?;
                self.members.get(user).map(|known| known.member.clone())
            }
            _ => None,
        }
    }

    /// The transactions done lately.
    pub(crate) fn txns(&self) -> &Recent {
        &self.txns
    }
}

/// The transactions done lately, which may not be on disk yet.
#[derive(Debug, Default)]
pub(crate) struct Recent(std::sync::Mutex<(VecDeque<TxnKey>, HashSet<TxnKey>)>);

/// A transaction within a room: the user, the device, what was asked for, the ID.
pub(crate) type TxnKey = (UserNo, String, String, String);

impl Recent {
    pub(crate) fn contains(&self, key: &TxnKey) -> bool {
        self.lock().1.contains(key)
    }

    pub(crate) fn insert(&self, key: TxnKey) {
        let mut recent = self.lock();
        let (order, set) = &mut *recent;
        if set.insert(key.clone()) {
            order.push_back(key);
        }
        if order.len() > TXNS
            && let Some(oldest) = order.pop_front()
        {
            set.remove(&oldest);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (VecDeque<TxnKey>, HashSet<TxnKey>)> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
