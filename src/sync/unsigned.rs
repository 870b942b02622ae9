//! The content of `unsigned`: what the server knows about an event and says to this reader, now.
//!
//! `age`, `transaction_id`, `prev_content`, `replaces_state`, `redacted_because`, `membership` and the bundled aggregations of
//! relations. Client-server API, "Room event format", and the modules on relations.

use rooms::Membership;
use rooms::Stored;
use rooms::relations::Bundle;
use rooms::state::At;

use crate::client_form::{self, Form, Reader, Stay};
use crate::error::Result;
use crate::json::Writer;
use crate::view::View;

/// Memberships gone through to find the one at an event; after that it is looked up in the state.
const WALK: usize = 16;

/// The object, as text.
pub(crate) fn of(reader: &Reader<'_>, event: &Stored, bundle: Option<&Bundle>) -> Result<String> {
    let mut out = Writer::with_capacity(96);
    out.open();
    own(reader, event, &mut out)?;
    if let Some(redaction) = event.redacted_by() {
        let redaction = reader.view.event(redaction)?;
        let mut inner = Writer::with_capacity(96);
        inner.open();
        own(reader, &redaction, &mut inner)?;
        inner.close();
        out.key("redacted_because");
        redaction.write_client(reader.form.room_id, &inner.into_text(), out.text());
    }
    if let Some(bundle) = bundle {
        out.key("m.relations");
        relations(reader, bundle, &mut out)?;
    }
    out.close();
    Ok(out.into_text())
}

/// Everything that concerns the event alone.
fn own(reader: &Reader<'_>, event: &Stored, out: &mut Writer) -> Result<()> {
    let Reader {
        view, viewer, stay, ..
    } = *reader;
    out.key("age");
    out.number(i128::from(view.now) - i128::from(event.origin_server_ts()));
    if let Some(txn) = viewer
        .device
        .as_deref()
        .and_then(|device| event.transaction_id(viewer.user, device))
    {
        out.key("transaction_id");
        out.string(txn);
        view.echoed.set(true);
    }
    let membership = membership(view, stay, event)?;
    if let Some(membership) = membership {
        out.key("membership");
        out.string(membership.as_str());
    }
    if let Some(replaced) = event.replaces() {
        let replaced = view.event(replaced)?;
        out.key("replaces_state");
        out.string(replaced.event_id());
        // Whoever was in the room had the old state before them; others are told only that there was one.
        if was_joined_before(stay, event, membership) {
            out.key("prev_content");
            out.raw(replaced.content_str());
        }
    }
    Ok(())
}

/// The reader's membership at the event, its own effect included; unknown for an event without a place in the timeline.
///
/// Each membership names the one it took the place of, so this is a walk back through the reader's own, of which most have one
/// or two. They are compared by place in the timeline, in which two branches of a room stand one behind the other.
fn membership(view: &View<'_>, stay: &Stay, event: &Stored) -> Result<Option<Membership>> {
    if event.pos().is_none() {
        return Ok(None);
    }
    if stay.covers(event) {
        return Ok(Some(Membership::Join));
    }
    let mut own = stay.event;
    for _ in 0..WALK {
        let Some(no) = own else {
            return Ok(Some(Membership::Leave));
        };
        let membership = view.event(no)?;
        if membership.pos() <= event.pos() {
            return Ok(membership.membership());
        }
        own = membership.replaces();
    }
    at(view, stay, &At::after(event)).map(Some)
}

fn was_joined_before(stay: &Stay, event: &Stored, after: Option<Membership>) -> bool {
    // One's own membership was one's own to see.
    let is_own = stay.key.is_some() && event.state_key_no() == stay.key;
    event.pos().is_some() && (is_own || after == Some(Membership::Join))
}

fn at(view: &View<'_>, stay: &Stay, state: &At) -> Result<Membership> {
    let Some(key) = stay.key else {
        return Ok(Membership::Leave);
    };
    let found = state.find_key(view.s, key)?;
    let event = found.map(|no| view.event(no)).transpose()?;
    Ok(event
        .and_then(|event| event.membership())
        .unwrap_or(Membership::Leave))
}

/// What others have related to the event.
fn relations(reader: &Reader<'_>, bundle: &Bundle, out: &mut Writer) -> Result<()> {
    // Related events are told as clients get them, whatever form was asked for.
    let form = Form {
        federation: false,
        ..reader.form
    };
    let inside = Reader { form, ..*reader };
    out.open();
    if !bundle.references.is_empty() {
        out.key("m.reference");
        out.open();
        out.key("chunk");
        out.open_list();
        for event_id in &bundle.references {
            out.item();
            out.open();
            out.key("event_id");
            out.string(event_id);
            out.close();
        }
        out.close_list();
        out.close();
    }
    if let Some(edit) = &bundle.edit {
        out.key("m.replace");
        inside.write(out, edit, None)?;
    }
    if let Some(thread) = &bundle.thread {
        out.key("m.thread");
        out.open();
        out.key("count");
        out.number(thread.count);
        out.key("current_user_participated");
        out.boolean(thread.participated);
        out.key("latest_event");
        // An event in a thread has edits and references of its own, but never a thread.
        let inner = client_form::bundles(reader.view, reader.viewer, &[&thread.latest])?
            .pop()
            .flatten();
        let inner = inner.map(|inner| Bundle {
            thread: None,
            ..inner
        });
        inside.write(out, &thread.latest, inner.as_ref())?;
        out.close();
    }
    out.close();
    Ok(())
}
