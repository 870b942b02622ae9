//! A room that one of ours is joining, as the resident server tells it: every event is checked, those that fail are dropped, and
//! what remains must make a room in which the join is allowed. Nothing of it is stored before all of it has been looked at.

use std::collections::{HashMap, HashSet};

use event::auth::{self, AuthState};
use event::rules::RoomIds;
use event::{Pdu, Rules, UncheckedPdu, Verdict, id};
use futures_util::StreamExt;
use peers::{KeyRing, Reply};
use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedServerName};
use serde::Deserialize;

use super::asking::told;
use super::fill::Filled;
use super::scan::{Part, Scanner};
use crate::Rooms;
use crate::error::{Error, Result};

/// Events that a room may have in its state and the chain behind it. The largest known ones have half of that.
pub(super) const EVENTS: usize = 300_000;
/// Events that are checked at a time.
const BATCH: usize = 2_048;
/// Without these the room would be another one than its members see.
const ESSENTIAL: [&str; 3] = ["m.room.create", "m.room.power_levels", "m.room.join_rules"];

/// A room as it has been told, checked, and found whole.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) rules: &'static Rules,
    /// The events that authorise the state and the join, as far as they are not part of the state.
    pub(super) auth_chain: Vec<Pdu>,
    /// The state before the join.
    pub(super) state: Vec<Pdu>,
    /// Our join, with the signature of whoever let us in.
    pub(super) join: Pdu,
}

/// An answer that is being read.
struct Arrival<'a> {
    rooms: &'a Rooms,
    server: OwnedServerName,
    room_id: OwnedRoomId,
    rules: &'static Rules,
    events: HashMap<OwnedEventId, Pdu>,
    state: Vec<OwnedEventId>,
    /// The part of the state that must not be missing.
    essential: HashSet<OwnedEventId>,
    /// Read, not checked yet.
    pending: Vec<UncheckedPdu>,
    seen: HashSet<OwnedEventId>,
    count: usize,
    dropped: usize,
    /// The event that was handed in, as it came back.
    returned: Option<String>,
}

impl Rooms {
    /// Reads and checks the answer to a join.
    pub(super) async fn arrive(
        &self,
        server: OwnedServerName,
        filled: Filled,
        mut reply: Reply,
    ) -> Result<Arrived> {
        let mut arrival = Arrival {
            rooms: self,
            server,
            room_id: filled.pdu.room_id().to_owned(),
            rules: filled.rules,
            events: HashMap::new(),
            state: Vec::new(),
            essential: HashSet::new(),
            pending: Vec::new(),
            seen: HashSet::new(),
            count: 0,
            dropped: 0,
            returned: None,
        };
        let mut scanner = Scanner::new();
        let mut found = Vec::new();
        while let Some(bytes) = reply.next().await {
            let bytes = bytes.map_err(told)?;
            scanner
                .feed(&bytes, &mut found)
                .map_err(|why| arrival.misbehaved(why))?;
            for part in found.drain(..) {
                arrival.take(part)?;
            }
            if arrival.pending.len() >= BATCH {
                arrival.check().await?;
            }
        }
        scanner.finish().map_err(|why| arrival.misbehaved(why))?;
        arrival.check().await?;
        let join = arrival.signed_join(&filled).await?;
        arrival.settle(join).await
    }
}

impl Arrival<'_> {
    fn misbehaved(&self, why: impl Into<String>) -> Error {
        Error::Misbehaved {
            server: self.server.clone(),
            why: why.into(),
        }
    }

    fn take(&mut self, part: Part) -> Result<()> {
        let (json, is_state) = match part {
            Part::State(json) => (json, true),
            Part::Auth(json) => (json, false),
            Part::Other(name, value) => return self.take_other(&name, value),
        };
        self.count += 1;
        if self.count > EVENTS {
            return Err(self.misbehaved(format!("the room has more than {EVENTS} events")));
        }
        let event = match UncheckedPdu::parse(&json, self.rules) {
            Ok(event) if *event.room_id() == *self.room_id => event,
            Ok(_) => {
                self.dropped += 1;
                return Ok(());
            }
            Err(error) => {
                self.dropped += 1;
                tracing::debug!(room = %self.room_id, %error, "an event of a room being joined is malformed");
                return Ok(());
            }
        };
        if is_state {
            self.state.push(event.event_id().to_owned());
            if ESSENTIAL.contains(&event.event_type()) && event.state_key() == Some("") {
                self.essential.insert(event.event_id().to_owned());
            }
        }
        if self.seen.insert(event.event_id().to_owned()) {
            self.pending.push(event);
        }
        Ok(())
    }

    fn take_other(&mut self, name: &str, value: String) -> Result<()> {
        match name {
            "event" => self.returned = Some(value),
            "members_omitted" if value == "true" => {
                return Err(self.misbehaved("members are missing that were asked for"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks the signatures and hashes of what has been read. An event whose hash alone is wrong is kept as a redaction leaves it.
    async fn check(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return Ok(());
        }
        let ring = self.rooms.ring(pending.iter()).await;
        let checked = self
            .rooms
            .store()
            .read(move |_| Ok::<_, Error>(check_all(pending, &ring)));
        let (good, dropped) = checked.await?;
        self.dropped += dropped;
        self.events
            .extend(good.into_iter().map(|pdu| (pdu.event_id().to_owned(), pdu)));
        Ok(())
    }

    /// Our join; if one of theirs let us in, with the signature of their server.
    async fn signed_join(&self, filled: &Filled) -> Result<Pdu> {
        let Some(via) = &filled.via else {
            return Ok(filled.pdu.clone());
        };
        let returned = self
            .returned
            .as_deref()
            .ok_or_else(|| self.misbehaved("it lets nobody in, for the join came back unsigned"))?;
        let unsigned =
            |error: event::Error| self.misbehaved(format!("the join came back wrong: {error}"));
        let copy = UncheckedPdu::parse(returned, self.rules).map_err(unsigned)?;
        let ring = self.rooms.ring_of(&copy, via.server_name()).await;
        copy.lend_signature(&filled.pdu, via.server_name(), &ring)
            .map_err(unsigned)
    }

    /// Puts the events in order, judges each by those that it names, and the join by the state.
    async fn settle(self, join: Pdu) -> Result<Arrived> {
        let Self {
            rooms,
            server,
            room_id,
            rules,
            events,
            state,
            essential,
            dropped,
            ..
        } = self;
        if dropped > 0 {
            tracing::info!(room = %room_id, %server, dropped, "dropped events of a room being joined");
        }
        let told = Told {
            room_id,
            rules,
            events,
            state,
            essential,
        };
        rooms
            .store()
            .read(move |_| {
                told.settle(join)
                    .map_err(|why| Error::Misbehaved { server, why })
            })
            .await
    }
}

fn check_all(pending: Vec<UncheckedPdu>, ring: &KeyRing) -> (Vec<Pdu>, usize) {
    let all = pending.len();
    let checked = pending.into_iter().filter_map(|event| {
        let event_id = event.event_id().to_owned();
        match event.check(ring) {
            Ok(checked) => Some(checked.into_pdu()),
            Err(error) => {
                tracing::debug!(event = %event_id, %error, "an event of a room being joined fails its checks");
                None
            }
        }
    });
    let good: Vec<Pdu> = checked.collect();
    let dropped = all - good.len();
    (good, dropped)
}

/// What remains of an answer when every event in it has been checked by itself.
struct Told {
    room_id: OwnedRoomId,
    rules: &'static Rules,
    events: HashMap<OwnedEventId, Pdu>,
    state: Vec<OwnedEventId>,
    essential: HashSet<OwnedEventId>,
}

impl Told {
    fn settle(self, join: Pdu) -> Result<Arrived, String> {
        let create = self.create()?;
        let order = self.order(&create);
        let mut good: HashMap<OwnedEventId, Pdu> = HashMap::with_capacity(order.len());
        let mut events = Vec::with_capacity(order.len());
        for event_id in order {
            let Some(pdu) = self.events.get(&event_id) else {
                continue;
            };
            match allowed(pdu, &good, &create, self.rules) {
                Ok(()) => {
                    good.insert(event_id, pdu.clone());
                    events.push(pdu.clone());
                }
                Err(reason) => {
                    tracing::debug!(event = %event_id, %reason, "an event of a room being joined is not allowed");
                }
            }
        }
        let state = self.state(&good, &create)?;
        allowed(&join, &good, &create, self.rules)
            .map_err(|reason| format!("the join is not allowed by what authorises it: {reason}"))?;
        let now: HashMap<(&str, &str), &Pdu> = state
            .iter()
            .filter_map(|event_id| good.get(event_id))
            .filter_map(|pdu| Some((pdu.state_pair()?, pdu)))
            .collect();
        let find =
            auth::state_fn(|event_type: &str, key: &str| now.get(&(event_type, key)).copied());
        if let Verdict::Denied(reason) = event::judge(&join, &find, self.rules) {
            return Err(format!(
                "the join is not allowed by the room's state: {reason}"
            ));
        }
        drop(now);
        let (state, auth_chain) = events
            .into_iter()
            .partition(|pdu| state.contains(pdu.event_id()));
        Ok(Arrived {
            rules: self.rules,
            auth_chain,
            state,
            join,
        })
    }

    /// The one create event of the state, which must be that of this room and of the version that the template named.
    fn create(&self) -> Result<Pdu, String> {
        #[derive(Deserialize)]
        struct Content {
            room_version: Option<String>,
        }
        let mut creates = self
            .state
            .iter()
            .filter_map(|event_id| self.events.get(event_id))
            .filter(|pdu| pdu.state_pair() == Some(("m.room.create", "")));
        let create = creates.next().ok_or("the state has no create event")?;
        if creates.any(|other| other.event_id() != create.event_id()) {
            return Err("the state has two create events".to_owned());
        }
        let content: Content = serde_json::from_str(create.content_str())
            .map_err(|_| "the create event makes no sense".to_owned())?;
        let unnamed = Rules::unnamed().version;
        let version = content.room_version.as_deref().unwrap_or(unnamed);
        if version != self.rules.version {
            return Err(format!(
                "the room has version {version}, and the template said {}",
                self.rules.version
            ));
        }
        let is_of_room = match self.rules.room_ids {
            RoomIds::Chosen => true,
            RoomIds::OfCreate => id::is_create_of(create.event_id(), &self.room_id),
        };
        if !is_of_room {
            return Err("the create event is that of another room".to_owned());
        }
        let nothing: [Pdu; 0] = [];
        match event::judge(create, nothing.as_slice(), self.rules) {
            Verdict::Allowed => Ok(create.clone()),
            Verdict::Denied(reason) => Err(format!("the create event is not allowed: {reason}")),
        }
    }

    /// The state, without what was dropped. It must not lose what decides who may do what.
    fn state(
        &self,
        good: &HashMap<OwnedEventId, Pdu>,
        create: &Pdu,
    ) -> Result<HashSet<OwnedEventId>, String> {
        let mut state = HashSet::with_capacity(self.state.len());
        let mut pairs: HashMap<(&str, &str), &EventId> = HashMap::with_capacity(self.state.len());
        for event_id in &self.state {
            let Some(pdu) = good.get(event_id) else {
                if self.essential.contains(event_id) {
                    return Err(format!(
                        "{event_id}, an essential part of the state, is not valid"
                    ));
                }
                continue;
            };
            let pair = pdu
                .state_pair()
                .ok_or_else(|| format!("{event_id} is in the state and no state event"))?;
            if pairs
                .insert(pair, event_id)
                .is_some_and(|other| other != *event_id)
            {
                let (event_type, key) = pair;
                return Err(format!("the state has two events for {event_type} {key:?}"));
            }
            state.insert(event_id.clone());
        }
        if !state.contains(create.event_id()) {
            return Err("the create event is not allowed".to_owned());
        }
        Ok(state)
    }

    /// All events, those that authorise others before these. Depth first, without recursion: chains are as long as others make
    /// them. A circle cannot be, since the IDs are hashes; where they are not, whatever closes one comes too early and is
    /// found to lack what authorises it.
    /// The create event comes first in any case, since in some versions nobody names it.
    fn order(&self, create: &Pdu) -> Vec<OwnedEventId> {
        let mut order = Vec::with_capacity(self.events.len());
        let mut seen: HashSet<&EventId> = HashSet::with_capacity(self.events.len());
        for root in std::iter::once(create).chain(self.events.values()) {
            let mut path: Vec<(&Pdu, usize)> = Vec::new();
            if seen.insert(root.event_id()) {
                path.push((root, 0));
            }
            while let Some((pdu, at)) = path.pop() {
                let Some(next) = pdu.auth_events().get(at) else {
                    order.push(pdu.event_id().to_owned());
                    continue;
                };
                path.push((pdu, at + 1));
                if let Some(next) = self.events.get(next)
                    && seen.insert(next.event_id())
                {
                    path.push((next, 0));
                }
            }
        }
        order
    }
}

/// Whether the events that an event names are good, and allow it.
fn allowed(
    pdu: &Pdu,
    good: &HashMap<OwnedEventId, Pdu>,
    create: &Pdu,
    rules: &Rules,
) -> Result<(), String> {
    if pdu.event_type() == "m.room.create" {
        return if pdu.event_id() == create.event_id() {
            Ok(())
        } else {
            Err("the room was created by another event".to_owned())
        };
    }
    let find = |id: &EventId| {
        good.get(id).map(|pdu| auth::Known {
            pdu,
            rejected: false,
        })
    };
    let verdict = auth::check_auth_events(pdu, rules, find);
    if let Verdict::Denied(reason) = verdict {
        return Err(reason.to_string());
    }
    let mut state: Vec<Pdu> = pdu
        .auth_events()
        .iter()
        .filter_map(|id| good.get(id).cloned())
        .collect();
    if AuthState::get(&state, "m.room.create", "").is_none() {
        state.push(create.clone());
    }
    match event::judge(pdu, &state, rules) {
        Verdict::Allowed => Ok(()),
        Verdict::Denied(reason) => Err(reason.to_string()),
    }
}
