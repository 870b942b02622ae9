//! Whose turn it is among the rooms in which events wait: a few workers over a queue of rooms, one worker at a time in a room. All
//! of it can be forgotten; what is to be done stands in the inbox on disk.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::supervise::{Context, Next, Supervisor, Worker, WorkerError};
use ruma::{OwnedServerName, RoomId, ServerName};
use store::{Order, Pos, RoomNo, Snapshot, tables};
use tokio::sync::{Notify, watch};

use super::inbox::Left;
use crate::Rooms;
use crate::error::Result;
use crate::members;

/// How many rooms are worked on at once. Most of that time is spent waiting for other servers.
const WORKERS: usize = 64;
/// When a room is taken up again in which something failed that should not, in milliseconds.
const AFTER_FAILURE: u64 = 10_000;
/// How many arrivals there may be in a millisecond before they are numbered into the next.
const PER_MILLI: u64 = 1 << 20;
/// A worker without work looks for rooms whose time has come after this time at the latest.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// How many holes that nobody could fill are remembered.
const BARREN: usize = 10_000;

/// The rooms in which events wait.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    bell: Notify,
    done: watch::Sender<u64>,
    last_arrival: AtomicU64,
    /// Holes that nobody could fill, and when to try again.
    barren: Mutex<HashMap<(RoomNo, Pos), u64>>,
}

#[derive(Default)]
struct State {
    /// Whether what waited at the start has been read.
    loaded: bool,
    ready: VecDeque<RoomNo>,
    /// What is in `ready`.
    queued: HashSet<RoomNo>,
    busy: HashSet<RoomNo>,
    /// Busy rooms in which something came meanwhile.
    again: HashSet<RoomNo>,
    later: BTreeSet<(u64, RoomNo)>,
    /// What waits on disk: arrival and who sent it.
    rows: HashMap<RoomNo, BTreeMap<u64, OwnedServerName>>,
}

impl State {
    /// Whether there is now one room more to be taken up.
    fn ring(&mut self, room: RoomNo) -> bool {
        if self.busy.contains(&room) {
            self.again.insert(room);
            return false;
        }
        let new = self.queued.insert(room);
        if new {
            self.ready.push_back(room);
        }
        new
    }
}

impl Queue {
    /// A number for an event that arrives: greater than all before, also those before a restart.
    pub(crate) fn next_arrival(&self, now: u64) -> u64 {
        let least = now.saturating_mul(PER_MILLI);
        let next = |last: u64| Some(last.saturating_add(1).max(least));
        let (order, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let last = self.last_arrival.fetch_update(order, fetch, next);
        last.unwrap_or(least).saturating_add(1).max(least)
    }

    /// How many events of a server wait in a room.
    pub(crate) fn waiting(&self, room: RoomNo, origin: &ServerName) -> usize {
        let state = self.lock();
        let rows = state.rows.get(&room);
        rows.map_or(0, |rows| {
            rows.values().filter(|server| *server == origin).count()
        })
    }

    /// Takes note of events that are on disk now.
    pub(crate) fn arrived(&self, origin: &ServerName, queued: &[(RoomNo, u64)]) {
        let mut state = self.lock();
        let mut new = false;
        for (room, arrival) in queued {
            let rows = state.rows.entry(*room).or_default();
            rows.insert(*arrival, origin.to_owned());
            new |= state.ring(*room);
        }
        drop(state);
        if new {
            self.bell.notify_one();
        }
    }

    /// Forgets the events of a room that are no longer on disk.
    pub(crate) fn forget_done(&self, s: &Snapshot, room: RoomNo) -> Result<()> {
        let rows = s.prefix(tables::INBOX, &(room,), Order::Forward).keys();
        let left = rows
            .map(|row| Ok(row?.1))
            .collect::<Result<HashSet<u64>>>()?;
        let mut state = self.lock();
        if let Some(rows) = state.rows.get_mut(&room) {
            rows.retain(|arrival, _| left.contains(arrival));
            if rows.is_empty() {
                state.rows.remove(&room);
            }
        }
        Ok(())
    }

    /// Reads what waits, after a start.
    fn load(&self, s: &Snapshot) -> Result<()> {
        let mut newest = 0;
        for row in s.scan(tables::INBOX, .., Order::Forward) {
            let ((room, arrival), row) = row?;
            newest = newest.max(arrival);
            if let Ok(origin) = OwnedServerName::try_from(row.origin) {
                self.arrived(&origin, &[(room, arrival)]);
            }
        }
        self.last_arrival.fetch_max(newest, Ordering::Relaxed);
        self.lock().loaded = true;
        self.done.send_modify(|turns| *turns += 1);
        Ok(())
    }

    /// The next room, for as long as the turn lasts.
    fn take(self: &Arc<Self>, now: u64) -> Option<Turn> {
        let mut state = self.lock();
        while let Some((due, room)) = state.later.first().copied()
            && due <= now
        {
            state.later.pop_first();
            state.ring(room);
        }
        let room = state.ready.pop_front()?;
        state.queued.remove(&room);
        state.busy.insert(room);
        let more = !state.ready.is_empty();
        drop(state);
        if more {
            self.bell.notify_one();
        }
        Some(Turn {
            queue: Arc::clone(self),
            room,
            next: Left::Later(now.saturating_add(AFTER_FAILURE)),
        })
    }

    /// Whether nobody could tell lately what came before a position.
    pub(crate) fn is_barren(&self, room: RoomNo, pos: Pos, now: u64) -> bool {
        let barren = self.barren.lock().unwrap_or_else(PoisonError::into_inner);
        barren.get(&(room, pos)).is_some_and(|until| *until > now)
    }

    /// Leaves a hole alone for a while.
    pub(crate) fn note_barren(&self, room: RoomNo, pos: Pos, until: u64) {
        let mut barren = self.barren.lock().unwrap_or_else(PoisonError::into_inner);
        if barren.len() >= BARREN {
            barren.clear();
        }
        barren.insert((room, pos), until);
    }

    fn next_due(&self) -> Option<u64> {
        self.lock().later.first().map(|(due, _)| *due)
    }

    fn is_quiet(&self, room: RoomNo) -> bool {
        let state = self.lock();
        state.loaded && !state.busy.contains(&room) && !state.queued.contains(&room)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A room that is being worked on.
struct Turn {
    queue: Arc<Queue>,
    room: RoomNo,
    /// What is to follow.
    next: Left,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.busy.remove(&self.room);
        let again = state.again.remove(&self.room);
        match self.next {
            _ if again => drop(state.ring(self.room)),
            Left::More => drop(state.ring(self.room)),
            Left::Later(due) => drop(state.later.insert((due, self.room))),
            Left::Nothing => {}
        }
        drop(state);
        self.queue.bell.notify_one();
        self.queue.done.send_modify(|turns| *turns += 1);
    }
}

struct Intake {
    rooms: Rooms,
    number: usize,
    /// Whether it is to read what was left when the server stopped.
    loads: bool,
}

impl Worker for Intake {
    fn name(&self) -> String {
        format!("intake {}", self.number)
    }

    async fn step(&mut self, cx: &Context) -> Result<Next, WorkerError> {
        let queue = self.rooms.queue();
        if self.loads {
            queue.load(&self.rooms.store().snapshot())?;
            self.loads = false;
        }
        let Some(mut turn) = queue.take(self.rooms.now()) else {
            let now = self.rooms.now();
            let sleep = queue.next_due().map_or(LONGEST_SLEEP, |due| {
                Duration::from_millis(due.saturating_sub(now)).min(LONGEST_SLEEP)
            });
            let bell = tokio::time::timeout(sleep, queue.bell.notified());
            // Rung or overslept, there may be something to do.
            let _ = cx.unless_stopping(bell).await;
            return Ok(Next::Again);
        };
        if let Some(left) = cx.unless_stopping(self.rooms.work(turn.room)).await {
            turn.next = left?;
        }
        Ok(Next::Again)
    }
}

impl Rooms {
    /// Starts the workers that judge what other servers send, beginning with what was left when the server stopped.
    pub fn start(&self, supervisor: &Supervisor) {
        for number in 0..WORKERS {
            supervisor.start(Intake {
                rooms: self.clone(),
                number,
                loads: number == 0,
            });
        }
    }

    /// Waits until everything that came for a room has been looked at: judged, or put off because something is missing.
    pub async fn settled(&self, room_id: &RoomId) -> Result<()> {
        let room = members::room(&self.store().snapshot(), room_id)?;
        let mut done = self.queue().done.subscribe();
        while !self.queue().is_quiet(room) {
            if done.changed().await.is_err() {
                break;
            }
        }
        Ok(())
    }
}
