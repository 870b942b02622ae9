//! What each client has been told on each of its connections, in memory and on disk.
//!
//! An answer that tells of rooms in the way the client knows already changes nothing here: its `pos` names the same generation and a
//! later place in the log. An answer that changes something makes a new generation, and what it changed can be undone, because the
//! client may not receive it and ask from the generation before once more. Asking from the new one says that it was received.
//! Every other position is unknown, and its owner begins anew. A connection is written when a generation is made, in one batch that
//! asserts the generation before; should that be lost in a fall of the machine, the client begins anew as well.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use store::rows::sync::{SlidingRow, ToldRow, UndoRow, WantRow};
use store::{Order, Pos, RoomNo, Snapshot, Store, Tx, UserNo, tables};

use super::ask::Place;
use super::wanted::Wanted;
use crate::error::{Error, Result};
use crate::token::Token;

/// All that the client's token covers.
pub(super) const LIVE: Pos = Pos::MAX;
/// Rooms of connections kept in memory: about 40 MiB when full.
const ROOMS: u64 = 300_000;
/// Connections kept in memory.
const CONNECTIONS: usize = 40_000;
/// Connections of one device; beyond that the longest unused one goes.
const PER_DEVICE: usize = 16;
/// After how long a use is noted that changes nothing else.
const NOTED_MS: u64 = 24 * 3_600_000;
/// Sets of state that a connection remembers having told; rooms whose set is forgotten are told their state again.
const WANTS: usize = 64;

/// Whose connection it is, and its name.
pub(super) type Key = (UserNo, String, String);

/// A connection, with as much weight as it had when it was put there.
#[derive(Clone)]
struct Kept {
    state: Arc<Mutex<State>>,
    rooms: u64,
}

#[derive(Clone)]
struct Size;

impl Weighter<Key, Kept> for Size {
    fn weight(&self, _: &Key, kept: &Kept) -> u64 {
        kept.rooms + 8
    }
}

/// All connections that are in memory.
pub(crate) struct Connections {
    kept: Cache<Key, Kept, Size>,
    nonce: AtomicU64,
}

/// A connection.
#[derive(Debug)]
pub(super) struct State {
    pub(super) row: SlidingRow,
    rooms: HashMap<RoomNo, ToldRow>,
    /// A generation in which every room of every list had been told, and what was asked then.
    pub(super) settled: Option<(u64, u64)>,
    /// How many rooms the lists had when they were last told; unknown after a restart.
    pub(super) counts: Option<BTreeMap<String, usize>>,
}

impl Connections {
    /// None yet, in the process of this epoch.
    pub(crate) fn new(epoch: u32) -> Self {
        Self {
            kept: Cache::with_weighter(CONNECTIONS, ROOMS, Size),
            nonce: AtomicU64::new(u64::from(epoch) << 32),
        }
    }

    /// Whether a connection is in memory.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.kept.get(key).is_some()
    }

    /// Forgets what is in memory of a connection.
    pub(super) fn forget(&self, key: &Key) {
        self.kept.remove(key);
    }

    /// A connection as it was written last.
    pub(super) fn find(&self, s: &Snapshot, key: &Key) -> Result<Option<Arc<Mutex<State>>>> {
        if let Some(kept) = self.kept.get(key) {
            return Ok(Some(kept.state));
        }
        let Some(row) = s.get(tables::SLIDING, key)? else {
            return Ok(None);
        };
        let mut rooms = HashMap::new();
        let (user, device, name) = key;
        let prefix = (*user, device.as_str(), name.as_str());
        for told in s.prefix(tables::SLIDING_ROOMS, &prefix, Order::Forward) {
            let ((.., room), told) = told?;
            rooms.insert(room, told);
        }
        let state = State {
            row,
            rooms,
            settled: None,
            counts: None,
        };
        Ok(Some(self.keep(key, state)))
    }

    fn keep(&self, key: &Key, state: State) -> Arc<Mutex<State>> {
        let rooms = state.weight();
        let state = Arc::new(Mutex::new(state));
        let kept = Kept {
            state: state.clone(),
            rooms,
        };
        self.kept.insert(key.clone(), kept);
        state
    }

    /// A connection that nobody has used yet.
    pub(super) fn fresh(&self, now: u64) -> State {
        State {
            row: SlidingRow {
                nonce: self.nonce.fetch_add(1, Ordering::Relaxed),
                base: None,
                latest: 0,
                undo: Vec::new(),
                used: now,
                wants: Vec::new(),
                data: false,
                data_before: false,
            },
            rooms: HashMap::new(),
            settled: None,
            counts: None,
        }
    }

    /// Notes how much an answer told of lists.
    pub(super) fn settle(
        &self,
        key: &Key,
        generation: u64,
        settled: Option<u64>,
        counts: BTreeMap<String, usize>,
    ) {
        let Some(kept) = self.kept.get(key) else {
            return;
        };
        let mut state = lock(&kept.state);
        // Whichever generation it was: a list that counts as not told is told at once, again and again.
        state.counts = Some(counts);
        if state.row.latest == generation {
            state.settled = settled.map(|asked| (generation, asked));
        }
    }

    /// Writes a generation down, and returns once others read it. If somebody else was quicker, nothing is written and the connection
    /// is forgotten in memory: the error is a conflict.
    pub(super) async fn commit(&self, store: &Store, key: &Key, made: Made) -> Result<()> {
        let (tx, gone) = made.batch(store, key)?;
        if let Err(error) = store.submit_relaxed(tx).await {
            self.kept.remove(key);
            return Err(error.into());
        }
        for other in &gone {
            self.kept.remove(other);
        }
        match self.kept.get(key).filter(|_| made.old.is_some()) {
            Some(kept) => {
                let mut state = lock(&kept.state);
                if made.old.as_ref() == Some(&state.row) {
                    state.take(made);
                    let rooms = state.weight();
                    drop(state);
                    if rooms > kept.rooms + kept.rooms / 4 {
                        let state = kept.state;
                        self.kept.insert(key.clone(), Kept { state, rooms });
                    }
                } else {
                    drop(state);
                    self.kept.remove(key);
                }
            }
            None if made.old.is_none() => {
                let mut state = self.fresh(0);
                state.take(made);
                self.keep(key, state);
            }
            None => {}
        }
        Ok(())
    }
}

impl State {
    fn weight(&self) -> u64 {
        (self.rooms.len() + self.row.undo.len() + 16 * self.row.wants.len()) as u64
    }

    /// What had been told as of a position; none if that is not known.
    pub(super) fn at(&self, place: &Place) -> Option<Ground<'_>> {
        let row = &self.row;
        if place.nonce != row.nonce {
            return None;
        }
        let undone = if place.generation == row.latest {
            None
        } else if Some(place.generation) == row.base {
            let undo = row.undo.iter();
            Some(undo.map(|undo| (undo.room, undo.told.as_ref())).collect())
        } else {
            return None;
        };
        Some(Ground {
            state: self,
            generation: Some(place.generation),
            undone,
        })
    }

    /// Nothing has been told.
    pub(super) fn nothing(&self) -> Ground<'_> {
        Ground {
            state: self,
            generation: None,
            undone: None,
        }
    }

    fn take(&mut self, made: Made) {
        for (room, told) in made.rooms {
            match told {
                Some(told) => self.rooms.insert(room, told),
                None => self.rooms.remove(&room),
            };
        }
        self.row = made.row;
        self.settled = None;
    }
}

/// What had been told when a client's position was given out.
pub(super) struct Ground<'s> {
    state: &'s State,
    generation: Option<u64>,
    undone: Option<HashMap<RoomNo, Option<&'s ToldRow>>>,
}

impl<'s> Ground<'s> {
    /// The generation; none if there is none yet.
    pub(super) fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// What had been told of a room.
    pub(super) fn get(&self, room: RoomNo) -> Option<&'s ToldRow> {
        match self.undone.as_ref().and_then(|undone| undone.get(&room)) {
            Some(told) => *told,
            None => self.state.rooms.get(&room),
        }
    }

    /// Every room of which something had been told.
    pub(super) fn rooms(&self) -> Vec<RoomNo> {
        let now = self.state.rooms.keys();
        let undone = self.undone.iter().flat_map(|undone| undone.keys());
        let mut rooms: Vec<RoomNo> = now.chain(undone).copied().collect();
        rooms.sort_unstable();
        rooms.dedup();
        rooms.retain(|room| self.get(*room).is_some());
        rooms
    }

    /// Whether the account's own data had been told.
    pub(super) fn has_data(&self) -> bool {
        match (self.generation, &self.undone) {
            (None, _) => false,
            (_, Some(_)) => self.state.row.data_before,
            (_, None) => self.state.row.data,
        }
    }

    /// The name of a set of state, if it has one.
    pub(super) fn want_id(&self, wanted: &Wanted) -> Option<u64> {
        let wants = self.state.row.wants.iter();
        let mut named = wants.filter(|want| want.state == wanted.entries());
        named.next().map(|want| want.id)
    }

    /// A set of state by its name, unless it is forgotten.
    pub(super) fn want(&self, id: u64) -> Option<Wanted> {
        let found = self.state.row.wants.iter().find(|want| want.id == id)?;
        Some(Wanted::new(found.state.clone()))
    }

    /// Whether a list is known to have been told with this many rooms. What was told before a restart counts as right.
    pub(super) fn has_count(&self, list: &str, count: usize) -> bool {
        let counts = self.state.counts.as_ref();
        counts.is_none_or(|counts| counts.get(list) == Some(&count))
    }

    /// What was asked when last all rooms of all lists had been told, if that is of this generation.
    pub(super) fn settled(&self) -> Option<u64> {
        let (generation, asked) = self.state.settled?;
        (Some(generation) == self.generation).then_some(asked)
    }

    /// Whether the use of the connection has to be noted.
    pub(super) fn is_stale(&self, now: u64) -> bool {
        now.saturating_sub(self.state.row.used) > NOTED_MS
    }
}

/// The sets of state of a connection, with those that an answer adds.
pub(super) struct Wants {
    rows: Vec<WantRow>,
    used: Vec<u64>,
}

impl Wants {
    pub(super) fn of(ground: &Ground<'_>) -> Self {
        Self {
            rows: ground.state.row.wants.clone(),
            used: Vec::new(),
        }
    }

    /// The name of a set.
    pub(super) fn id(&mut self, wanted: &Wanted) -> u64 {
        let known = self.rows.iter().find(|want| want.state == wanted.entries());
        let id = known.map_or_else(
            || self.rows.iter().map(|want| want.id).max().unwrap_or(0) + 1,
            |want| want.id,
        );
        if known.is_none() {
            self.rows.push(WantRow {
                id,
                state: wanted.entries().to_vec(),
            });
        }
        if !self.used.contains(&id) {
            self.used.push(id);
        }
        id
    }

    /// As many as are remembered; those in use stay.
    fn into_rows(mut self) -> Vec<WantRow> {
        let surplus = self.rows.len().saturating_sub(WANTS);
        let mut dropped = 0;
        self.rows.retain(|want| {
            let goes = dropped < surplus && !self.used.contains(&want.id);
            dropped += usize::from(goes);
            !goes
        });
        self.rows
    }
}

/// A new generation.
pub(super) struct Made {
    /// The row it was made on; none for a new connection.
    old: Option<SlidingRow>,
    row: SlidingRow,
    /// What has been told of rooms from now on; nothing if none. What had to be undone is undone in it.
    rooms: Vec<(RoomNo, Option<ToldRow>)>,
}

impl Made {
    /// A generation in which `changes` have been made to what had been told.
    pub(super) fn on(
        ground: &Ground<'_>,
        changes: HashMap<RoomNo, Option<ToldRow>>,
        wants: Wants,
        data: bool,
        now: u64,
    ) -> Self {
        let state = ground.state;
        let undo = changes.keys().map(|room| UndoRow {
            room: *room,
            told: ground.get(*room).cloned(),
        });
        let row = SlidingRow {
            nonce: state.row.nonce,
            base: ground.generation,
            latest: state.row.latest + 1,
            undo: undo.collect(),
            used: now,
            wants: wants.into_rows(),
            data,
            data_before: ground.has_data(),
        };
        let undone = ground.undone.iter().flatten();
        let undone = undone.filter(|(room, _)| !changes.contains_key(room));
        let mut rooms: Vec<_> = undone.map(|(room, told)| (*room, told.cloned())).collect();
        rooms.extend(changes);
        Self {
            old: ground.generation.map(|_| state.row.clone()),
            row,
            rooms,
        }
    }

    /// Its number.
    pub(super) fn generation(&self) -> u64 {
        self.row.latest
    }

    /// The position of an answer that comes to it.
    pub(super) fn place(&self, token: Token) -> Place {
        Place {
            nonce: self.row.nonce,
            generation: self.row.latest,
            token,
        }
    }

    /// What is to be written, and the connections that go.
    fn batch(&self, store: &Store, key: &Key) -> Result<(Tx, Vec<Key>)> {
        let (mut tx, (user, device, name)) = (store.tx(), key);
        let mut gone = Vec::new();
        match &self.old {
            Some(old) => tx.expect(tables::SLIDING, key, Some(old))?,
            None => {
                tx.delete_prefix(
                    tables::SLIDING_ROOMS,
                    &(*user, device.as_str(), name.as_str()),
                );
                gone = make_room(&mut tx, key)?;
            }
        }
        for (room, told) in &self.rooms {
            let key = (*user, device.as_str(), name.as_str(), *room);
            match told {
                Some(told) => tx.put(tables::SLIDING_ROOMS, &key, told)?,
                None => tx.delete(tables::SLIDING_ROOMS, &key),
            }
        }
        tx.put(tables::SLIDING, key, &self.row)?;
        Ok((tx, gone))
    }
}

/// Lets the longest unused connections of a device go that has as many as it may have.
fn make_room(tx: &mut Tx, key: &Key) -> Result<Vec<Key>> {
    let (user, device, name) = key;
    let mut others = Vec::new();
    for row in tx.prefix(tables::SLIDING, &(*user, device.as_str()), Order::Forward) {
        let ((_, _, other), row) = row?;
        if other != *name {
            others.push((row.used, other));
        }
    }
    others.sort_unstable();
    let surplus = (others.len() + 1).saturating_sub(PER_DEVICE);
    let oldest = others.into_iter().take(surplus);
    let gone: Vec<Key> = oldest
        .map(|(_, other)| (*user, device.clone(), other))
        .collect();
    gone.iter().for_each(|key| remove(tx, key));
    Ok(gone)
}

/// Removes a connection.
pub(super) fn remove(tx: &mut Tx, key: &Key) {
    let (user, device, name) = key;
    tx.delete(tables::SLIDING, key);
    tx.delete_prefix(
        tables::SLIDING_ROOMS,
        &(*user, device.as_str(), name.as_str()),
    );
}

pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether somebody else wrote the connection first.
pub(super) fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::Store(error) if error.is_conflict())
}
