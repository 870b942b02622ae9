//! The one atomic write of an accepted event: the event, its place in the graph and in the timeline, the state it sets, and
//! everything that follows from it for indexes. It knows nobody who follows the log.

use event::Pdu;
use event::limits::PREV_EVENTS;
use ruma::UserId;
use serde::Deserialize;
use serde_json::value::RawValue;
use store::rows::rooms::{EventRow, RefusalRow, RelatesRow, SpansRow};
use store::{Change, EventNo, NodeNo, Pos, RoomNo, StateKeyNo, Tx, UserNo, tables};

use crate::ask::Txn;
use crate::compose::Composer;
use crate::error::{Error, Result};
use crate::head::Known;
use crate::intake::relate::Relation;
use crate::state::{now, trie};
use crate::stored::Stored;
use crate::summary::Summary;
use crate::timeline;

/// What is known about an event when it is written.
pub(crate) struct Entry<'a> {
    pub(crate) room: RoomNo,
    pub(crate) pdu: &'a Pdu,
    pub(crate) sender: UserNo,
    /// The events it follows, as far as we have them.
    pub(crate) follows: &'a [EventNo],
    /// The state before it.
    pub(crate) before: Option<NodeNo>,
    pub(crate) state_key: Option<StateKeyNo>,
    pub(crate) replaces: Option<EventNo>,
    /// Whose membership it sets.
    pub(crate) member: Option<UserNo>,
    pub(crate) relates: Option<RelatesRow>,
    pub(crate) redacted_by: Option<EventNo>,
    /// Whether it got its number before the events that authorise it got theirs.
    pub(crate) early: bool,
    pub(crate) txn: Option<&'a Txn>,
}

/// Where an event stands in the graph.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// The events it follows.
    pub(crate) follows: Vec<EventNo>,
    /// The state before it.
    pub(crate) before: Option<NodeNo>,
    /// Whether it follows all tips, so that the state before it is the present one.
    pub(crate) is_newest: bool,
    /// Whether it follows events that we do not have.
    pub(crate) gap: bool,
    /// The redaction of it, if that came first.
    pub(crate) redacted_by: Option<EventNo>,
    /// Whether it got its number before the events that authorise it got theirs.
    pub(crate) early: bool,
}

/// How many positions stay unused in front of an event that follows what we do not have, for when we do. More events than any
/// reader pages through; positions are not scarce.
const ROOM_FOR_THE_PAST: u64 = 1 << 24;

impl Entry<'_> {
    /// Writes the event with its place in graph, timeline and log.
    pub(crate) fn write(self, tx: &mut Tx) -> Result<(EventNo, Pos)> {
        let no = tx.intern_event(self.pdu.event_id())?;
        let pos = tx.log(Change::Event {
            room: self.room,
            event: no,
            state_key: self.state_key,
            member: self.member,
        });
        if timeline::is_activity(self.pdu.event_type()) {
            tx.put(tables::BUMPS, &self.room, &pos)?;
        }
        self.write_at(tx, no, pos)?;
        Ok((no, pos))
    }

    /// Writes the event at a position that was kept for it. Nobody is told.
    pub(crate) fn write_at(self, tx: &mut Tx, no: EventNo, pos: Pos) -> Result<()> {
        for earlier in self.follows {
            tx.put(tables::EDGES, &(*earlier, no), &())?;
        }
        let ts = self.pdu.origin_server_ts();
        tx.put(tables::TIMELINE, &(self.room, pos), &no)?;
        tx.put(tables::TIMES, &(self.room, ts, no), &())?;
        if let Some(txn) = self.txn {
            let key = (
                self.room,
                self.sender,
                txn.device.as_str(),
                txn.scope.as_str(),
                txn.id.as_str(),
            );
            tx.put(tables::TXNS, &key, &no)?;
        }
        let row = self.row(Some(pos), None, false)?;
        tx.put(tables::EVENTS, &no, &row)?;
        Ok(())
    }

    /// Writes an event as one that is known without its past; perhaps one that was never allowed.
    pub(crate) fn write_outlier(self, tx: &mut Tx, refused: Option<RefusalRow>) -> Result<EventNo> {
        let no = tx.intern_event(self.pdu.event_id())?;
        let row = self.row(None, refused, true)?;
        tx.put(tables::EVENTS, &no, &row)?;
        Ok(no)
    }

    /// Writes an event that was not accepted: it is known, with the reason, but has no place in timeline or log.
    pub(crate) fn write_refused(self, tx: &mut Tx, refused: RefusalRow) -> Result<EventNo> {
        let no = tx.intern_event(self.pdu.event_id())?;
        for earlier in self.follows {
            tx.put(tables::EDGES, &(*earlier, no), &())?;
        }
        let row = self.row(None, Some(refused), false)?;
        tx.put(tables::EVENTS, &no, &row)?;
        Ok(no)
    }

    fn row(self, pos: Option<Pos>, refused: Option<RefusalRow>, outlier: bool) -> Result<EventRow> {
        Ok(EventRow {
            id: self.pdu.event_id().to_string(),
            room: self.room,
            sender: self.sender,
            pos,
            before: self.before,
            state_key: self.state_key,
            replaces: self.replaces,
            ts: self.pdu.origin_server_ts(),
            depth: self.pdu.depth(),
            refused,
            spans: spans(self.pdu.json())?,
            json: self.pdu.json().to_owned(),
            redacted_by: self.redacted_by,
            device: self.txn.map(|txn| txn.device.clone()),
            txn: self.txn.map(|txn| txn.id.clone()),
            relates: self.relates,
            outlier,
            early: self.early,
        })
    }
}

impl Composer {
    /// Appends an event of ours, which follows all tips, or as many as an event may name, and has been judged.
    pub(crate) fn append(&mut self, pdu: Pdu, txn: Option<&Txn>) -> Result<Known> {
        let mut place = Place {
            follows: self.desk.head.row.tips.clone(),
            before: self.desk.head.row.root,
            is_newest: true,
            ..Place::default()
        };
        if place.follows.len() > PREV_EVENTS {
            place.follows.truncate(PREV_EVENTS);
            let earlier = Stored::get_many(&self.tx, &place.follows)?;
            place.before = self.state_after(&earlier, &[])?;
            place.is_newest = false;
        }
        self.append_at(pdu, &place, txn)
    }

    /// Appends an event at its place.
    pub(crate) fn append_at(
        &mut self,
        pdu: Pdu,
        place: &Place,
        txn: Option<&Txn>,
    ) -> Result<Known> {
        let sender = self.tx.intern_user(pdu.sender())?;
        let relation = self.relation(&pdu)?;
        let (state_key, member) = self.name_state(&pdu)?;
        let replaces = match state_key {
            Some(key) => trie::get(&self.nodes(), place.before, key)?,
            None => None,
        };
        let entry = Entry {
            room: self.desk.head.room,
            pdu: &pdu,
            sender,
            follows: &place.follows,
            before: place.before,
            state_key,
            replaces,
            member,
            relates: relation.as_ref().map(Relation::row),
            redacted_by: place.redacted_by,
            early: place.early,
            txn,
        };
        let (no, pos) = entry.write(&mut self.tx)?;
        let known = Known { no, pdu };
        self.note(&known);
        if place.gap {
            let room = self.desk.head.room;
            self.tx.put(tables::GAPS, &(room, pos), &no)?;
            self.tx.leave_room(ROOM_FOR_THE_PAST);
        }
        if place.is_newest {
            if let Some(key) = state_key {
                self.grow(key, Some(known.no))?;
                self.set_state(key, &known, pos)?;
            }
            self.desk.head.advance(known.no, &known.pdu);
        } else {
            self.fork(place, &known, state_key, pos)?;
        }
        if let Some(relation) = relation {
            self.relate(&relation, &known, sender, pos)?;
        }
        if known.pdu.event_type() == "m.room.redaction" {
            self.redacted(&known)?;
        }
        Ok(known)
    }

    /// The number of the state that an event sets, and whose membership it is.
    pub(crate) fn name_state(&mut self, pdu: &Pdu) -> Result<(Option<StateKeyNo>, Option<UserNo>)> {
        let Some((event_type, key)) = pdu.state_pair() else {
            return Ok((None, None));
        };
        let number = self.tx.intern_state_key(event_type, key)?;
        let pair = (event_type.to_owned(), key.to_owned());
        self.desk.keys.insert(number, pair);
        let member = match member_of(pdu) {
            Some(user) => Some(self.tx.intern_user(user)?),
            None => None,
        };
        Ok((Some(number), member))
    }

    /// Brings everything that tells of the present state in step with an event having become part of it.
    pub(crate) fn set_state(&mut self, key: StateKeyNo, known: &Known, pos: Pos) -> Result<()> {
        let place = (self.desk.head.room, now::shelf(known.pdu.event_type()), key);
        self.tx.put(tables::STATE_NOW, &place, &known.no)?;
        self.note_state(known);
        match member_of(&known.pdu) {
            Some(member) => {
                let member = self.tx.intern_user(member)?;
                let sender = self.tx.intern_user(known.pdu.sender())?;
                self.set_membership(member, known, sender, pos)
            }
            None => {
                self.summarise(&known.pdu);
                Ok(())
            }
        }
    }
}

/// Whose membership an event sets.
pub(crate) fn member_of(pdu: &Pdu) -> Option<&UserId> {
    let (event_type, key) = pdu.state_pair()?;
    if event_type == "m.room.member" {
        key.try_into().ok()
    } else {
        None
    }
}

impl Composer {
    /// Keeps what lists of rooms show in step with a state event.
    pub(crate) fn summarise(&mut self, pdu: &Pdu) {
        if let Some((event_type, "")) = pdu.state_pair() {
            summarise(&mut self.desk.head.summary, event_type, pdu.content_str());
        }
    }
}

/// What lists of rooms show, once the state of this type has this content.
pub(crate) fn summarise(summary: &mut Summary, event_type: &str, content: &str) {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Content<'a> {
        #[serde(borrow)]
        name: Option<&'a RawValue>,
        #[serde(borrow)]
        topic: Option<&'a RawValue>,
        #[serde(borrow)]
        alias: Option<&'a RawValue>,
        #[serde(borrow)]
        url: Option<&'a RawValue>,
        #[serde(borrow)]
        join_rule: Option<&'a RawValue>,
        #[serde(borrow)]
        allow: Option<&'a RawValue>,
        #[serde(borrow)]
        history_visibility: Option<&'a RawValue>,
        #[serde(borrow)]
        guest_access: Option<&'a RawValue>,
        #[serde(borrow)]
        algorithm: Option<&'a RawValue>,
        #[serde(borrow, rename = "type")]
        room_type: Option<&'a RawValue>,
        #[serde(borrow)]
        replacement_room: Option<&'a RawValue>,
    }
    let content: Content<'_> = serde_json::from_str(content).unwrap_or_default();
    // Whatever is not a text, or an empty one, is as if it were not there.
    let text = |raw: Option<&RawValue>| {
        raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok())
            .filter(|text| !text.is_empty())
    };
    match event_type {
        "m.room.name" => summary.name = text(content.name),
        "m.room.topic" => summary.topic = text(content.topic),
        "m.room.canonical_alias" => summary.canonical_alias = text(content.alias),
        "m.room.avatar" => summary.avatar_url = text(content.url),
        "m.room.history_visibility" => {
            summary.history_visibility = text(content.history_visibility);
        }
        "m.room.guest_access" => {
            summary.guests_can_join = text(content.guest_access).as_deref() == Some("can_join");
        }
        "m.room.encryption" => {
            // Encryption is never turned off again, whatever a later event says.
            summary.encryption = text(content.algorithm).or(summary.encryption.take());
        }
        "m.room.create" => summary.room_type = text(content.room_type),
        "m.room.tombstone" => {
            summary.replacement = Some(text(content.replacement_room).unwrap_or_default());
        }
        "m.room.join_rules" => {
            summary.join_rule = text(content.join_rule);
            summary.allowed_rooms = content.allow.map(allowed_rooms).unwrap_or_default();
        }
        _ => {}
    }
}

/// The rooms whose members a join rule lets in.
fn allowed_rooms(allow: &RawValue) -> Vec<String> {
    let conditions: Vec<serde_json::Value> = serde_json::from_str(allow.get()).unwrap_or_default();
    let rooms = conditions.iter().filter_map(|condition| {
        (condition.get("type")?.as_str()? == "m.room_membership")
            .then(|| condition.get("room_id")?.as_str().map(str::to_owned))
            .flatten()
    });
    rooms.collect()
}

/// Where the parts stand that clients get.
pub(crate) fn spans(json: &str) -> Result<SpansRow> {
    #[derive(Deserialize)]
    struct Parts<'a> {
        #[serde(borrow)]
        content: Option<&'a RawValue>,
        #[serde(borrow)]
        redacts: Option<&'a RawValue>,
        #[serde(borrow)]
        sender: Option<&'a RawValue>,
        #[serde(borrow)]
        state_key: Option<&'a RawValue>,
        #[serde(borrow, rename = "type")]
        event_type: Option<&'a RawValue>,
    }
    let parts: Parts<'_> = serde_json::from_str(json)
        .map_err(|_| Error::Bug("an event about to be stored is no object"))?;
    let span = |raw: Option<&RawValue>| match raw {
        Some(raw) => {
            let at = (raw.get().as_ptr() as usize).saturating_sub(json.as_ptr() as usize);
            (
                u32::try_from(at).unwrap_or(0),
                u32::try_from(raw.get().len()).unwrap_or(0),
            )
        }
        None => (0, 0),
    };
    Ok(SpansRow {
        content: span(parts.content),
        redacts: span(parts.redacts),
        sender: span(parts.sender),
        state_key: span(parts.state_key),
        event_type: span(parts.event_type),
    })
}
