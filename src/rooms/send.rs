//! Saying something in a room: messages, state, redactions.
//!
//! A plain message is judged by the head that its room's lane keeps in memory and takes no read from disk; it leaves the lane as
//! soon as its batch is queued. What touches more than the end of the timeline is decided with everything in view.

use std::sync::Arc;

use event::limits::PREV_EVENTS;
use event::{Draft, Pdu, auth};
use ruma::{EventId, OwnedEventId, OwnedUserId, RoomAliasId};
use serde::Deserialize;
use serde_json::{Map, Value};
use store::{EventNo, Snapshot, Tx, UserNo, tables};

use crate::ask::{Redact, Say, Sent, SetState, Txn};
use crate::compose::{Composer, raw, seal};
use crate::error::{Error, Result};
use crate::head::{Head, Known};
use crate::intake::append::Entry;
use crate::intake::relate::may_relate;
use crate::lane::{Settled, Step};
use crate::stored::Stored;
use crate::{Membership, Rooms};

/// An event, and whether it had been there before.
pub(crate) type Answer = (OwnedEventId, EventNo, bool);

impl Rooms {
    /// Sends a message-like event. A transaction that was done before is not done again; its event is returned.
    pub async fn send(&self, say: Say, txn: Option<Txn>) -> Result<Sent> {
        if say.event_type == "m.room.redaction" {
            return self.redact(redaction_in(say)?, txn).await;
        }
        let room_id = say.room_id.clone();
        let settled = if may_relate(say.content.get()) {
            self.thoroughly(&room_id, move |composer| composer.say(&say, txn.as_ref()))
                .await?
        } else {
            let asked = Arc::new((say, txn));
            let quick = Arc::clone(&asked);
            let settled = self
                .quickly(&room_id, move |rooms, head| {
                    say_quickly(rooms, head, &quick.0, quick.1.as_ref())
                })
                .await?;
            match settled.outcome {
                Some(outcome) => Settled {
                    outcome,
                    pos: settled.pos,
                },
                None => {
                    self.thoroughly(&room_id, move |composer| {
                        composer.say(&asked.0, asked.1.as_ref())
                    })
                    .await?
                }
            }
        };
        self.sent(settled)
    }

    /// Sends a state event. One that would change nothing is not sent; the present one is returned.
    pub async fn set_state(&self, set: SetState) -> Result<Sent> {
        if set.event_type == "m.room.member" {
            return self.change_membership(membership_in(set)?).await;
        }
        let room_id = set.room_id.clone();
        let settled = self
            .thoroughly(&room_id, move |composer| composer.set(&set))
            .await?;
        self.sent(settled)
    }

    /// Redacts an event.
    pub async fn redact(&self, redact: Redact, txn: Option<Txn>) -> Result<Sent> {
        let room_id = redact.room_id.clone();
        let settled = self
            .thoroughly(&room_id, move |composer| {
                composer.redact(&redact, txn.as_ref())
            })
            .await?;
        self.sent(settled)
    }

    pub(crate) fn sent(&self, settled: Settled<Answer>) -> Result<Sent> {
        let (event_id, event, repeated) = settled.outcome;
        let pos = match settled.pos {
            Some(pos) => pos,
            None => Stored::get(&self.store().snapshot(), event)?
                .pos()
                .unwrap_or_default(),
        };
        Ok(Sent {
            event_id,
            event,
            pos,
            repeated,
        })
    }
}

/// The answer; none if the room has more ends than an event can follow, which is not for the quick.
fn say_quickly(
    rooms: &Rooms,
    head: &mut Head,
    say: &Say,
    txn: Option<&Txn>,
) -> Result<Step<Option<Answer>>> {
    if head.row.tips.len() > PREV_EVENTS {
        return Ok(Step::Done(None));
    }
    let mut tx = rooms.store().tx();
    let sender = head.sender(&tx, &say.sender)?;
    let key = txn.map(|txn| {
        let Txn { device, scope, id } = txn.clone();
        (sender.no, device, scope, id)
    });
    if let (Some(txn), Some(key)) = (txn, &key) {
        if let Some(done) = done_before(&tx, head, sender.no, txn)? {
            return Ok(Step::Done(Some(done)));
        }
        if head.txns().contains(key) {
            // Done a moment ago: on disk, or not at all, once everything queued before now is settled.
            return Ok(Step::Wait {
                commit: rooms.store().submit(rooms.store().tx()),
                generation: head.generation,
            });
        }
    }
    let draft = Draft {
        room_id: Some(say.room_id.clone()),
        sender: say.sender.clone(),
        event_type: say.event_type.clone(),
        state_key: None,
        content: say.content.clone(),
        redacts: None,
        origin_server_ts: say.timestamp.unwrap_or_else(|| rooms.now()),
    };
    let auth = authorising(&tx, head, &draft)?;
    let pdu = seal(rooms, head, draft, auth)?;
    let entry = Entry {
        room: head.room,
        pdu: &pdu,
        sender: sender.no,
        follows: &head.row.tips,
        before: head.row.root,
        state_key: None,
        replaces: None,
        member: None,
        relates: None,
        redacted_by: None,
        early: false,
        txn,
    };
    let (no, _) = entry.write(&mut tx)?;
    tx.expect(tables::ROOM_HEADS, &head.room, Some(&head.row))?;
    head.advance(no, &pdu);
    tx.put(tables::ROOM_HEADS, &head.room, &head.row)?;
    if let Some(key) = key {
        head.txns().insert(key);
    }
    Ok(Step::Queued {
        outcome: Some((pdu.event_id().to_owned(), no, false)),
        commit: rooms.store().submit(tx),
        generation: head.generation,
    })
}

/// The state events that authorise a message, from memory.
fn authorising(tx: &Tx, head: &mut Head, draft: &Draft) -> Result<Vec<Pdu>> {
    let types = auth::auth_types(
        head.rules,
        &draft.event_type,
        &draft.sender,
        None,
        &draft.content,
    );
    let mut found = Vec::with_capacity(types.len() + 1);
    for (event_type, state_key) in &types {
        let known = match head.remembered(event_type, state_key) {
            Some(known) => known,
            // Only the sender's membership can be missing; everything else a message needs is always remembered.
            None => head.sender(tx, &draft.sender)?.member,
        };
        found.extend(known.map(|known| known.pdu));
    }
    Ok(found)
}

/// The event of a transaction that is on disk.
fn done_before(s: &Snapshot, head: &Head, user: UserNo, txn: &Txn) -> Result<Option<Answer>> {
    let key = (
        head.room,
        user,
        txn.device.as_str(),
        txn.scope.as_str(),
        txn.id.as_str(),
    );
    let Some(no) = s.get(tables::TXNS, &key)? else {
        return Ok(None);
    };
    Ok(Some((s.event_id(no)?, no, true)))
}

impl Composer {
    /// A message with everything in view.
    fn say(&mut self, say: &Say, txn: Option<&Txn>) -> Result<Answer> {
        if let Some(done) = self.done_before(&say.sender, txn)? {
            return Ok(done);
        }
        let draft = self.draft(
            &say.sender,
            &say.event_type,
            None,
            &say.content,
            say.timestamp,
        )?;
        let pdu = self.compose(draft)?;
        self.check_relation(&pdu)?;
        let known = self.append(pdu, txn)?;
        Ok(answer(&known, false))
    }

    fn set(&mut self, set: &SetState) -> Result<Answer> {
        if set.event_type == "m.room.canonical_alias" && set.state_key.is_empty() {
            self.check_aliases(set)?;
        }
        let draft = self.draft(
            &set.sender,
            &set.event_type,
            Some(&set.state_key),
            &set.content,
            set.timestamp,
        )?;
        let (known, repeated) = self.send_state(draft)?;
        Ok(answer(&known, repeated))
    }

    fn redact(&mut self, redact: &Redact, txn: Option<&Txn>) -> Result<Answer> {
        if let Some(done) = self.done_before(&redact.sender, txn)? {
            return Ok(done);
        }
        let target = Stored::find(&self.tx, self.desk.head.room, &redact.event_id)?
            .ok_or(Error::NoSuchEvent)?;
        let mut draft = self.draft(
            &redact.sender,
            "m.room.redaction",
            None,
            &redact.content,
            redact.timestamp,
        )?;
        draft.redacts = Some(redact.event_id.clone());
        let pdu = self.compose(draft)?;
        let own = target.sender() == redact.sender.as_str();
        let level = self.levels().user(&redact.sender);
        if !own && level < auth::levels::Level::Int(self.levels().redact()) {
            return Err(Error::Forbidden(
                "not enough power to redact what others said".to_owned(),
            ));
        }
        let known = self.append(pdu, txn)?;
        Ok(answer(&known, false))
    }

    fn done_before(&self, sender: &OwnedUserId, txn: Option<&Txn>) -> Result<Option<Answer>> {
        let (Some(txn), Some(user)) = (txn, self.tx.user_no(sender)?) else {
            return Ok(None);
        };
        done_before(&self.tx, &self.desk.head, user, txn)
    }

    /// Aliases that are newly named must point here (client-server API, `m.room.canonical_alias`).
    fn check_aliases(&self, set: &SetState) -> Result<()> {
        let named = Aliases::of(set.content.get())?;
        let before = self.state("m.room.canonical_alias", "")?;
        let before = before
            .and_then(|known| Aliases::of(known.pdu.content_str()).ok())
            .unwrap_or_default();
        for alias in named
            .all()
            .filter(|alias| !before.all().any(|old| old == *alias))
        {
            let parsed = <&RoomAliasId>::try_from(alias.as_str())
                .map_err(|_| Error::BadParameter(format!("{alias} is not an alias")))?;
            let row = self.tx.get(tables::ALIASES, parsed.as_str())?;
            if row.is_none_or(|row| row.room != self.desk.head.room) {
                return Err(Error::BadAlias(format!(
                    "{alias} does not point to this room"
                )));
            }
        }
        Ok(())
    }
}

#[derive(Debug, Default, Deserialize)]
struct Aliases {
    alias: Option<String>,
    alt_aliases: Option<Vec<String>>,
}

impl Aliases {
    fn of(content: &str) -> Result<Self> {
        serde_json::from_str(content)
            .map_err(|_| Error::BadEvent("alias and alt_aliases have the wrong types".to_owned()))
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        let alias = self.alias.iter().filter(|alias| !alias.is_empty());
        alias.chain(self.alt_aliases.iter().flatten())
    }
}

pub(crate) fn answer(known: &Known, repeated: bool) -> Answer {
    (known.pdu.event_id().to_owned(), known.no, repeated)
}

/// A redaction that was asked for as any other event, with its target in the content.
fn redaction_in(say: Say) -> Result<Redact> {
    let mut content: Map<String, Value> = object(say.content.get())?;
    let target = content
        .remove("redacts")
        .and_then(|target| EventId::parse(target.as_str()?).ok())
        .ok_or_else(|| Error::BadEvent("a redaction needs an event to redact".to_owned()))?;
    Ok(Redact {
        room_id: say.room_id,
        sender: say.sender,
        event_id: target,
        content,
        timestamp: say.timestamp,
    })
}

/// A membership that was asked for as any other state.
fn membership_in(set: SetState) -> Result<crate::Change> {
    let mut content: Map<String, Value> = object(set.content.get())?;
    let membership = content.remove("membership");
    let membership = membership
        .as_ref()
        .and_then(Value::as_str)
        .and_then(Membership::named)
        .ok_or_else(|| Error::BadEvent("membership is missing or none that is known".to_owned()))?;
    let target = crate::compose::user(&set.state_key)
        .ok_or_else(|| Error::BadEvent("the state key is not a user ID".to_owned()))?;
    Ok(crate::Change {
        room_id: set.room_id,
        sender: set.sender,
        target,
        membership,
        only_from: &[],
        content,
        timestamp: set.timestamp,
    })
}

fn object(content: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(content)
        .map_err(|_| Error::BadEvent("the content is not an object".to_owned()))
}

impl SetState {
    /// State to be set, with its content as a value.
    pub fn new(
        room_id: ruma::OwnedRoomId,
        sender: OwnedUserId,
        event_type: &str,
        state_key: &str,
        content: &Value,
    ) -> Result<Self> {
        Ok(Self {
            room_id,
            sender,
            event_type: event_type.to_owned(),
            state_key: state_key.to_owned(),
            content: raw(content)?,
            timestamp: None,
        })
    }
}
