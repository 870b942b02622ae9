//! What a server gets whose user has just joined: the state before the join, and everything that authorises it. A room may be large, so the answer is
//! written in pieces, from the stored bytes; what is held meanwhile is a few bytes for each event.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use ruma::{OwnedServerName, RoomId};
use serde_json::Value;
use store::{EventNo, Snapshot, Store};

use crate::error::Result;
use crate::state::At;
use crate::stored::Stored;
use crate::{members, servers};

/// Events in one piece of an answer.
const PIECE: usize = 256;

/// The answer to `PUT /send_join`.
#[derive(Debug)]
pub struct SendJoinAnswer {
    store: Store,
    origin: OwnedServerName,
    event: String,
    members_omitted: bool,
    servers_in_room: Option<Vec<OwnedServerName>>,
    state: Vec<EventNo>,
    auth_chain: Vec<EventNo>,
}

impl SendJoinAnswer {
    /// Collects what the answer is about. `event` is the join as it was accepted.
    pub(super) fn of(
        store: &Store,
        s: &Snapshot,
        origin: &ruma::ServerName,
        room_id: &RoomId,
        event: &Stored,
        omit_members: bool,
    ) -> Result<Self> {
        let mut state = At::before(event).all(s)?;
        let servers_in_room = if omit_members {
            let kept = kept_members(s, event)?;
            let mut rest = Vec::with_capacity(state.len());
            for (key, no) in state {
                let is_member = s.state_key(key)?.0 == "m.room.member";
                if !is_member || kept.contains(&no) || Some(key) == event.state_key_no() {
                    rest.push((key, no));
                }
            }
            state = rest;
            Some(servers::in_room(s, event.room())?)
        } else {
            None
        };
        let state: Vec<EventNo> = state.into_iter().map(|(_, no)| no).collect();
        let auth_chain = auth_chain(s, room_id, &state, event.no())?;
        Ok(Self {
            store: store.clone(),
            origin: origin.to_owned(),
            event: event.json().to_owned(),
            members_omitted: omit_members,
            servers_in_room,
            state,
            auth_chain,
        })
    }

    /// The join as it was accepted, with our signature where it vouches for somebody.
    #[must_use]
    pub fn event(&self) -> &str {
        &self.event
    }

    /// The answer's body, piece by piece.
    pub fn pieces(self) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        let mut middle = format!("],\"event\":{},\"members_omitted\":", self.event);
        middle.push_str(if self.members_omitted {
            "true"
        } else {
            "false"
        });
        middle.push_str(",\"origin\":");
        middle.push_str(&Value::from(self.origin.as_str()).to_string());
        if let Some(servers) = &self.servers_in_room {
            let servers: Vec<Value> = servers.iter().map(|name| name.as_str().into()).collect();
            middle.push_str(",\"servers_in_room\":");
            middle.push_str(&Value::from(servers).to_string());
        }
        middle.push_str(",\"state\":[");
        let text = |text: String| stream::once(async move { Ok(Bytes::from(text)) });
        text("{\"auth_chain\":[".to_owned())
            .chain(events(self.store.clone(), self.auth_chain))
            .chain(text(middle))
            .chain(events(self.store, self.state))
            .chain(text("]}".to_owned()))
    }

    /// The answer's body at once.
    pub async fn whole(self) -> Result<String> {
        let mut body = Vec::new();
        let mut pieces = std::pin::pin!(self.pieces());
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece?);
        }
        String::from_utf8(body).map_err(|_| crate::Error::Bug("stored events that are no text"))
    }
}

/// Events as a list without its brackets, read as they are wanted.
fn events(store: Store, list: Vec<EventNo>) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    stream::unfold((store, list, 0), |(store, list, from)| async move {
        let numbers: Vec<EventNo> = list.iter().skip(from).take(PIECE).copied().collect();
        if numbers.is_empty() {
            return None;
        }
        let next = from + numbers.len();
        let read = store.read(move |s| {
            let mut out = String::with_capacity(numbers.len() * 1024);
            for (at, event) in Stored::get_many(s, &numbers)?.iter().enumerate() {
                if from + at > 0 {
                    out.push(',');
                }
                out.push_str(event.json());
            }
            Ok(Bytes::from(out))
        });
        let piece = read.await;
        // After an error there is nothing to go on with.
        let next = if piece.is_ok() { next } else { list.len() };
        Some((piece, (store, list, next)))
    })
}

/// Every event from which one can get to these by `auth_events`; those themselves only if they are reached.
pub(crate) fn auth_chain(
    s: &Snapshot,
    room_id: &RoomId,
    state: &[EventNo],
    and: EventNo,
) -> Result<Vec<EventNo>> {
    let mut reached: HashSet<EventNo> = HashSet::new();
    let mut looked: HashSet<EventNo> = HashSet::with_capacity(state.len());
    let mut next: Vec<EventNo> = state.to_vec();
    next.push(and);
    while !next.is_empty() {
        let mut found = Vec::new();
        for numbers in next.chunks(PIECE) {
            for event in Stored::get_many(s, numbers)? {
                for id in event.pdu(room_id)?.auth_events() {
                    let Some(no) = s.event_no(id)? else {
                        continue;
                    };
                    if reached.insert(no) && s.contains(store::tables::EVENTS, &no)? {
                        found.push(no);
                    }
                }
            }
        }
        looked.extend(next);
        found.retain(|no| !looked.contains(no));
        next = found;
    }
    let mut chain: Vec<EventNo> = reached.into_iter().collect();
    // Older events first, so that whoever reads finds everything that it builds on already read.
    chain.sort_unstable();
    Ok(chain)
}

/// The members without whom a room without a name cannot be called by anything (client-server API, `m.heroes`).
fn kept_members(s: &Snapshot, event: &Stored) -> Result<HashSet<EventNo>> {
    let room = event.room();
    let summary = crate::summary::of(s, room)?;
    if summary.name.is_some() || summary.canonical_alias.is_some() {
        return Ok(HashSet::new());
    }
    let heroes = members::heroes(s, room, event.sender_no())?;
    Ok(heroes.into_iter().map(|hero| hero.event).collect())
}
