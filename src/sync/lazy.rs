//! Which members a device has been told of, so that it is not told again ("Lazy-loading room members").
//!
//! What has been told counts only along a chain of answers that each took up where the last one ended: a client that comes with any
//! other token may have lost an answer, and begins a new chain, knowing nobody. The memory is bounded in all; whoever is forgotten
//! is told again.

use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use store::{EventNo, Pos, RoomNo, UserNo};

/// Members remembered over all devices: about 12 MiB when full.
const MEMBERS: usize = 150_000;
/// Devices remembered.
const DEVICES: usize = 20_000;

/// The memory of all devices.
pub(crate) struct Told {
    chains: Cache<(UserNo, String), Chain>,
    /// Which membership, and where the answer that told it came to.
    members: Cache<(u64, RoomNo, UserNo), (EventNo, Pos)>,
    next: AtomicU64,
}

/// Where an answer came to: in the log and, where answers can differ at one place in the log, in which generation.
pub(crate) type End = (Pos, u64);

/// The answers that a device has had in a row.
#[derive(Clone, Copy)]
struct Chain {
    number: u64,
    upto: End,
}

/// What one device has been told in its present chain.
pub(crate) struct Known<'t> {
    told: &'t Told,
    chain: u64,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            chains: Cache::new(DEVICES),
            members: Cache::new(MEMBERS),
            next: AtomicU64::new(1),
        }
    }
}

impl Told {
    /// What a device knows that goes on from where an answer ended; nothing if there was none.
    pub(crate) fn known(&self, user: UserNo, device: &str, since: Option<End>) -> Known<'_> {
        let key = (user, device.to_owned());
        let going_on = self
            .chains
            .get(&key)
            .filter(|chain| Some(chain.upto) == since);
        let chain = going_on.map_or_else(
            || self.next.fetch_add(1, Ordering::Relaxed),
            |chain| chain.number,
        );
        Known { told: self, chain }
    }

    /// Notes that an answer of this chain is being given, and ends at `upto`.
    pub(crate) fn answered(&self, chain: u64, user: UserNo, device: &str, upto: End) {
        self.chains.insert(
            (user, device.to_owned()),
            Chain {
                number: chain,
                upto,
            },
        );
    }
}

impl Known<'_> {
    /// The chain of answers.
    pub(crate) fn chain(&self) -> u64 {
        self.chain
    }

    /// Whether this membership event has been told after `stay`: somebody who left a room and came back knows nobody there.
    pub(crate) fn has(&self, room: RoomNo, member: UserNo, event: EventNo, stay: Pos) -> bool {
        let told = self.told.members.get(&(self.chain, room, member));
        told.is_some_and(|(known, at)| known == event && at >= stay)
    }

    /// Notes that this membership event is being told, by an answer that comes to `at`.
    pub(crate) fn add(&self, room: RoomNo, member: UserNo, event: EventNo, at: Pos) {
        self.told
            .members
            .insert((self.chain, room, member), (event, at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomNo = RoomNo::new(1);
    const ALICE: UserNo = UserNo::new(1);
    const BOB: UserNo = UserNo::new(2);
    const JOINED: EventNo = EventNo::new(5);

    #[test]
    fn a_member_is_told_once_along_a_chain() {
        let told = Told::default();
        let first = told.known(ALICE, "D", None);
        first.add(ROOM, BOB, JOINED, Pos::new(10));
        told.answered(first.chain(), ALICE, "D", (Pos::new(10), 0));
        let second = told.known(ALICE, "D", Some((Pos::new(10), 0)));
        assert!(second.has(ROOM, BOB, JOINED, Pos::new(4)));
        assert!(
            !second.has(ROOM, BOB, EventNo::new(6), Pos::new(4)),
            "a new membership event is news"
        );
        assert!(
            !second.has(ROOM, BOB, JOINED, Pos::new(11)),
            "a new stay in the room"
        );
        assert!(
            !told
                .known(ALICE, "E", Some((Pos::new(10), 0)))
                .has(ROOM, BOB, JOINED, Pos::new(4)),
            "another device"
        );
    }

    #[test]
    fn a_lost_answer_forgets_everything() {
        let told = Told::default();
        let first = told.known(ALICE, "D", None);
        told.answered(first.chain(), ALICE, "D", (Pos::new(10), 0));
        let lost = told.known(ALICE, "D", Some((Pos::new(10), 0)));
        lost.add(ROOM, BOB, JOINED, Pos::new(20));
        told.answered(lost.chain(), ALICE, "D", (Pos::new(20), 0));
        let other = told.known(ALICE, "D", Some((Pos::new(20), 1)));
        assert!(
            !other.has(ROOM, BOB, JOINED, Pos::new(4)),
            "another generation of the same place"
        );
        let again = told.known(ALICE, "D", Some((Pos::new(10), 0)));
        assert!(!again.has(ROOM, BOB, JOINED, Pos::new(4)));
    }
}
