//! One transaction: what goes into it, how it is written down, sent, repeated, and settled (server-server API, *Transactions*).
//!
//! Its ID and its contents are on disk before the first byte leaves, so that a crash between sending and the answer repeats the same transaction. One that
//! holds nothing but what may be lost is not written down. Events are sent as the bytes that are stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Context;
use base::random::token;
use peers::Ask;
use rooms::Stored;
use ruma::OwnedServerName;
use serde::Deserialize;
use store::rows::outbox::{FlightRow, OwedRow};
use store::{EventNo, Pos, RoomNo, Snapshot, Tx, tables};
use tokio::sync::OwnedSemaphorePermit;

use super::edus::{self, Ephemeral};
use super::queue::{Destination, Due, Flight, Outcome, QUICK};
use super::{Federation, Inner, catch_up, lengthened, owe, settle};
use crate::error::{Error, Result};

/// Events of one transaction, as the specification has it.
pub(super) const EVENTS: usize = 50;
/// EDUs of one transaction, as the specification has it.
pub(super) const EDUS: usize = 100;
/// Bytes of events, and of EDUs, after which a transaction is full. What comes last may reach beyond it.
pub(super) const BYTES: usize = 256 * 1024;
/// Characters of a transaction ID.
const ID: usize = 20;
/// An unanswered transaction older than this is repeated without what is no longer true: who types, who is there. In milliseconds.
const STALE: u64 = 60_000;
/// How often a transaction is refused before its parts are sent one by one.
const REFUSALS: u32 = 3;

/// What a transaction is made from.
struct Draft {
    server: OwnedServerName,
    id: String,
    now: u64,
    due: Vec<Due>,
    is_behind: bool,
    has_edus: bool,
    ephemeral: Ephemeral,
    /// How many events and how many EDUs it may have.
    most: (usize, usize),
}

/// A transaction with its body.
struct Composed {
    flight: FlightRow,
    body: String,
    /// Whether it has to be repeated until it is answered.
    is_durable: bool,
}

/// What a server says of the events of a transaction.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    pdus: BTreeMap<String, Verdict>,
}

#[derive(Deserialize)]
struct Verdict {
    #[serde(default)]
    error: Option<String>,
}

impl Federation {
    /// Sends a server what comes next.
    pub(super) async fn deliver(
        &self,
        destination: &Destination,
        place: OwnedSemaphorePermit,
        cx: &Context,
    ) -> Result<Outcome> {
        let known = destination.lock().flight.clone();
        let (flight, body) = match known {
            Some(flight) => {
                let flight = self.refresh(destination, flight).await?;
                let body = self.render(&flight).await?;
                (flight, body)
            }
            None => match self.compose(destination).await? {
                Some(composed) => composed,
                None => return Ok(Outcome::Nothing),
            },
        };
        let sending = self.send(destination, &flight.row.id, body, place);
        let Some(answer) = cx.unless_stopping(sending).await else {
            return Ok(Outcome::Stopped);
        };
        match answer {
            Ok(answer) => {
                note_refused(destination, &answer);
                self.land(destination, &flight).await?;
                Ok(Outcome::Sent)
            }
            Err(error) => self.failed(destination, &flight, &error).await,
        }
    }

    /// Sends it. An attempt that takes long gives its place away, as long as there are places for such.
    async fn send(
        &self,
        destination: &Destination,
        id: &str,
        body: String,
        place: OwnedSemaphorePermit,
    ) -> peers::Result<Answer> {
        let path = peers::path(&["_matrix", "federation", "v1", "send", id]);
        let asked = self
            .inner
            .peers
            .ask_json::<Answer>(&destination.name, Ask::put(path, body));
        tokio::pin!(asked);
        if let Ok(answer) = tokio::time::timeout(QUICK, &mut asked).await {
            return answer;
        }
        let slow = self.inner.desk.slow.clone().try_acquire_owned();
        let _place = slow.unwrap_or(place);
        asked.await
    }

    /// Makes the next transaction, and writes it down.
    async fn compose(&self, destination: &Destination) -> Result<Option<(Arc<Flight>, String)>> {
        let draft = self.draft(destination);
        let inner = self.inner.clone();
        let (is_behind, has_edus) = (draft.is_behind, draft.has_edus);
        let is_durable = !draft.due.is_empty() || is_behind || has_edus;
        let mut draft = Some(draft);
        let composed = if is_durable {
            let write = move |tx: &mut Tx| {
                let draft = draft.as_ref().ok_or(Error::Bug("a draft used up"))?;
                let composed = inner.compose(tx, draft)?;
                if let Some(composed) = composed.as_ref().filter(|made| made.is_durable) {
                    write_down(tx, draft.server.as_str(), Some(&composed.flight), None)?;
                }
                Ok::<_, Error>(composed)
            };
            let written = self.inner.store.write(write).await;
            if written.is_err() {
                destination.lock().put_back(is_behind, has_edus);
            }
            written?.0
        } else {
            let read = move |s: &Snapshot| match draft.take() {
                Some(draft) => inner.compose(s, &draft),
                None => Ok(None),
            };
            self.inner.store.read(read).await?
        };
        let mut state = destination.lock();
        let Some(composed) = composed else {
            state.put_back(false, false);
            return Ok(None);
        };
        state.took(composed.flight.upto.unwrap_or_default());
        // There may be more of these.
        state.put_back(is_behind, has_edus);
        let flight = Arc::new(Flight {
            row: composed.flight,
            is_durable: composed.is_durable,
        });
        state.flight = Some(flight.clone());
        Ok(Some((flight, composed.body)))
    }

    fn draft(&self, destination: &Destination) -> Draft {
        let inner = &self.inner;
        let mut state = destination.lock();
        let most = if state.singly > 0 {
            (1, 1)
        } else {
            (EVENTS, EDUS)
        };
        Draft {
            server: destination.name.clone(),
            id: token(&*inner.random, ID),
            now: inner.clock.now().millis(),
            due: state.take(most.0),
            is_behind: state.is_behind && !std::mem::replace(&mut state.has_caught_up, true),
            has_edus: std::mem::take(&mut state.has_edus),
            ephemeral: std::mem::take(&mut state.ephemeral),
            most,
        }
    }

    /// The body of a transaction that was made before.
    async fn render(&self, flight: &Arc<Flight>) -> Result<String> {
        let (flight, inner) = (flight.clone(), self.inner.clone());
        let read = move |s: &Snapshot| {
            let events = stored(s, &flight.row.events)?;
            Ok(inner.body(&flight.row, &events))
        };
        self.inner.store.read(read).await
    }

    /// A transaction that has waited for long is made new, without what is no longer true. That is another transaction, so it gets another ID; what
    /// it still holds names itself, so that nothing is taken twice.
    async fn refresh(&self, destination: &Destination, flight: Arc<Flight>) -> Result<Arc<Flight>> {
        let now = self.inner.clock.now().millis();
        let lasting = usize::try_from(flight.row.lasting).unwrap_or(usize::MAX);
        if now.saturating_sub(flight.row.ts) < STALE || flight.row.edus.len() <= lasting {
            return Ok(flight);
        }
        let mut row = flight.row.clone();
        row.edus.truncate(lasting);
        row.id = token(&*self.inner.random, ID);
        row.ts = now;
        let (server, written) = (destination.name.to_string(), row.clone());
        let write = move |tx: &mut Tx| write_down(tx, &server, Some(&written), None);
        self.inner.store.write(write).await?;
        let flight = Arc::new(Flight {
            row,
            is_durable: true,
        });
        destination.lock().flight = Some(flight.clone());
        Ok(flight)
    }

    /// It was answered. That this is written down within a second is soon enough: until then the same would be sent once more.
    async fn land(&self, destination: &Destination, flight: &Arc<Flight>) -> Result<()> {
        if let Some(upto) = flight.row.to_device {
            let users = &self.inner.users;
            users.sent_to_server(&destination.name, upto).await?;
        }
        if flight.is_durable {
            let (server, flight) = (destination.name.to_string(), flight.clone());
            let write = move |tx: &mut Tx| {
                let FlightRow {
                    upto,
                    rooms,
                    device_lists,
                    ..
                } = &flight.row;
                write_down(tx, &server, None, *upto)?;
                for (room, upto) in rooms {
                    settle(tx, tables::OWED, &(server.as_str(), *room), *upto)?;
                }
                for (user, upto) in device_lists {
                    let key = (server.as_str(), *user);
                    settle(tx, tables::OWED_DEVICE_LISTS, &key, *upto)?;
                }
                Ok::<_, Error>(())
            };
            self.inner.store.write_relaxed(write).await?;
        }
        let mut state = destination.lock();
        state.flight = None;
        state.singly = state.singly.saturating_sub(1);
        Ok(())
    }

    /// It was not answered, or refused. What cannot be repeated is dropped; what is refused again and again is taken apart, so that one bad event does
    /// not stop everything behind it.
    async fn failed(
        &self,
        destination: &Destination,
        flight: &Arc<Flight>,
        error: &peers::Error,
    ) -> Result<Outcome> {
        let failed = Outcome::Failed(error.to_string());
        if !flight.is_durable {
            destination.lock().flight = None;
            return Ok(failed);
        }
        let is_refused = matches!(
            error,
            peers::Error::Answered {
                status: 400 | 413,
                ..
            }
        );
        let attempts = destination.lock().attempts();
        if !is_refused || attempts + 1 < REFUSALS {
            return Ok(failed);
        }
        let parts = flight.row.events.len() + flight.row.edus.len();
        if parts <= 1 {
            tracing::warn!(server = %destination.name, %error, events = ?flight.row.events, "refused again and again: it is not sent any more");
            self.land(destination, flight).await?;
            return Ok(Outcome::Sent);
        }
        self.take_apart(destination, flight).await?;
        Ok(failed)
    }

    /// Sends the parts of a transaction one by one from now on: what it held is owed again.
    async fn take_apart(&self, destination: &Destination, flight: &Arc<Flight>) -> Result<()> {
        let (server, row) = (destination.name.to_string(), flight.row.clone());
        let parts = row.events.len() + row.edus.len();
        let write = move |tx: &mut Tx| {
            // Of one that catches up, the rooms still stand among what is owed.
            if row.upto.is_some() {
                for (room, more) in stretches(&stored(tx, &row.events)?) {
                    owe(tx, tables::OWED, &(server.as_str(), room), &more)?;
                }
            }
            write_down(tx, &server, None, row.upto)
        };
        self.inner.store.write(write).await?;
        let mut state = destination.lock();
        state.flight = None;
        state.singly = parts;
        state.has_edus = true;
        state.is_behind = true;
        state.has_caught_up = false;
        Ok(())
    }
}

impl Inner {
    /// What comes next for a server: events, then what must not be lost, then what may be.
    fn compose(&self, s: &Snapshot, draft: &Draft) -> Result<Option<Composed>> {
        let mut flight = FlightRow {
            id: draft.id.clone(),
            ts: draft.now,
            ..FlightRow::default()
        };
        let (most_events, most_edus) = draft.most;
        let mut events = Vec::new();
        if let Some(last) = draft.due.last() {
            let numbers: Vec<EventNo> = draft.due.iter().map(|due| due.event).collect();
            events = stored(s, &numbers)?;
            let fit = fitting(&events);
            flight.upto = Some(last.pos);
            if fit < events.len() {
                events.truncate(fit);
                flight.upto = events.last().and_then(Stored::pos);
            }
        } else if draft.is_behind {
            let caught = catch_up::pick(self, s, draft.server.as_str(), most_events)?;
            (events, flight.rooms) = (caught.events, caught.rooms);
        }
        flight.events = events.iter().map(Stored::no).collect();
        let full = most_events == 1 && !events.is_empty();
        if draft.has_edus && !full {
            edus::lasting(s, &draft.server, &mut flight, most_edus)?;
        }
        flight.lasting = flight.edus.len() as u64;
        let is_durable =
            flight.upto.is_some() || !flight.rooms.is_empty() || !flight.edus.is_empty();
        if !full {
            edus::passing(s, &draft.ephemeral, draft.now, &mut flight.edus, most_edus)?;
        }
        if !is_durable && flight.edus.is_empty() {
            return Ok(None);
        }
        let body = self.body(&flight, &events);
        Ok(Some(Composed {
            flight,
            body,
            is_durable,
        }))
    }

    fn body(&self, flight: &FlightRow, events: &[Stored]) -> String {
        let texts = events.iter().map(Stored::json);
        let bytes: usize = texts.clone().map(str::len).sum();
        let edus: usize = flight.edus.iter().map(String::len).sum();
        let mut body = String::with_capacity(bytes + edus + events.len() + flight.edus.len() + 200);
        body.push_str("{\"edus\":[");
        join(&mut body, flight.edus.iter().map(String::as_str));
        body.push_str("],\"origin\":\"");
        body.push_str(self.rooms.server_name().as_str());
        body.push_str("\",\"origin_server_ts\":");
        body.push_str(&flight.ts.to_string());
        body.push_str(",\"pdus\":[");
        join(&mut body, texts);
        body.push_str("]}");
        body
    }
}

fn join<'a>(body: &mut String, texts: impl Iterator<Item = &'a str>) {
    for (at, text) in texts.enumerate() {
        if at > 0 {
            body.push(',');
        }
        body.push_str(text);
    }
}

/// How many of these fit into a transaction; at least one.
fn fitting(events: &[Stored]) -> usize {
    let mut bytes = 0;
    let fit = events.iter().take_while(|event| {
        let fits = bytes < BYTES;
        bytes += event.json().len();
        fits
    });
    fit.count()
}

/// The events of these numbers. Those that have been purged meanwhile are passed over.
pub(super) fn stored(s: &Snapshot, numbers: &[EventNo]) -> Result<Vec<Stored>> {
    if let Ok(all) = Stored::get_many(s, numbers) {
        return Ok(all);
    }
    let mut found = Vec::with_capacity(numbers.len());
    for number in numbers {
        match Stored::get(s, *number) {
            Ok(event) => found.push(event),
            Err(rooms::Error::Bug(why)) => {
                tracing::warn!(event = %number, why, "cannot be sent");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// From where to where these events stand in each room.
fn stretches(events: &[Stored]) -> BTreeMap<RoomNo, OwedRow> {
    let mut found: BTreeMap<RoomNo, OwedRow> = BTreeMap::new();
    for event in events {
        let Some(pos) = event.pos() else { continue };
        let more = OwedRow {
            since: pos,
            newest: pos,
            left: false,
        };
        let before = found.remove(&event.room());
        found.insert(event.room(), lengthened(before, &more));
    }
    found
}

/// Writes down the transaction that is on its way, or that there is none, and up to where the server has been told.
fn write_down(
    tx: &mut Tx,
    server: &str,
    flight: Option<&FlightRow>,
    sent: Option<Pos>,
) -> Result<()> {
    let mut row = tx.get(tables::DESTINATIONS, server)?.unwrap_or_default();
    row.sent = row.sent.max(sent.unwrap_or_default());
    row.flight = flight.cloned();
    Ok(tx.put(tables::DESTINATIONS, server, &row)?)
}

fn note_refused(destination: &Destination, answer: &Answer) {
    for (event, verdict) in &answer.pdus {
        if let Some(error) = &verdict.error {
            tracing::info!(server = %destination.name, %event, %error, "an event was not taken");
        }
    }
}
