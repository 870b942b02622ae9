//! Events that are sent later, unless somebody says otherwise before (MSC4140, "Delayed events"). A call's client puts off its own leaving, and puts it
//! off again for as long as it lives: when it dies, it leaves.
//!
//! They are kept on disk, so a restart loses none; what came due meanwhile is sent at once. Whoever knows an ID may send, restart or cancel the event,
//! so IDs cannot be guessed. What was sent is remembered for a while, so that a client that asks once more is not heard twice.

use std::time::Duration;

use base::{Context, Next, Worker, WorkerError, random};
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use serde_json::value::RawValue;
use store::rows::rooms::DelayedRow;
use store::{Order, Snapshot, Tx, UserNo, tables};
use tracing::info;

use crate::ask::{Say, SetState, Txn};
use crate::error::{Error, Result};
use crate::state::now;
use crate::{Rooms, members};

/// How many events of one user can wait at once.
pub(crate) const MOST: usize = 100;
/// How long an event can be put off.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// How long is remembered what was sent or cancelled.
pub(crate) const MEMORY: u64 = 3_600_000;
/// How many that are due are looked at together.
const AT_ONCE: usize = 100;
/// How long the worker sleeps at most: the wall clock may be set meanwhile.
const NAP: Duration = Duration::from_secs(60);
/// Under which device the transactions of delayed events are kept. No device is called so.
const DEVICE: &str = "\0delayed";

/// An event to be sent later.
#[derive(Debug, Clone)]
pub struct Later {
    /// To which room.
    pub room_id: OwnedRoomId,
    /// By whom.
    pub sender: OwnedUserId,
    /// Its type.
    pub event_type: String,
    /// Its state key, if it is state.
    pub state_key: Option<String>,
    /// Its content, an object.
    pub content: Box<RawValue>,
    /// How much later.
    pub delay: Duration,
    /// By what a repeated request is recognised, if by anything: the device, and its ID for the transaction.
    pub txn: Option<(String, String)>,
}

/// An event that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// By which it is sent, restarted or cancelled.
    pub id: String,
    /// Its room.
    pub room_id: String,
    /// Its type.
    pub event_type: String,
    /// Its state key, if it is state.
    pub state_key: Option<String>,
    /// Its content.
    pub content: String,
    /// How long it waits, in milliseconds.
    pub delay: u64,
    /// Since when, in milliseconds of the wall clock.
    pub since: u64,
}

impl Rooms {
    /// Puts an event off, and gives the ID by which it can be sent, restarted or cancelled.
    ///
    /// # Errors
    /// If the sender is not in the room, has too many events waiting, or asks for too long a delay.
    pub async fn send_later(&self, later: Later) -> Result<String> {
        if later.delay > LONGEST {
            return Err(Error::DelayTooLong);
        }
        let (now, head) = (self.now(), self.store().head());
        let id = random::token(self.random(), 32);
        let put = move |tx: &mut Tx| {
            let sender = tx.intern_user(&later.sender)?;
            let txn = transaction(&later);
            if let Some(txn) = &txn {
                let known = tx.get_for_update(tables::DELAYED_TXNS, &(sender, txn.as_str()))?;
                if let Some(known) = known {
                    return Ok(known);
                }
            }
            let room = members::room(tx, &later.room_id)?;
            if !members::is_joined(tx, room, sender)? {
                return Err(Error::NotJoined);
            }
            if tx
                .prefix(tables::DELAYED_OF, &(sender,), Order::Forward)
                .take(MOST)
                .count()
                == MOST
            {
                return Err(Error::TooManyDelayed);
            }
            if let Some(txn) = &txn {
                tx.put(tables::DELAYED_TXNS, &(sender, txn.as_str()), id.as_str())?;
            }
            let row = DelayedRow {
                sender,
                room: later.room_id.to_string(),
                event_type: later.event_type.clone(),
                state_key: later.state_key.clone(),
                content: later.content.get().to_owned(),
                delay: u64::try_from(later.delay.as_millis()).unwrap_or(u64::MAX),
                since: now,
                head,
                txn,
                done: false,
            };
            tx.put(tables::DELAYED_OF, &(sender, id.as_str()), &())?;
            wind(tx, &id, &row)?;
            Ok(id.clone())
        };
        let (id, _) = self.store().write(put).await?;
        self.delays().ring();
        Ok(id)
    }

    /// The events of a user that wait, in no order.
    pub async fn delayed(&self, user: &UserId) -> Result<Vec<Waiting>> {
        let user = user.to_owned();
        let read = move |s: &Snapshot| {
            let Some(user) = s.user_no(&user)? else {
                return Ok(Vec::new());
            };
            let mut waiting = Vec::new();
            for key in s
                .prefix(tables::DELAYED_OF, &(user,), Order::Forward)
                .keys()
            {
                let (_, id) = key?;
                if let Some(row) = s.get(tables::DELAYED, id.as_str())? {
                    waiting.push(Waiting::of(id, row));
                }
            }
            Ok(waiting)
        };
        self.store().read(read).await
    }

    /// Lets an event never be sent.
    ///
    /// # Errors
    /// If no such event waits; the same holds for its siblings.
    pub async fn cancel_delayed(&self, id: &str) -> Result<()> {
        self.settle_delayed(id).await
    }

    /// Lets the delay of an event begin anew.
    pub async fn restart_delayed(&self, id: &str) -> Result<()> {
        let (now, id) = (self.now(), id.to_owned());
        let restart = move |tx: &mut Tx| {
            let mut row = pending(tx, &id)?;
            unwind(tx, &id, &row);
            row.since = now;
            wind(tx, &id, &row)
        };
        self.store().write(restart).await?;
        self.delays().ring();
        Ok(())
    }

    /// Sends an event now.
    pub async fn send_delayed(&self, id: &str) -> Result<()> {
        let row = self.store().snapshot().get(tables::DELAYED, id)?;
        let row = row.filter(|row| !row.done);
        self.dispatch(id, row.ok_or(Error::NotFound("delayed event"))?)
            .await?;
        self.settle_delayed(id).await
    }

    /// Sends what is due, and says when the next event is.
    pub(crate) async fn send_due(&self) -> Result<Option<u64>> {
        let now = self.now();
        let read = move |s: &Snapshot| -> Result<Vec<(u64, String, Option<DelayedRow>)>> {
            let keys = s.scan(tables::DELAYED_DUE, .., Order::Forward).keys();
            let mut found = Vec::new();
            for key in keys.take(AT_ONCE) {
                let (due, id) = key?;
                if due > now {
                    break;
                }
                let row = s.get(tables::DELAYED, id.as_str())?;
                found.push((due, id, row));
            }
            Ok(found)
        };
        for (due, id, row) in self.store().read(read).await? {
            match row {
                Some(row) if !row.done => self.come_due(&id, row).await?,
                _ => self.forget_delayed(&id, due).await?,
            }
        }
        let next = |s: &Snapshot| -> Result<Option<u64>> {
            let first = s.first(tables::DELAYED_DUE, ..)?;
            Ok(first.map(|((due, _), ())| due))
        };
        self.store().read(next).await
    }

    /// Sends one that is due. If the room does not take it now, it never will.
    async fn come_due(&self, id: &str, row: DelayedRow) -> Result<()> {
        let room = row.room.clone();
        match self.dispatch(id, row).await {
            Ok(()) => {}
            Err(error @ Error::Store(_)) => return Err(error),
            Err(error) => info!(%room, %error, "a delayed event was not sent"),
        }
        match self.settle_delayed(id).await {
            // Somebody was faster.
            Err(Error::NotFound(_)) => Ok(()),
            settled => settled,
        }
    }

    async fn dispatch(&self, id: &str, row: DelayedRow) -> Result<()> {
        let s = self.store().snapshot();
        let room_id = OwnedRoomId::try_from(row.room.as_str())
            .map_err(|_| Error::Bug("a delayed event without a room"))?;
        let sender = s.user_id(row.sender)?;
        let content = RawValue::from_string(row.content.clone())
            .map_err(|_| Error::Bug("a delayed event whose content is not JSON"))?;
        let Some(state_key) = row.state_key.clone() else {
            let txn = Txn {
                device: DEVICE.to_owned(),
                scope: row.event_type.clone(),
                id: id.to_owned(),
            };
            let say = Say {
                room_id,
                sender,
                event_type: row.event_type,
                content,
                timestamp: None,
            };
            self.send(say, Some(txn)).await?;
            return Ok(());
        };
        if is_overtaken(&s, &row, &state_key)? {
            return Ok(());
        }
        let set = SetState {
            room_id,
            sender,
            event_type: row.event_type,
            state_key,
            content,
            timestamp: None,
        };
        self.set_state(set).await?;
        Ok(())
    }

    /// Notes that an event waits no more.
    async fn settle_delayed(&self, id: &str) -> Result<()> {
        let (now, id) = (self.now(), id.to_owned());
        let settle = move |tx: &mut Tx| {
            let mut row = pending(tx, &id)?;
            unwind(tx, &id, &row);
            tx.delete(tables::DELAYED_OF, &(row.sender, id.as_str()));
            row.content = String::new();
            (row.done, row.since, row.delay) = (true, now, MEMORY);
            wind(tx, &id, &row)
        };
        self.store().write(settle).await?;
        Ok(())
    }

    /// Removes what is left of an event that was settled long ago.
    async fn forget_delayed(&self, id: &str, due: u64) -> Result<()> {
        let id = id.to_owned();
        let forget = move |tx: &mut Tx| -> Result<()> {
            tx.delete(tables::DELAYED_DUE, &(due, id.as_str()));
            let row = tx.get_for_update(tables::DELAYED, id.as_str())?;
            if let Some(row) = row.filter(|row| row.done && row.due() == due) {
                tx.delete(tables::DELAYED, id.as_str());
                if let Some(txn) = &row.txn {
                    tx.delete(tables::DELAYED_TXNS, &(row.sender, txn.as_str()));
                }
            }
            Ok(())
        };
        self.store().write(forget).await?;
        Ok(())
    }
}

impl Waiting {
    fn of(id: String, row: DelayedRow) -> Self {
        Self {
            id,
            room_id: row.room,
            event_type: row.event_type,
            state_key: row.state_key,
            content: row.content,
            delay: row.delay,
            since: row.since,
        }
    }
}

/// What makes a repeated request recognisable among those of its user.
fn transaction(later: &Later) -> Option<String> {
    let (device, id) = later.txn.as_ref()?;
    let parts = (device, later.room_id.as_str(), &later.event_type, id);
    serde_json::to_string(&parts).ok()
}

/// An event that still waits.
fn pending(tx: &mut Tx, id: &str) -> Result<DelayedRow> {
    let row = tx.get_for_update(tables::DELAYED, id)?;
    row.filter(|row| !row.done)
        .ok_or(Error::NotFound("delayed event"))
}

fn wind(tx: &mut Tx, id: &str, row: &DelayedRow) -> Result<()> {
    tx.put(tables::DELAYED_DUE, &(row.due(), id), &())?;
    Ok(tx.put(tables::DELAYED, id, row)?)
}

fn unwind(tx: &mut Tx, id: &str, row: &DelayedRow) {
    tx.delete(tables::DELAYED_DUE, &(row.due(), id));
}

/// Whether somebody else has set the same piece of state since the event was put off: theirs is the newer word.
fn is_overtaken(s: &Snapshot, row: &DelayedRow, state_key: &str) -> Result<bool> {
    let room_id = OwnedRoomId::try_from(row.room.as_str())
        .map_err(|_| Error::Bug("a delayed event without a room"))?;
    let room = members::room(s, &room_id)?;
    let present = now::get(s, room, &row.event_type, state_key)?;
    let by_another = |sender: UserNo| sender != row.sender;
    Ok(present.is_some_and(|present| {
        by_another(present.sender_no()) && present.pos().is_some_and(|pos| pos > row.head)
    }))
}

/// Tells the worker that there is something new to wait for.
#[derive(Default)]
pub(crate) struct Delays(tokio::sync::Notify);

impl Delays {
    fn ring(&self) {
        self.0.notify_one();
    }
}

/// The worker that sends what is due.
pub struct Sender(Rooms);

impl Sender {
    /// To be started once per server.
    #[must_use]
    pub fn new(rooms: Rooms) -> Self {
        Self(rooms)
    }
}

impl Worker for Sender {
    fn name(&self) -> String {
        "delayed events".to_owned()
    }

    async fn step(&mut self, cx: &Context) -> Result<Next, WorkerError> {
        let next = self.0.send_due().await?;
        let wait = next.map_or(NAP, |due| {
            Duration::from_millis(due.saturating_sub(self.0.now())).min(NAP)
        });
        let rung = tokio::time::timeout(wait, self.0.delays().0.notified());
        let _ = cx.unless_stopping(rung).await;
        Ok(Next::Again)
    }
}
