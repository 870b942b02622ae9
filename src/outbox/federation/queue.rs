//! The destinations: what waits for each in memory, which of them may send now, and which are left alone. What a transaction holds is in
//! `transaction.rs`.
//!
//! Destinations that have something to say stand in a line and send one transaction at a time, so that nobody waits behind somebody else's hundred.
//! Servers whose last attempt failed stand in a line of their own, and an attempt that takes long gives its place away: dead and slow servers delay
//! nobody but themselves.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::SharedClock;
use base::supervise::{Context, Next, Tasks, Worker, WorkerError};
use ruma::{OwnedServerName, ServerName};
use store::rows::outbox::{FlightRow, OwedRow};
use store::{EventNo, Order, Pos, RoomNo, Snapshot, tables};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use users::to_device_out;

use super::edus::Ephemeral;
use super::{Failing, Federation, Status};
use crate::error::Result;

/// Events that wait for one server in memory. Beyond that, only from where to where is remembered.
const KEPT: usize = 200;
/// Transactions sent at a time to servers that answered last time.
const WELL: usize = 256;
/// Transactions sent at a time to servers that did not.
const SUSPECT: usize = 64;
/// Transactions that may be under way after they have given their place away.
const SLOW: usize = 512;
/// An attempt that takes longer gives its place away.
pub(super) const QUICK: Duration = Duration::from_secs(2);
/// How long a server is left alone that answered, but not as it should, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// Destinations with nothing to say that are kept in memory.
const IDLE: usize = 4_096;

/// An event that waits for a server.
#[derive(Debug, Clone)]
pub(super) struct Due {
    pub(super) pos: Pos,
    pub(super) event: EventNo,
    pub(super) room: RoomNo,
    /// Whether it takes the server out of the room.
    pub(super) left: bool,
}

impl Due {
    pub(super) fn owed(&self) -> OwedRow {
        OwedRow {
            since: self.pos,
            newest: self.pos,
            left: self.left,
        }
    }
}

/// What a destination is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    /// Nothing: there is nothing to say.
    #[default]
    Idle,
    /// Standing in line.
    Ready,
    /// Sending. Whether more has come meanwhile.
    Busy { more: bool },
    /// Left alone.
    Resting,
}

/// A transaction that was composed.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) row: FlightRow,
    /// Whether it is written down, and so has to be repeated until it is answered.
    pub(super) is_durable: bool,
}

/// One other server.
pub(super) struct Destination {
    pub(super) name: OwnedServerName,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    stage: Stage,
    /// Its newest events, if they are not among what it is owed.
    waiting: VecDeque<Due>,
    /// Of the waiting ones, those up to here are being written into a transaction.
    taking: Pos,
    /// What comes up to here when the log is followed anew has been dealt with.
    skip: Pos,
    /// Whether new events are added to what it is owed, in the store.
    pub(super) is_behind: bool,
    /// Whether nothing was found of what it is owed.
    pub(super) has_caught_up: bool,
    /// Whether some of what it is owed is not in the store yet.
    pub(super) is_unwritten: bool,
    pub(super) flight: Option<Arc<Flight>>,
    /// What may be lost.
    pub(super) ephemeral: Ephemeral,
    /// Whether there may be something for it in the tables of EDUs.
    pub(super) has_edus: bool,
    /// It refused a transaction, so it is sent one thing at a time, so many times.
    pub(super) singly: usize,
    failing: Option<Failing>,
}

/// What came of an attempt to send.
pub(super) enum Outcome {
    /// There was nothing to say.
    Nothing,
    /// It was answered.
    Sent,
    /// It was not.
    Failed(String),
    /// The server stops.
    Stopped,
}

impl Destination {
    /// A server as the store knows it.
    fn open(s: &Snapshot, name: &ServerName) -> Result<Self> {
        let row = s.get(tables::DESTINATIONS, name.as_str())?;
        let row = row.unwrap_or_default();
        let flown = row.flight.as_ref().and_then(|flight| flight.upto);
        let key = (name.as_str(),);
        let mut owed = s.prefix(tables::OWED, &key, Order::Forward).keys();
        let mut lists = s
            .prefix(tables::OWED_DEVICE_LISTS, &key, Order::Forward)
            .keys();
        let state = State {
            skip: row.sent.max(flown.unwrap_or_default()),
            is_behind: owed.next().transpose()?.is_some(),
            has_edus: lists.next().transpose()?.is_some()
                || !to_device_out::waiting(s, name, Pos::ZERO, 1)?.is_empty(),
            flight: row.flight.map(|row| {
                Arc::new(Flight {
                    row,
                    is_durable: true,
                })
            }),
            ..State::default()
        };
        Ok(Self {
            name: name.to_owned(),
            state: Mutex::new(state),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether anything is known that it has to be told.
    fn has_work(&self) -> bool {
        self.flight.is_some()
            || !self.waiting.is_empty()
            || (self.is_behind && !self.has_caught_up)
            || self.has_edus
            || !self.ephemeral.is_empty()
    }

    /// Takes note of an event. What must be written down instead is given back.
    pub(super) fn add(&mut self, s: &Snapshot, server: &ServerName, due: Due) -> Result<Vec<Due>> {
        if due.pos <= self.skip {
            return Ok(Vec::new());
        }
        if self.is_behind && self.has_caught_up && !self.is_unwritten {
            let key = (server.as_str(),);
            let mut owed = s.prefix(tables::OWED, &key, Order::Forward).keys();
            self.is_behind = owed.next().transpose()?.is_some();
        }
        self.skip = due.pos;
        if self.is_behind {
            self.is_unwritten = true;
            return Ok(vec![due]);
        }
        self.waiting.push_back(due);
        if self.waiting.len() > KEPT {
            return Ok(self.fall_behind());
        }
        Ok(Vec::new())
    }

    /// From now on only from where to where is remembered. Gives what must be written down.
    fn fall_behind(&mut self) -> Vec<Due> {
        self.is_behind = true;
        self.is_unwritten = true;
        let kept = self
            .waiting
            .iter()
            .take_while(|due| due.pos <= self.taking)
            .count();
        self.waiting.drain(kept..).collect()
    }

    /// What it is owed stands in the store.
    pub(super) fn written(&mut self) {
        self.is_unwritten = false;
        self.has_caught_up = false;
    }

    /// The next events, which are being written into a transaction until [`State::put_back`].
    pub(super) fn take(&mut self, most: usize) -> Vec<Due> {
        let taken: Vec<Due> = self.waiting.iter().take(most).cloned().collect();
        self.taking = taken.last().map(|due| due.pos).unwrap_or_default();
        taken
    }

    /// They are in a transaction now, up to here.
    pub(super) fn took(&mut self, upto: Pos) {
        while self.waiting.front().is_some_and(|due| due.pos <= upto) {
            self.waiting.pop_front();
        }
    }

    /// A transaction was made, or could not be. Whether the store may hold more for it: events, EDUs. Whoever has added some meanwhile has said so.
    pub(super) fn put_back(&mut self, is_behind: bool, has_edus: bool) {
        self.taking = Pos::ZERO;
        self.has_caught_up &= !is_behind;
        self.has_edus |= has_edus;
    }

    /// How many attempts in a row have failed.
    pub(super) fn attempts(&self) -> u32 {
        self.failing.as_ref().map_or(0, |failing| failing.attempts)
    }

    /// Whether its last attempt failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.is_some()
    }
}

/// Who stands in which line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Servers that answered last time, or were never asked.
    Well,
    /// Servers that did not.
    Suspect,
}

impl Lane {
    pub(super) const ALL: [Self; 2] = [Self::Well, Self::Suspect];

    const fn places(self) -> usize {
        match self {
            Self::Well => WELL,
            Self::Suspect => SUSPECT,
        }
    }
}

#[derive(Default)]
struct Line {
    waiting: Mutex<VecDeque<Arc<Destination>>>,
    some: Notify,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Destination>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, destination: Arc<Destination>) {
        self.lock().push_back(destination);
        self.some.notify_one();
    }

    async fn next(&self) -> Arc<Destination> {
        loop {
            let first = self.lock().pop_front();
            if let Some(first) = first {
                return first;
            }
            self.some.notified().await;
        }
    }
}

/// Every destination.
pub(super) struct Desk {
    known: Mutex<HashMap<OwnedServerName, Arc<Destination>>>,
    well: Line,
    suspect: Line,
    /// Places for attempts that take long.
    pub(super) slow: Arc<Semaphore>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            well: Line::default(),
            suspect: Line::default(),
            slow: Arc::new(Semaphore::new(SLOW)),
        }
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, HashMap<OwnedServerName, Arc<Destination>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, lane: Lane) -> &Line {
        match lane {
            Lane::Well => &self.well,
            Lane::Suspect => &self.suspect,
        }
    }

    /// The destination of this name.
    pub(super) fn open(&self, s: &Snapshot, name: &ServerName) -> Result<Arc<Destination>> {
        if let Some(known) = self.lock().get(name) {
            return Ok(known.clone());
        }
        let opened = Arc::new(Destination::open(s, name)?);
        let mut known = self.lock();
        let entry = known.entry(name.to_owned());
        Ok(entry.or_insert(opened).clone())
    }

    /// The destination of this name, if anything was ever to be said to it since the start.
    fn get(&self, name: &ServerName) -> Option<Arc<Destination>> {
        self.lock().get(name).cloned()
    }

    /// A destination has something to say: it stands in line, unless it is left alone or does so already.
    pub(super) fn wake(&self, destination: &Arc<Destination>) {
        let mut state = destination.lock();
        match state.stage {
            Stage::Idle if state.has_work() => {
                state.stage = Stage::Ready;
                let lane = lane_of(&state);
                drop(state);
                self.line(lane).push(destination.clone());
            }
            Stage::Busy { .. } => state.stage = Stage::Busy { more: true },
            Stage::Idle | Stage::Ready | Stage::Resting => {}
        }
    }

    /// It need not be left alone any longer.
    fn rouse(&self, destination: &Arc<Destination>) {
        let mut state = destination.lock();
        if state.stage == Stage::Resting {
            state.stage = Stage::Idle;
            drop(state);
            self.wake(destination);
        }
    }

    /// An attempt is over. Whether the destination is to be left alone for a while.
    fn finish(
        &self,
        destination: &Arc<Destination>,
        outcome: Outcome,
        clock: &SharedClock,
    ) -> bool {
        let mut state = destination.lock();
        let Stage::Busy { more } = state.stage else {
            return false;
        };
        state.stage = Stage::Idle;
        match outcome {
            Outcome::Nothing if !more => return false,
            Outcome::Nothing => {}
            Outcome::Sent => state.failing = None,
            Outcome::Stopped => return false,
            Outcome::Failed(why) => {
                let failing = state.failing.get_or_insert_with(|| Failing {
                    attempts: 0,
                    since: clock.now().millis(),
                    until: None,
                    why: String::new(),
                });
                failing.attempts = failing.attempts.saturating_add(1);
                failing.why = why;
                // Who types now will not be typing when the server is back.
                state.ephemeral = Ephemeral::default();
                state.stage = Stage::Resting;
                return true;
            }
        }
        drop(state);
        self.wake(destination);
        false
    }

    /// Up to where everything that waits in memory may be forgotten, and what must be written down for that: what has waited since before `old`.
    pub(super) fn flushable(&self, upto: Pos, old: Pos) -> (Pos, Vec<(Arc<Destination>, Due)>) {
        let known: Vec<Arc<Destination>> = self.lock().values().cloned().collect();
        let (mut reach, mut owed) = (upto, Vec::new());
        for destination in known {
            let mut state = destination.lock();
            if state.waiting.front().is_some_and(|due| due.pos <= old) {
                let fallen = state.fall_behind();
                owed.extend(fallen.into_iter().map(|due| (destination.clone(), due)));
            }
            if let Some(first) = state.waiting.front() {
                reach = reach.min(first.pos.previous());
            }
        }
        (reach, owed)
    }

    /// Forgets destinations that have nothing to say, once there are many.
    pub(super) fn sweep(&self) {
        let mut known = self.lock();
        if known.len() > IDLE {
            // Somebody else who holds one is about to give it something to say.
            known.retain(|_, destination| {
                let state = destination.lock();
                Arc::strong_count(destination) > 1 || state.stage != Stage::Idle || state.has_work()
            });
        }
    }

    pub(super) fn status(&self, name: &ServerName) -> Status {
        let Some(destination) = self.get(name) else {
            return Status::default();
        };
        let state = destination.lock();
        Status {
            waiting: state.waiting.len(),
            transaction: state.flight.as_ref().map(|flight| flight.row.id.clone()),
            failing: state.failing.clone(),
            ..Status::default()
        }
    }
}

fn lane_of(state: &State) -> Lane {
    if state.is_failing() {
        Lane::Suspect
    } else {
        Lane::Well
    }
}

/// The worker at the head of a line.
pub(super) struct Dispatch {
    federation: Federation,
    lane: Lane,
    places: Arc<Semaphore>,
    tasks: Tasks,
}

impl Dispatch {
    pub(super) fn new(federation: Federation, lane: Lane, tasks: Tasks) -> Self {
        Self {
            federation,
            lane,
            places: Arc::new(Semaphore::new(lane.places())),
            tasks,
        }
    }

    async fn next(&self) -> Option<(Arc<Destination>, OwnedSemaphorePermit)> {
        let place = self.places.clone().acquire_owned().await.ok()?;
        let destination = self.federation.inner.desk.line(self.lane).next().await;
        Some((destination, place))
    }
}

impl Worker for Dispatch {
    fn name(&self) -> String {
        match self.lane {
            Lane::Well => "federation sender".to_owned(),
            Lane::Suspect => "federation sender, servers that failed".to_owned(),
        }
    }

    async fn step(&mut self, cx: &Context) -> Result<Next, WorkerError> {
        let Some(Some((destination, place))) = cx.unless_stopping(self.next()).await else {
            return Ok(Next::Stop);
        };
        destination.lock().stage = Stage::Busy { more: false };
        let (federation, tasks) = (self.federation.clone(), self.tasks.clone());
        self.tasks.spawn("federation transaction", async move {
            federation.attempt(destination, place, &tasks).await;
        });
        Ok(Next::Again)
    }
}

impl Federation {
    /// Sends one transaction, and says what becomes of the destination then.
    async fn attempt(
        self,
        destination: Arc<Destination>,
        place: OwnedSemaphorePermit,
        tasks: &Tasks,
    ) {
        let outcome = match self.deliver(&destination, place, tasks.context()).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::error!(server = %destination.name, %error, "cannot make a transaction");
                Outcome::Failed(error.to_string())
            }
        };
        let inner = &self.inner;
        if let Outcome::Failed(why) = &outcome {
            tracing::debug!(server = %destination.name, %why, "a transaction was not delivered");
        }
        if inner.desk.finish(&destination, outcome, &inner.clock) {
            let context = tasks.context().clone();
            let federation = self.clone();
            tasks.spawn("federation pause", async move {
                let rested = context.unless_stopping(federation.rest(&destination)).await;
                if rested.is_some() {
                    federation.inner.desk.rouse(&destination);
                }
            });
        }
    }

    /// Waits until a server may be tried again.
    async fn rest(&self, destination: &Destination) {
        let backoff = self.inner.peers.backoff();
        if backoff.wait_until(&destination.name).is_some() {
            return backoff.ready(&destination.name).await;
        }
        // It can be reached, but did not answer as it should, or the fault is ours.
        let attempts = destination.lock().attempts();
        tokio::time::sleep(pause(attempts)).await;
    }
}

/// How long a server is left alone after so many failures in a row.
fn pause(attempts: u32) -> Duration {
    let factor = 2_u32.checked_pow(attempts.saturating_sub(1));
    factor
        .and_then(|factor| FIRST_PAUSE.checked_mul(factor))
        .unwrap_or(LONGEST_PAUSE)
        .min(LONGEST_PAUSE)
}
