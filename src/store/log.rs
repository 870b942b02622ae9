//! The one log: positions, what a change says, and the recent changes kept in memory. Who follows it is in
//! `follow.rs`; who writes it, in `commit.rs`.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use minicbor::{Decode, Encode};

use crate::cbor_row;
use crate::numbers::{EventNo, RoomNo, StateKeyNo, UserNo};

/// A place in the log. Positions grow; they need not be dense.
///
/// One that a [`crate::Tx`] handed out is a *slot*: it stands for a number that is assigned at commit, may be written
/// in keys and values of that same transaction, and is good for nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Pos(u64);

const SLOT: u64 = 1 << 63;

impl Pos {
    /// Before every change.
    pub const ZERO: Self = Self(0);
    /// After every change.
    pub const MAX: Self = Self(SLOT - 1);

    /// The position with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The position before this one.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// Whether the number is still to be assigned.
    pub const fn is_slot(self) -> bool {
        self.0 & SLOT != 0
    }

    pub(crate) const fn raw(self) -> u64 {
        self.0
    }

    pub(crate) const fn of_slot(slot: u32) -> Self {
        Self(SLOT | slot as u64)
    }

    pub(crate) const fn slot(self) -> Option<u32> {
        if self.is_slot() {
            Some(self.0 as u32)
        } else {
            None
        }
    }
}

impl fmt::Debug for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.slot() {
            Some(slot) => write!(f, "slot {slot}"),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Display for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What happened, as far as followers have to know to decide whether they care.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Change {
    /// An event was accepted into a room's timeline.
    #[n(0)]
    Event {
        /// The room.
        #[n(0)]
        room: RoomNo,
        /// The event.
        #[n(1)]
        event: EventNo,
        /// Which state it sets, if it is a state event.
        #[n(2)]
        state_key: Option<StateKeyNo>,
        /// Whose membership it sets, if it is a membership.
        #[n(3)]
        member: Option<UserNo>,
    },
    /// Somebody read up to somewhere.
    #[n(1)]
    Receipt {
        /// The room.
        #[n(0)]
        room: RoomNo,
        /// Who read.
        #[n(1)]
        user: UserNo,
        /// Whether only they may know.
        #[n(2)]
        private: bool,
    },
    /// A user's account data changed, of one room or of all.
    #[n(2)]
    AccountData {
        /// Whose.
        #[n(0)]
        user: UserNo,
        /// For which room, or for the account.
        #[n(1)]
        room: Option<RoomNo>,
    },
    /// A message waits for a device.
    #[n(3)]
    ToDevice {
        /// Whose device.
        #[n(0)]
        user: UserNo,
        /// Which device.
        #[n(1)]
        device: String,
    },
    /// A user's devices, their keys or their cross-signing keys changed.
    #[n(4)]
    DeviceList {
        /// Whose.
        #[n(0)]
        user: UserNo,
    },
    /// The number of a device's one-time or fallback keys changed.
    #[n(5)]
    OneTimeKeys {
        /// Whose device.
        #[n(0)]
        user: UserNo,
        /// Which device.
        #[n(1)]
        device: String,
    },
    /// A user's presence changed.
    #[n(6)]
    Presence {
        /// Whose.
        #[n(0)]
        user: UserNo,
    },
    /// A user's profile changed.
    #[n(7)]
    Profile {
        /// Whose.
        #[n(0)]
        user: UserNo,
    },
    /// A user changed their push rules or whom they ignore: what was counted for them must be counted anew.
    #[n(8)]
    Filter {
        /// Whose.
        #[n(0)]
        user: UserNo,
    },
    /// An event's content was removed.
    #[n(9)]
    Redaction {
        /// The room.
        #[n(0)]
        room: RoomNo,
        /// The event that lost its content.
        #[n(1)]
        event: EventNo,
    },
    /// Invites and knocks, as seen by the user, from rooms we are not in; and their withdrawal.
    #[n(10)]
    Invite {
        /// The invited or knocking user.
        #[n(0)]
        user: UserNo,
        /// The room.
        #[n(1)]
        room: RoomNo,
    },
    /// Something is to be told to a user's pushers.
    #[n(12)]
    Push {
        /// Whose.
        #[n(0)]
        user: UserNo,
    },
    /// Messages wait to be sent to devices of another server's users.
    #[n(11)]
    ToDeviceOut {
        /// The server's name.
        #[n(0)]
        server: String,
    },
}

cbor_row!(Change);

/// The recent end of the log, in memory.
pub(crate) struct Ring {
    kept: RwLock<Kept>,
    capacity: usize,
}

struct Kept {
    /// Everything after this position is in `changes`.
    after: Pos,
    changes: VecDeque<(Pos, Change)>,
}

impl Ring {
    pub(crate) fn new(head: Pos, capacity: usize) -> Self {
        Self {
            kept: RwLock::new(Kept {
                after: head,
                changes: VecDeque::new(),
            }),
            capacity,
        }
    }

    pub(crate) fn push(&self, changes: impl Iterator<Item = (Pos, Change)>) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            if kept.changes.len() >= self.capacity
                && let Some((oldest, _)) = kept.changes.pop_front()
            {
                kept.after = oldest;
            }
            kept.changes.push_back(change);
        }
    }

    /// The first `max` changes in `(after, upto]`, or nothing if some of them are no longer in memory.
    pub(crate) fn between(&self, after: Pos, upto: Pos, max: usize) -> Option<Vec<(Pos, Change)>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        if after < kept.after {
            return None;
        }
        let start = kept.changes.partition_point(|(pos, _)| *pos <= after);
        Some(
            kept.changes
                .range(start..)
                .take_while(|(pos, _)| *pos <= upto)
                .take(max)
                .cloned()
                .collect(),
        )
    }
}
