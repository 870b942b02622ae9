//! EDUs (server-server API, *EDUs* and the modules that define them). Receipts, typing and presence wait in memory, the latest of each only, and may be
//! lost; messages to devices and changes of device lists stand in the store until they were taken.

use std::collections::{BTreeMap, BTreeSet};

use rooms::receipts::{self, Receipt};
use ruma::ServerName;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use store::rows::outbox::FlightRow;
use store::{Order, Pos, RoomNo, Snapshot, UserNo, tables};
use users::device_lists::{self, Update};
use users::{presence, to_device_out};

use super::transaction::BYTES;
use crate::error::{Error, Result};

/// Changes of who types, receipts, and people whose presence changed, that wait for one server. The oldest make room.
const TYPING: usize = 50;
const RECEIPTS: usize = 300;
const PRESENCE: usize = 300;
/// People in one presence EDU.
const PEOPLE: usize = 50;
/// Users whose device lists are looked at for one transaction.
const LISTS: usize = 100;

/// What may be lost: the latest of each.
#[derive(Debug, Clone, Default)]
pub(super) struct Ephemeral {
    typing: BTreeMap<(RoomNo, UserNo), bool>,
    /// By where they stand, oldest first.
    receipts: BTreeSet<(Pos, RoomNo)>,
    presence: BTreeSet<UserNo>,
}

impl Ephemeral {
    pub(super) fn is_empty(&self) -> bool {
        self.typing.is_empty() && self.receipts.is_empty() && self.presence.is_empty()
    }

    pub(super) fn typing(&mut self, room: RoomNo, user: UserNo, is_typing: bool) {
        self.typing.insert((room, user), is_typing);
        if self.typing.len() > TYPING {
            self.typing.pop_first();
        }
    }

    pub(super) fn receipt(&mut self, room: RoomNo, pos: Pos) {
        self.receipts.insert((pos, room));
        if self.receipts.len() > RECEIPTS {
            self.receipts.pop_first();
        }
    }

    pub(super) fn presence(&mut self, user: UserNo) {
        self.presence.insert(user);
        if self.presence.len() > PRESENCE {
            self.presence.pop_first();
        }
    }
}

fn edu(kind: &str, content: &Value) -> String {
    json!({ "edu_type": kind, "content": content }).to_string()
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    let named = members.map(|(name, value)| (name.to_owned(), value));
    named.into_iter().collect()
}

/// Adds what must not be lost, up to `most` EDUs in all.
pub(super) fn lasting(
    s: &Snapshot,
    server: &ServerName,
    flight: &mut FlightRow,
    most: usize,
) -> Result<()> {
    let mut bytes = 0;
    for (pos, message) in to_device_out::waiting(s, server, Pos::ZERO, most)? {
        if flight.edus.len() >= most || bytes >= BYTES {
            break;
        }
        let message: &RawValue = serde_json::from_str(message.as_str())
            .map_err(|_| Error::Bug("a stored to-device message that is no JSON"))?;
        let edu = format!(
            "{{\"content\":{},\"edu_type\":\"m.direct_to_device\"}}",
            message.get()
        );
        bytes += edu.len();
        flight.edus.push(edu);
        flight.to_device = Some(pos);
    }
    let lists = s.prefix(
        tables::OWED_DEVICE_LISTS,
        &(server.as_str(),),
        Order::Forward,
    );
    for list in lists.take(LISTS) {
        let ((_, user), owed) = list?;
        let updates = device_lists::updates(s, user, owed.since, owed.newest)?;
        let mut upto = owed.newest;
        for (at, update) in updates.into_iter().enumerate() {
            if flight.edus.len() >= most || bytes >= BYTES {
                if at == 0 {
                    return Ok(());
                }
                upto = update.pos.previous();
                break;
            }
            let edu = edu_of(s, user, &update)?;
            bytes += edu.len();
            flight.edus.push(edu);
        }
        flight.device_lists.push((user, upto));
    }
    Ok(())
}

fn edu_of(s: &Snapshot, user: UserNo, changed: &device_lists::Changed) -> Result<String> {
    let user_id = s.user_id(user)?;
    let raw = |json: &Option<Box<RawValue>>| json.as_ref().map(|json| json!(json));
    Ok(match &changed.update {
        Update::Device {
            device_id,
            previous,
            keys,
        } => {
            let previous: Vec<u64> = previous.iter().map(|pos| pos.get()).collect();
            let mut content = object([
                ("user_id", json!(user_id)),
                ("device_id", json!(device_id)),
                ("stream_id", json!(changed.pos.get())),
                ("prev_id", json!(previous)),
            ]);
            match raw(keys) {
                Some(keys) => content.insert("keys".to_owned(), keys),
                None => content.insert("deleted".to_owned(), Value::Bool(true)),
            };
            edu("m.device_list_update", &Value::Object(content))
        }
        Update::SigningKeys {
            master,
            self_signing,
        } => {
            let mut content = object([("user_id", json!(user_id))]);
            for (name, key) in [("master_key", master), ("self_signing_key", self_signing)] {
                if let Some(key) = raw(key) {
                    content.insert(name.to_owned(), key);
                }
            }
            edu("m.signing_key_update", &Value::Object(content))
        }
    })
}

/// Adds what may be lost, up to `most` EDUs in all.
pub(super) fn passing(
    s: &Snapshot,
    ephemeral: &Ephemeral,
    now: u64,
    edus: &mut Vec<String>,
    most: usize,
) -> Result<()> {
    let mut found = read(s, ephemeral)?;
    let presence: Vec<UserNo> = ephemeral.presence.iter().copied().collect();
    for people in presence.chunks(PEOPLE) {
        found.push(presences(s, people, now)?);
    }
    for ((room, user), is_typing) in &ephemeral.typing {
        let content = json!({
            "room_id": s.room_id(*room)?,
            "user_id": s.user_id(*user)?,
            "typing": is_typing,
        });
        found.push(edu("m.typing", &content));
    }
    let space = most.saturating_sub(edus.len());
    edus.extend(found.into_iter().take(space));
    Ok(())
}

fn presences(s: &Snapshot, people: &[UserNo], now: u64) -> Result<String> {
    let mut push = Vec::with_capacity(people.len());
    for user in people {
        let Some(known) = presence::get(s, *user, now)? else {
            continue;
        };
        let ago = known.last_active_ago.unwrap_or_default();
        let mut content = object([
            ("user_id", json!(s.user_id(*user)?)),
            ("presence", json!(known.state)),
            ("last_active_ago", json!(ago)),
            ("currently_active", json!(known.currently_active)),
        ]);
        if let Some(status) = known.status {
            content.insert("status_msg".to_owned(), Value::String(status));
        }
        push.push(Value::Object(content));
    }
    Ok(edu("m.presence", &json!({ "push": push })))
}

/// The receipts that have not moved on since. One EDU holds one receipt of a user in a room; who reads several threads needs several.
fn read(s: &Snapshot, ephemeral: &Ephemeral) -> Result<Vec<String>> {
    type Reads = BTreeMap<String, BTreeMap<String, Value>>;
    let mut found: Vec<Reads> = Vec::new();
    for (pos, room) in &ephemeral.receipts {
        for receipt in receipts::moved(s, *room, pos.previous(), *pos)? {
            let (room, user) = (s.room_id(*room)?.to_string(), s.user_id(receipt.user)?);
            let user = user.to_string();
            let has_place = |reads: &Reads| {
                reads
                    .get(&room)
                    .is_none_or(|read| !read.contains_key(&user))
            };
            let at = found.iter().position(has_place).unwrap_or(found.len());
            if at == found.len() {
                found.push(Reads::new());
            }
            if let Some(reads) = found.get_mut(at) {
                reads.entry(room).or_default().insert(user, data(&receipt));
            }
        }
    }
    let edus = found.into_iter().map(|reads| {
        let rooms = reads
            .into_iter()
            .map(|(room, users)| (room, json!({ "m.read": users })));
        edu("m.receipt", &Value::Object(rooms.collect()))
    });
    Ok(edus.collect())
}

fn data(receipt: &Receipt) -> Value {
    let mut data = object([("ts", json!(receipt.ts))]);
    if let Some(thread) = &receipt.thread {
        data.insert("thread_id".to_owned(), Value::String(thread.clone()));
    }
    json!({ "data": data, "event_ids": [receipt.event_id] })
}
