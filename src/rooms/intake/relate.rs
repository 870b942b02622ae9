//! What an event that relates to another means for the indexes: edits, threads, references, annotations. Reading them is done
//! in `relations.rs` and `threads.rs`.

use event::Pdu;
use ruma::EventId;
use serde::Deserialize;
use store::rows::rooms::{EventRow, RelatedRow, RelatesRow, RelationRow};
use store::{EventNo, Order, Pos, Snapshot, UserNo, tables};

use crate::compose::Composer;
use crate::error::{Error, Result};
use crate::head::Known;
use crate::relations::Kind;
use crate::stored::Stored;

/// An event's relation to another one.
pub(crate) struct Relation {
    rel_type: String,
    key: Option<String>,
    /// The other event, if it is in this room and known.
    parent: Option<Stored>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "m.relates_to")]
    relates_to: Option<RelatesTo>,
    #[serde(rename = "m.new_content")]
    new_content: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct RelatesTo {
    rel_type: Option<String>,
    event_id: Option<String>,
    key: Option<String>,
}

/// Whether the content of an event may hold a relation. A quick look without parsing.
pub(crate) fn may_relate(content: &str) -> bool {
    content.contains("\"m.relates_to\"") || content.contains("\\u")
}

impl Relation {
    pub(crate) fn row(&self) -> RelatesRow {
        RelatesRow {
            parent: self.parent.as_ref().map(Stored::no),
            rel_type: self.rel_type.clone(),
        }
    }
}

impl Composer {
    /// The relation that an event has, if any.
    pub(crate) fn relation(&self, pdu: &Pdu) -> Result<Option<Relation>> {
        if !may_relate(pdu.content_str()) {
            return Ok(None);
        }
        // An ill-formed relation is no relation; the event itself stands.
        let content: Option<Content> = serde_json::from_str(pdu.content_str()).ok();
        let Some(RelatesTo {
            rel_type: Some(rel_type),
            event_id: Some(event_id),
            key,
        }) = content.and_then(|content| content.relates_to)
        else {
            return Ok(None);
        };
        let parent = match <&EventId>::try_from(event_id.as_str()) {
            Ok(event_id) => Stored::find(&self.tx, self.desk.head.room, event_id)?,
            Err(_) => None,
        };
        Ok(Some(Relation {
            rel_type,
            key,
            parent,
        }))
    }

    /// Refuses what a client of ours should not relate (client-server API, *Threading*, *Event annotations*).
    pub(crate) fn check_relation(&self, pdu: &Pdu) -> Result<()> {
        let Some(relation) = self.relation(pdu)? else {
            return Ok(());
        };
        let Some(parent) = &relation.parent else {
            return Ok(());
        };
        match Kind::of(&relation.rel_type) {
            Kind::Thread if parent.rel_type().is_some() => Err(Error::BadRelation(
                "a thread cannot start at an event that itself relates to another",
            )),
            Kind::Annotation => self.check_annotation(pdu, &relation, parent),
            _ => Ok(()),
        }
    }

    fn check_annotation(&self, pdu: &Pdu, relation: &Relation, parent: &Stored) -> Result<()> {
        let sender = self.tx.user_no(pdu.sender())?;
        let prefix = (parent.no(), Kind::Annotation.code());
        for row in self.tx.prefix(tables::RELATIONS, &prefix, Order::Forward) {
            let (_, row) = row?;
            if Some(row.sender) == sender
                && row.event_type == pdu.event_type()
                && row.key == relation.key
            {
                return Err(Error::DuplicateAnnotation);
            }
        }
        Ok(())
    }

    /// Writes the relation into the indexes of the event it is about.
    pub(crate) fn relate(
        &mut self,
        relation: &Relation,
        known: &Known,
        sender: UserNo,
        pos: Pos,
    ) -> Result<()> {
        let Some(parent) = &relation.parent else {
            return Ok(());
        };
        let kind = Kind::of(&relation.rel_type);
        let row = RelationRow {
            child: known.no,
            rel_type: relation.rel_type.clone(),
            event_type: known.pdu.event_type().to_owned(),
            sender,
            key: relation.key.clone(),
        };
        self.tx
            .put(tables::RELATIONS, &(parent.no(), kind.code(), pos), &row)?;
        let mut related = self
            .tx
            .get_for_update(tables::RELATED, &parent.no())?
            .unwrap_or_default();
        match kind {
            Kind::Replace if is_edit(&self.tx, parent.row(), &known.pdu, sender, &related)? => {
                related.edit = Some(known.no);
                related.edit_pos = Some(pos);
            }
            Kind::Thread => {
                self.join_thread(parent.no(), &mut related, known.no, pos)?;
                self.participate(parent.no(), sender, 1)?;
            }
            Kind::Reference => related.references += 1,
            _ => return Ok(()),
        }
        self.tx.put(tables::RELATED, &parent.no(), &related)?;
        Ok(())
    }

    fn join_thread(
        &mut self,
        root: EventNo,
        related: &mut RelatedRow,
        event: EventNo,
        pos: Pos,
    ) -> Result<()> {
        let room = self.desk.head.room;
        if let Some(old) = related.thread_pos {
            self.tx.delete(tables::THREADS, &(room, old));
        }
        self.tx.put(tables::THREADS, &(room, pos), &root)?;
        related.thread_count += 1;
        related.thread_latest = Some(event);
        related.thread_pos = Some(pos);
        Ok(())
    }

    fn participate(&mut self, root: EventNo, user: UserNo, by: i64) -> Result<()> {
        let key = (root, user);
        let count = self.tx.get_for_update(tables::PARTICIPANTS, &key)?;
        match count.unwrap_or_default().saturating_add_signed(by) {
            0 => self.tx.delete(tables::PARTICIPANTS, &key),
            count => self.tx.put(tables::PARTICIPANTS, &key, &count)?,
        }
        Ok(())
    }

    /// Takes the relation of an event that lost its content out of the indexes.
    pub(crate) fn unrelate(&mut self, child: &EventRow) -> Result<()> {
        let Some(RelatesRow {
            parent: Some(parent),
            rel_type,
        }) = &child.relates
        else {
            return Ok(());
        };
        let kind = Kind::of(rel_type);
        if let Some(pos) = child.pos {
            self.tx
                .delete(tables::RELATIONS, &(*parent, kind.code(), pos));
        }
        let Some(mut related) = self.tx.get_for_update(tables::RELATED, parent)? else {
            return Ok(());
        };
        match kind {
            Kind::Replace if related.edit_pos == child.pos => {
                (related.edit, related.edit_pos) = self.newest_edit(*parent, child.pos)?.unzip();
            }
            Kind::Thread => {
                self.leave_thread(*parent, &mut related, child.pos)?;
                self.participate(*parent, child.sender, -1)?;
            }
            Kind::Reference => related.references = related.references.saturating_sub(1),
            _ => return Ok(()),
        }
        self.tx.put(tables::RELATED, parent, &related)?;
        Ok(())
    }

    fn newest_edit(&self, parent: EventNo, except: Option<Pos>) -> Result<Option<(EventNo, Pos)>> {
        let original = Stored::get(&self.tx, parent)?;
        let prefix = (parent, Kind::Replace.code());
        let mut best: Option<(u64, String, EventNo, Pos)> = None;
        for row in self.tx.prefix(tables::RELATIONS, &prefix, Order::Forward) {
            let ((_, _, pos), row) = row?;
            if Some(pos) == except {
                continue;
            }
            let edit = Stored::get(&self.tx, row.child)?;
            let pdu = edit.pdu(&self.desk.head.room_id)?;
            if !may_edit(original.row(), &pdu, row.sender) {
                continue;
            }
            let rank = (
                edit.origin_server_ts(),
                edit.event_id().to_owned(),
                edit.no(),
                pos,
            );
            if best.as_ref().is_none_or(|best| rank > *best) {
                best = Some(rank);
            }
        }
        Ok(best.map(|(_, _, event, pos)| (event, pos)))
    }

    fn leave_thread(
        &mut self,
        root: EventNo,
        related: &mut RelatedRow,
        left: Option<Pos>,
    ) -> Result<()> {
        related.thread_count = related.thread_count.saturating_sub(1);
        if related.thread_pos != left {
            return Ok(());
        }
        let room = self.desk.head.room;
        if let Some(old) = left {
            self.tx.delete(tables::THREADS, &(room, old));
        }
        let prefix = (root, Kind::Thread.code());
        let mut rest = self.tx.prefix(tables::RELATIONS, &prefix, Order::Backward);
        let latest = rest.find(|row| !matches!(row, Ok(((_, _, pos), _)) if Some(*pos) == left));
        let latest = latest.transpose()?;
        drop(rest);
        (related.thread_latest, related.thread_pos) =
            latest.map(|((_, _, pos), row)| (row.child, pos)).unzip();
        if let Some(pos) = related.thread_pos {
            self.tx.put(tables::THREADS, &(room, pos), &root)?;
        }
        Ok(())
    }
}

/// Whether an event is a valid edit of another one, and newer than the one that stands (client-server API, *Event
/// replacements*).
fn is_edit(
    s: &Snapshot,
    original: &EventRow,
    edit: &Pdu,
    sender: UserNo,
    related: &RelatedRow,
) -> Result<bool> {
    if !may_edit(original, edit, sender) {
        return Ok(false);
    }
    let Some(standing) = related.edit else {
        return Ok(true);
    };
    let standing = Stored::get(s, standing)?;
    let rank = |ts: u64, id: &str| (ts, id.to_owned());
    Ok(rank(edit.origin_server_ts(), edit.event_id().as_str())
        > rank(standing.origin_server_ts(), standing.event_id()))
}

fn may_edit(original: &EventRow, edit: &Pdu, sender: UserNo) -> bool {
    let is_itself_edit = original
        .relates
        .as_ref()
        .is_some_and(|relates| Kind::of(&relates.rel_type) == Kind::Replace);
    let same_type =
        Stored::new(EventNo::new(0), original.clone()).event_type() == edit.event_type();
    let says_more = edit.event_type() == "m.room.encrypted"
        || serde_json::from_str::<Content>(edit.content_str())
            .is_ok_and(|content| content.new_content.is_some());
    original.sender == sender
        && original.state_key.is_none()
        && edit.state_key().is_none()
        && !is_itself_edit
        && same_type
        && says_more
}
