//! What happens in a room without becoming part of it: read receipts and typing. Client-server API, "Receipts", "Typing
//! notifications".

use std::collections::{BTreeMap, HashSet};

use rooms::receipts::{self, Kind, Receipt};
use store::{Pos, RoomNo, UserNo};

use crate::client_form::Viewer;
use crate::error::Result;
use crate::json::Writer;
use crate::view::View;

/// What a client has been told of the receipts of a room.
#[derive(Clone, Copy)]
pub(crate) struct Told<'a> {
    /// All up to here; none if nothing.
    pub(crate) upto: Option<Pos>,
    /// Events that it is being shown now, and may not have had before.
    pub(crate) shown: Option<&'a HashSet<String>>,
}

/// Event, kind, user → time and thread.
type Batch = BTreeMap<String, BTreeMap<&'static str, BTreeMap<String, (u64, Option<String>)>>>;

/// Writes the receipts of a room that moved after a position, or all there are, as elements of a list.
pub(crate) fn receipts(
    view: &View<'_>,
    out: &mut Writer,
    viewer: &Viewer,
    room: RoomNo,
    since: Option<Pos>,
) -> Result<()> {
    let moved = match since {
        Some(since) => receipts::moved(view.s, room, since, view.s.head())?,
        None => receipts::all(view.s, room)?,
    };
    for batch in batches(view, viewer, moved)? {
        out.item();
        write_batch(out, &batch);
    }
    Ok(())
}

/// Writes the receipts of a room that moved after a position as one event, and says whether there are any. To somebody who comes anew,
/// their own and those of the events that they are told: nobody can place the others. Where a user has read to one event in several
/// threads, one event has place for the first of them only.
pub(crate) fn receipt_event(
    view: &View<'_>,
    out: &mut Writer,
    viewer: &Viewer,
    room: RoomNo,
    known: Told<'_>,
) -> Result<bool> {
    let moved = match known {
        Told {
            upto: Some(since),
            shown: None,
        } => receipts::moved(view.s, room, since, view.s.head())?,
        Told { upto, shown } => {
            let mut all = receipts::all(view.s, room)?;
            all.retain(|it| {
                shown.is_some_and(|shown| shown.contains(&it.event_id))
                    || upto.map_or(it.user == viewer.user, |upto| it.pos > upto)
            });
            all
        }
    };
    let Some(batch) = batches(view, viewer, moved)?.into_iter().next() else {
        return Ok(false);
    };
    write_batch(out, &batch);
    Ok(true)
}

/// One event holds one receipt per user, kind and event read; a user who has read to the same event in several threads needs
/// several of them.
fn batches(view: &View<'_>, viewer: &Viewer, moved: Vec<Receipt>) -> Result<Vec<Batch>> {
    let mut batches: Vec<Batch> = Vec::new();
    for receipt in moved {
        if !receipt.is_for(viewer.user) {
            continue;
        }
        let user = view.s.user_id(receipt.user)?.to_string();
        if viewer.ignores_user(&user) {
            continue;
        }
        let kind = match receipt.kind {
            Kind::Public => "m.read",
            Kind::Private => "m.read.private",
        };
        let is_free = |batch: &Batch| {
            let there = batch
                .get(&receipt.event_id)
                .and_then(|kinds| kinds.get(kind));
            there.is_none_or(|users| !users.contains_key(&user))
        };
        let place = batches.iter().position(is_free).unwrap_or(batches.len());
        if place == batches.len() {
            batches.push(Batch::new());
        }
        if let Some(batch) = batches.get_mut(place) {
            let kinds = batch.entry(receipt.event_id).or_default();
            kinds
                .entry(kind)
                .or_default()
                .insert(user, (receipt.ts, receipt.thread));
        }
    }
    Ok(batches)
}

fn write_batch(out: &mut Writer, batch: &Batch) {
    out.open();
    out.key("content");
    out.open();
    for (event_id, kinds) in batch {
        out.any_key(event_id);
        out.open();
        for (kind, users) in kinds {
            out.key(kind);
            out.open();
            for (user, (ts, thread)) in users {
                out.any_key(user);
                out.open();
                if let Some(thread) = thread {
                    out.key("thread_id");
                    out.string(thread);
                }
                out.key("ts");
                out.number(*ts);
                out.close();
            }
            out.close();
        }
        out.close();
    }
    out.close();
    out.key("type");
    out.string("m.receipt");
    out.close();
}

/// Writes who is typing as an element of a list, and says whether anybody is.
pub(crate) fn typing(
    view: &View<'_>,
    out: &mut Writer,
    viewer: &Viewer,
    users: &[UserNo],
) -> Result<bool> {
    let mut anybody = false;
    out.item();
    out.open();
    out.key("content");
    out.open();
    out.key("user_ids");
    out.open_list();
    for user in users {
        let user = view.s.user_id(*user)?;
        if viewer.ignores_user(user.as_str()) {
            continue;
        }
        anybody = true;
        out.item();
        out.string(user.as_str());
    }
    out.close_list();
    out.close();
    out.key("type");
    out.string("m.typing");
    out.close();
    Ok(anybody)
}
