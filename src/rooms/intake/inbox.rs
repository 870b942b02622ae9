//! Events from other servers that have arrived and are not judged yet. They are on disk before their arrival is confirmed, and
//! leave the disk in the batch that stores them with their verdict, so a crash anywhere repeats work and loses nothing.
//!
//! What may come in at all is decided here; what an event needs is got in `gather.rs`; whose turn it is, in `queue.rs`.

use std::sync::Arc;
use std::time::Duration;

use event::{Rules, UncheckedPdu};
use ruma::{EventId, OwnedEventId, OwnedServerName, RoomId, ServerName};
use serde::Deserialize;
use serde_json::value::RawValue;
use store::rows::rooms::{DroppedRow, InboxRow};
use store::{Order, RoomNo, Snapshot, Tx, tables};

use super::asking::{Errand, check};
use crate::Rooms;
use crate::compose::Composer;
use crate::error::{Error, Result};
use crate::stored::Stored;
use crate::{acl, members, summary};

/// How many events one delivery may have (server-server API, *Transactions*).
const DELIVERED: usize = 50;
/// How many events of one server may wait in one room. What is beyond is refused; it is found again as a missing event.
const WAITING: usize = 1_000;
/// How many events of a room are taken up at once.
const AT_ONCE: usize = 50;
/// How many rows of a room's inbox are looked at for those whose time has come.
const LOOKED_AT: usize = 5_000;
/// How long it may take to get what one event needs.
const PATIENCE: Duration = Duration::from_secs(180);
/// When an event that lacks something is tried again, in milliseconds after each failure; after the last it is given up.
const RETRIES: [u64; 6] = [5_000, 30_000, 120_000, 600_000, 1_800_000, 3_600_000];
/// Of how many events of a room it is kept why they were given up.
const DROPPED: usize = 1_000;

/// What became of an event that was delivered: why it was not taken, if it was not.
pub type Received = (OwnedEventId, Result<(), String>);

/// What there still is to do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing.
    Nothing,
    /// Something, at once.
    More,
    /// Something, when it is so late, in milliseconds.
    Later(u64),
}

impl Rooms {
    /// Takes delivery of events from another server. When this returns they are on disk; they are judged later, room by room.
    /// Events that are here already are confirmed and not stored again. An event whose room is not known here has no ID that we
    /// could name, and is passed over.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more events than a transaction may have.
    pub async fn receive(
        &self,
        origin: &ServerName,
        pdus: Vec<Box<RawValue>>,
    ) -> Result<Vec<Received>> {
        if pdus.len() > DELIVERED {
            return Err(Error::TooLarge(format!(
                "a transaction has at most {DELIVERED} events"
            )));
        }
        let (rooms, sender) = (self.clone(), origin.to_owned());
        let pdus = Arc::new(pdus);
        let delivered = Arc::clone(&pdus);
        let deliver = move |tx: &mut Tx| {
            let mut delivery = Delivery {
                rooms: &rooms,
                origin: &sender,
                answers: Vec::with_capacity(delivered.len()),
                queued: Vec::new(),
                outside: Vec::new(),
            };
            for (number, pdu) in delivered.iter().enumerate() {
                delivery.take(tx, number, pdu)?;
            }
            Ok::<_, Error>((delivery.answers, delivery.queued, delivery.outside))
        };
        let ((answers, queued, outside), _) = self.store().write(deliver).await?;
        self.queue().arrived(origin, &queued);
        let outside = outside.into_iter().filter_map(|number| pdus.get(number));
        let outside: Vec<Box<RawValue>> = outside.cloned().collect();
        self.take_rescissions(&outside).await?;
        Ok(answers)
    }

    /// Takes up what waits in a room, as far as its time has come.
    pub(crate) async fn work(&self, room: RoomNo) -> Result<Left> {
        let now = self.now();
        let due = self.store().read(move |s| Due::of(s, room, now)).await?;
        if !due.rows.is_empty() {
            self.take_up(room, due.rows).await?;
            self.tie_up(room).await?;
        }
        let s = self.store().snapshot();
        self.queue().forget_done(&s, room)?;
        Ok(match (due.more, due.next) {
            (true, _) => Left::More,
            (false, Some(next)) => Left::Later(next),
            (false, None) => Left::Nothing,
        })
    }

    async fn take_up(&self, room: RoomNo, rows: Vec<InboxRow>) -> Result<()> {
        let basics = self
            .store()
            .read(move |s| Ok::<_, Error>((summary::basics(s, room)?, s.room_id(room)?)));
        let (basics, room_id) = basics.await?;
        let (mut parsed, mut origins) = (Vec::new(), Vec::new());
        for row in rows {
            match read(&row.json, basics.rules, &room_id) {
                Ok(pdu) => {
                    parsed.push(pdu);
                    origins.push(row);
                }
                Err(reason) => self.drop_event(room, &row, reason).await?,
            }
        }
        let checked = check(self, parsed).await?;
        let mut ready = Vec::with_capacity(checked.len());
        for (row, (_, checked)) in origins.into_iter().zip(checked) {
            match checked {
                Ok(pdu) => ready.push((pdu, row)),
                // The key may be had when its server can be reached.
                Err(error @ event::Error::NoKey { .. }) => {
                    self.put_off(room, row, error.to_string()).await?;
                }
                Err(error) => self.drop_event(room, &row, error.to_string()).await?,
            }
        }
        // Events that came together follow each other more often than not.
        ready.sort_by_key(|(pdu, _)| pdu.depth());
        for (pdu, row) in ready {
            let origin = OwnedServerName::try_from(row.origin.as_str());
            let errand = Errand::new(self, room, origin.as_deref().ok())?;
            // What has been stored by then stays; a room does not wait for ever for a server that drips.
            let brought = tokio::time::timeout(PATIENCE, errand.bring(&pdu)).await;
            let late = |_| Err(Error::NotHad("what it builds on took too long".to_owned()));
            match brought.unwrap_or_else(late) {
                Ok(taken) => {
                    tracing::debug!(event = %pdu.event_id(), ?taken, "an event was judged");
                }
                Err(error) if error.is_want() => {
                    self.put_off(room, row, error.to_string()).await?;
                }
                Err(Error::Busy) => {
                    self.put_off(room, row, "the room was busy".to_owned())
                        .await?;
                }
                Err(error @ (Error::Store(_) | Error::Bug(_))) => return Err(error),
                Err(error) => self.drop_event(room, &row, error.to_string()).await?,
            }
        }
        Ok(())
    }

    /// Leaves an event for later, or gives it up.
    async fn put_off(&self, room: RoomNo, row: InboxRow, reason: String) -> Result<()> {
        let attempts = usize::try_from(row.attempts).unwrap_or(usize::MAX);
        let Some(wait) = RETRIES.get(attempts) else {
            return self.drop_event(room, &row, reason).await;
        };
        tracing::debug!(
            event = row.event_id,
            origin = row.origin,
            reason,
            "an event has to wait"
        );
        let row = InboxRow {
            attempts: row.attempts.saturating_add(1),
            not_before: self.now().saturating_add(*wait),
            ..row
        };
        let put = move |tx: &mut Tx| {
            let key = (room, row.event_id.as_str());
            // It may have been taken in on the way to another one.
            if let Some(arrival) = tx.get_for_update(tables::INBOX_IDS, &key)? {
                tx.put(tables::INBOX, &(room, arrival), &row)?;
            }
            Ok::<_, Error>(())
        };
        self.store().write(put).await?;
        Ok(())
    }

    /// Gives an event up, and keeps why.
    async fn drop_event(&self, room: RoomNo, row: &InboxRow, reason: String) -> Result<()> {
        tracing::info!(
            event = row.event_id,
            origin = row.origin,
            reason,
            "an event is given up"
        );
        let (event_id, at) = (row.event_id.clone(), self.now());
        let dropped = DroppedRow {
            origin: row.origin.clone(),
            reason,
            at,
        };
        let write = move |tx: &mut Tx| {
            let key = (room, event_id.as_str());
            if let Some(arrival) = tx.get_for_update(tables::INBOX_IDS, &key)? {
                tx.delete(tables::INBOX, &(room, arrival));
                tx.delete(tables::INBOX_IDS, &key);
            }
            let kept = tx.prefix(tables::DROPPED, &(room,), Order::Forward).keys();
            if kept.take(DROPPED).count() < DROPPED {
                tx.put(tables::DROPPED, &key, &dropped)?;
            }
            Ok::<_, Error>(())
        };
        self.store().write(write).await?;
        Ok(())
    }
}

impl Composer {
    /// Takes an event that has its verdict out of the inbox, in the same batch.
    pub(crate) fn clear_inbox(&mut self, event_id: &EventId) -> Result<()> {
        let room = self.desk.head.room;
        let key = (room, event_id.as_str());
        if let Some(arrival) = self.tx.get(tables::INBOX_IDS, &key)? {
            self.tx.delete(tables::INBOX, &(room, arrival));
            self.tx.delete(tables::INBOX_IDS, &key);
            self.tx.delete(tables::DROPPED, &key);
            self.touch();
        }
        Ok(())
    }
}

/// What waits in a room.
struct Due {
    /// What is to be taken up, in the order of arrival.
    rows: Vec<InboxRow>,
    /// Whether there is more of that.
    more: bool,
    /// When the time of the next one comes.
    next: Option<u64>,
}

impl Due {
    fn of(s: &Snapshot, room: RoomNo, now: u64) -> Result<Self> {
        let mut due = Self {
            rows: Vec::new(),
            more: false,
            next: None,
        };
        for row in s
            .prefix(tables::INBOX, &(room,), Order::Forward)
            .take(LOOKED_AT)
        {
            let (_, row) = row?;
            if row.not_before > now {
                let next = due.next.unwrap_or(u64::MAX);
                due.next = Some(next.min(row.not_before));
            } else if due.rows.len() < AT_ONCE {
                due.rows.push(row);
            } else {
                due.more = true;
                break;
            }
        }
        Ok(due)
    }
}

/// One delivery of events.
struct Delivery<'d> {
    rooms: &'d Rooms,
    origin: &'d ServerName,
    answers: Vec<Received>,
    queued: Vec<(RoomNo, u64)>,
    /// Those of rooms that none of ours is in.
    outside: Vec<usize>,
}

impl Delivery<'_> {
    fn take(&mut self, tx: &mut Tx, number: usize, raw: &RawValue) -> Result<()> {
        #[derive(Deserialize)]
        struct Room {
            room_id: ruma::OwnedRoomId,
        }
        let Ok(Room { room_id }) = serde_json::from_str(raw.get()) else {
            tracing::debug!(origin = %self.origin, "an event without a room");
            return Ok(());
        };
        let room = match members::room(tx, &room_id) {
            Ok(room) => room,
            Err(Error::NoSuchRoom) => {
                self.outside.push(number);
                tracing::debug!(origin = %self.origin, room = %room_id, "an event of an unknown room");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let rules = summary::basics(tx, room)?.rules;
        let pdu = match UncheckedPdu::parse(raw.get(), rules) {
            Ok(pdu) => pdu,
            Err(error) => {
                tracing::debug!(origin = %self.origin, room = %room_id, %error, "an event that cannot be read");
                return Ok(());
            }
        };
        if summary::of(tx, room)?.joined_here == 0 {
            self.outside.push(number);
        }
        let taken = match self.refusal(tx, room)? {
            Some(reason) => Err(reason),
            None => self.queue(tx, room, &pdu, raw)?,
        };
        self.answers.push((pdu.event_id().to_owned(), taken));
        Ok(())
    }

    /// Why nothing of this server is taken for a room.
    fn refusal(&self, s: &Snapshot, room: RoomNo) -> Result<Option<String>> {
        if !acl::allows(s, room, self.origin)? {
            return Ok(Some(format!(
                "the room's access control list shuts {} out",
                self.origin
            )));
        }
        if summary::of(s, room)?.joined_here == 0 {
            return Ok(Some("this server is not in the room".to_owned()));
        }
        if self.rooms.queue().waiting(room, self.origin) + self.queued.len() >= WAITING {
            return Ok(Some(
                "too many events of this server wait in this room".to_owned(),
            ));
        }
        Ok(None)
    }

    fn queue(
        &mut self,
        tx: &mut Tx,
        room: RoomNo,
        pdu: &UncheckedPdu,
        raw: &RawValue,
    ) -> Result<Result<(), String>> {
        let event_id = pdu.event_id();
        if let Some(known) = Stored::find_any(tx, room, event_id)?
            && (!known.is_outlier() || known.is_rejected())
        {
            return Ok(Ok(()));
        }
        let key = (room, event_id.as_str());
        if let Some(arrival) = tx.get_for_update(tables::INBOX_IDS, &key)? {
            // What it lacks may be here by now, or to be had from whoever sends it again.
            if let Some(row) = tx.get(tables::INBOX, &(room, arrival))? {
                let row = InboxRow {
                    not_before: 0,
                    origin: self.origin.to_string(),
                    ..row
                };
                tx.put(tables::INBOX, &(room, arrival), &row)?;
                self.queued.push((room, arrival));
            }
            return Ok(Ok(()));
        }
        let now = self.rooms.now();
        let arrival = self.rooms.queue().next_arrival(now);
        let row = InboxRow {
            origin: self.origin.to_string(),
            event_id: event_id.to_string(),
            json: raw.get().to_owned(),
            arrived: now,
            attempts: 0,
            not_before: 0,
        };
        tx.put(tables::INBOX, &(room, arrival), &row)?;
        tx.put(tables::INBOX_IDS, &key, &arrival)?;
        self.queued.push((room, arrival));
        Ok(Ok(()))
    }
}

fn read(json: &str, rules: &'static Rules, room_id: &RoomId) -> Result<UncheckedPdu, String> {
    let pdu = UncheckedPdu::parse(json, rules).map_err(|error| error.to_string())?;
    if pdu.room_id() == room_id {
        Ok(pdu)
    } else {
        Err("it is of another room".to_owned())
    }
}
