//! What other servers are asked for about a room's events (server-server API, *Retrieving events*, *Backfilling and retrieving
//! missing events*). Every event that comes back passes the one ingress here: parsed by the rules of the room, its signatures
//! checked; what does not pass is as if it had not been sent. What to do with events is decided in `gather.rs`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event::{Pdu, Rules, UncheckedPdu};
use peers::{Ask, Patience, Wanted, path_and_query};
use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName, RoomId, ServerName};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;
use store::RoomNo;

use super::outliers::Shelf;
use crate::Rooms;
use crate::error::{Error, Result};
use crate::stored::Stored;
use crate::{servers, summary};

/// How many questions one event may cause. A server that names events nobody has would otherwise keep us asking.
const QUESTIONS: usize = 200;
/// How many servers are asked besides the one that sent the event.
const OTHERS: usize = 3;
/// Bytes of an answer with a stretch of the past: a hundred events of the largest size.
const BACKFILL_BYTES: usize = 8 << 20;
/// How long an answer with a whole state may take.
const STATE_TIME: Duration = Duration::from_secs(120);
/// Bytes of an answer with a whole state: of a room with a hundred thousand members.
const STATE_BYTES: usize = 256 << 20;

/// The work on one event: its room, who sent it to us, and how much may still be asked.
pub(crate) struct Errand {
    pub(crate) rooms: Rooms,
    pub(crate) room: RoomNo,
    pub(crate) shelf: Shelf,
    /// Who to ask, the likeliest first.
    servers: Vec<OwnedServerName>,
    questions: AtomicUsize,
}

/// A state as IDs.
#[derive(Debug, Deserialize)]
pub(crate) struct StateIds {
    pub(crate) pdu_ids: Vec<OwnedEventId>,
    pub(crate) auth_chain_ids: Vec<OwnedEventId>,
}

#[derive(Deserialize)]
struct State {
    pdus: Vec<Box<RawValue>>,
    auth_chain: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Pdus {
    pdus: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Missing {
    events: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct AuthChain {
    auth_chain: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Moment {
    event_id: OwnedEventId,
    origin_server_ts: u64,
}

impl Errand {
    /// Work on an event of a room that we have. `origin` is asked first.
    pub(crate) fn new(rooms: &Rooms, room: RoomNo, origin: Option<&ServerName>) -> Result<Self> {
        let s = rooms.store().snapshot();
        let basics = summary::basics(&s, room)?;
        let room_id = s.room_id(room)?;
        let create = Stored::get(&s, basics.create)?.pdu(&room_id)?;
        let mut others = servers::in_room(&s, room)?;
        others.retain(|server| server != rooms.server_name() && Some(&**server) != origin);
        // The room's own server most likely has everything; beyond that, nobody is asked more than others.
        let creator = create.sender().server_name().to_owned();
        let mut any = [0];
        rooms.random().fill(&mut any);
        if !others.is_empty() {
            let start = usize::from(any[0]) % others.len();
            others.rotate_left(start);
        }
        others.sort_by_key(|server| *server != creator);
        others.truncate(OTHERS);
        let mut servers: Vec<OwnedServerName> = origin.map(ToOwned::to_owned).into_iter().collect();
        servers.extend(others);
        Ok(Self {
            rooms: rooms.clone(),
            room,
            shelf: Shelf {
                room_id,
                rules: basics.rules,
                create,
            },
            servers,
            questions: AtomicUsize::new(QUESTIONS),
        })
    }

    pub(crate) fn room_id(&self) -> &OwnedRoomId {
        &self.shelf.room_id
    }

    pub(crate) fn rules(&self) -> &'static Rules {
        self.shelf.rules
    }

    /// Asks one server after the other until one answers; an answer that `accept` makes nothing of counts as none.
    async fn ask<T: DeserializeOwned, R>(
        &self,
        what: &str,
        ask: impl Fn() -> Ask,
        accept: impl Fn(T) -> Option<R>,
    ) -> Result<R> {
        let mut last = format!("nobody can be asked for {what}");
        for server in &self.servers {
            let spent = |left: usize| left.checked_sub(1);
            if self
                .questions
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent)
                .is_err()
            {
                return Err(Error::NotHad(format!(
                    "{what} was not asked for: too much was"
                )));
            }
            match self.rooms.peers().ask_json(server, ask()).await {
                Ok(answer) => match accept(answer) {
                    Some(answer) => return Ok(answer),
                    None => last = format!("{server} does not have {what}"),
                },
                Err(error) => {
                    tracing::debug!(%server, %error, what, "asked in vain");
                    last = format!("asking for {what}: {error}");
                }
            }
        }
        Err(Error::NotHad(last))
    }

    /// The events between some that we have heard of and some that we have.
    pub(crate) async fn missing_events(
        &self,
        latest: &[OwnedEventId],
        earliest: &[OwnedEventId],
        limit: usize,
    ) -> Result<Vec<Pdu>> {
        let path = self.path("get_missing_events", None, &[]);
        let body = json!({
            "latest_events": latest,
            "earliest_events": earliest,
            "limit": limit,
            "min_depth": 0,
        })
        .to_string();
        let ask = || Ask::post(path.clone(), body.clone());
        let Missing { events } = self.ask("missing events", ask, Some).await?;
        self.verified(events).await
    }

    /// One event.
    pub(crate) async fn event(&self, id: &EventId) -> Result<Pdu> {
        let path = peers::path(&["_matrix", "federation", "v1", "event", id.as_str()]);
        let ask = || Ask::get(path.clone()).patience(Patience::quick());
        let Pdus { pdus } = self.ask(id.as_str(), ask, Some).await?;
        let found = self.verified(pdus.into_iter().take(1).collect()).await?;
        let mut right = found.into_iter().filter(|pdu| pdu.event_id() == id);
        right
            .next()
            .ok_or_else(|| Error::NotHad(format!("{id} is not what was sent for it")))
    }

    /// The events behind one in the auth graph.
    pub(crate) async fn event_auth(&self, id: &EventId) -> Result<Vec<Pdu>> {
        let path = self.path("event_auth", Some(id), &[]);
        let ask = || Ask::get(path.clone());
        let what = format!("what authorises {id}");
        let AuthChain { auth_chain } = self.ask(&what, ask, Some).await?;
        self.verified(auth_chain).await
    }

    /// The state before an event, as IDs.
    pub(crate) async fn state_ids(&self, id: &EventId) -> Result<StateIds> {
        let path = self.path("state_ids", None, &[("event_id", id.as_str())]);
        let ask = || Ask::get(path.clone()).patience(Patience::default());
        self.ask(&format!("the state at {id}"), ask, Some).await
    }

    /// The state before an event with the events behind it, whole.
    pub(crate) async fn state(&self, id: &EventId) -> Result<Vec<Pdu>> {
        let path = self.path("state", None, &[("event_id", id.as_str())]);
        let ask = || {
            Ask::get(path.clone()).patience(Patience::long().time(STATE_TIME).bytes(STATE_BYTES))
        };
        let what = format!("the state at {id}");
        let State {
            mut pdus,
            auth_chain,
        } = self.ask(&what, ask, Some).await?;
        pdus.extend(auth_chain);
        self.verified(pdus).await
    }

    /// Some events and those before them.
    pub(crate) async fn backfill(&self, from: &[OwnedEventId], limit: usize) -> Result<Vec<Pdu>> {
        let limit = limit.to_string();
        let mut query: Vec<(&str, &str)> = from.iter().map(|id| ("v", id.as_str())).collect();
        query.push(("limit", &limit));
        let path = self.path("backfill", None, &query);
        let ask = || Ask::get(path.clone()).patience(Patience::quick().bytes(BACKFILL_BYTES));
        let some = |pdus: Pdus| (!pdus.pdus.is_empty()).then_some(pdus);
        let Pdus { pdus } = self.ask("what came before", ask, some).await?;
        self.verified(pdus).await
    }

    /// The event nearest to a moment, and its time.
    pub(crate) async fn moment(&self, ts: u64, forward: bool) -> Result<(OwnedEventId, u64)> {
        let ts = ts.to_string();
        let query = [
            ("ts", ts.as_str()),
            ("dir", if forward { "f" } else { "b" }),
        ];
        let path = self.path("timestamp_to_event", None, &query);
        let ask = || Ask::get(path.clone()).patience(Patience::quick());
        let Moment {
            event_id,
            origin_server_ts,
        } = self.ask("the event at a moment", ask, Some).await?;
        Ok((event_id, origin_server_ts))
    }

    fn path(&self, what: &str, event: Option<&EventId>, query: &[(&str, &str)]) -> String {
        let room_id: &RoomId = self.room_id();
        let mut segments = vec!["_matrix", "federation", "v1", what, room_id.as_str()];
        segments.extend(event.map(EventId::as_str));
        path_and_query(&segments, query)
    }

    /// The events of this room among these whose signatures are right. Of those with a wrong hash, what a redaction leaves.
    pub(crate) async fn verified(&self, raws: Vec<Box<RawValue>>) -> Result<Vec<Pdu>> {
        let (rules, room_id) = (self.rules(), self.room_id().clone());
        let parsed = self.rooms.store().read(move |_| {
            let parsed = raws.iter().filter_map(|raw| parse(raw, rules, &room_id));
            Ok::<_, Error>(parsed.collect::<Vec<_>>())
        });
        let checked = check(&self.rooms, parsed.await?).await?;
        let right = checked.into_iter().filter_map(|(id, checked)| match checked {
            Ok(pdu) => Some(pdu),
            Err(error) => {
                tracing::debug!(event = %id, %error, "an event that was asked for is not right");
                None
            }
        });
        Ok(right.collect())
    }
}

fn parse(raw: &RawValue, rules: &'static Rules, room_id: &RoomId) -> Option<UncheckedPdu> {
    let parsed = UncheckedPdu::parse(raw.get(), rules);
    let right = parsed.ok().filter(|pdu| pdu.room_id() == room_id);
    if right.is_none() {
        tracing::debug!(room = %room_id, "an event that was asked for cannot be read");
    }
    right
}

/// Checks signatures and hashes; the keys for all of them are gathered at once.
pub(crate) async fn check(
    rooms: &Rooms,
    parsed: Vec<UncheckedPdu>,
) -> Result<Vec<(OwnedEventId, Result<Pdu, event::Error>)>> {
    let wanted: Vec<Wanted> = parsed.iter().flat_map(wanted).collect();
    let ring = rooms.peers().keys().gather(wanted).await;
    let checked = rooms.store().read(move |_| {
        let checked = parsed.into_iter().map(|pdu| {
            let id = pdu.event_id().to_owned();
            (id, pdu.check(&ring).map(event::Checked::into_pdu))
        });
        Ok::<_, Error>(checked.collect())
    });
    checked.await
}

fn wanted(pdu: &UncheckedPdu) -> impl Iterator<Item = Wanted> + '_ {
    let at = pdu.origin_server_ts();
    pdu.wanted_keys().map(move |(server, key_id)| Wanted {
        server: server.to_owned(),
        key_id: key_id.to_owned(),
        at,
    })
}
