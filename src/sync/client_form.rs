//! An event as a client gets it. This is the only place that makes it: `/sync` in both kinds, `/messages`, `/event`, state and
//! relations all come here. The stored bytes are copied; what differs from reader to reader is `unsigned`, in `unsigned.rs`.

use ruma::{OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::sync::Arc;
use store::{EventNo, Pos, RoomNo, Snapshot, StateKeyNo, UserNo};

use rooms::Stored;
use rooms::members::{self, Standing};
use rooms::relations::{self, Bundle};
use users::account_data::Piece;

use crate::Sync;
use crate::error::Result;
use crate::json::Writer;
use crate::unsigned;
use crate::view::View;

/// Who reads.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// The user.
    pub user: UserNo,
    /// The same.
    pub user_id: OwnedUserId,
    /// The device, which alone is told the transaction IDs of what it sent.
    pub device: Option<String>,
    /// Whom the user ignores.
    pub ignored: Arc<HashSet<OwnedUserId>>,
}

impl Viewer {
    /// Whether the user wants to hear nothing of this sender's; state is told all the same.
    pub fn ignores(&self, event: &Stored) -> bool {
        !self.ignored.is_empty() && !event.is_state() && self.ignores_user(&event.sender())
    }

    /// Whether the user ignores another one.
    pub fn ignores_user(&self, user: &str) -> bool {
        !self.ignored.is_empty()
            && <&UserId>::try_from(user).is_ok_and(|user| self.ignored.contains(user))
    }
}

/// What is known about a reader and a room before its events are read.
#[derive(Debug, Clone, Copy)]
pub struct Stay {
    /// Where the reader's present stay in the room began.
    pub joined_at: Option<Pos>,
    /// The name of the reader's membership in states of the room.
    pub key: Option<StateKeyNo>,
    /// The reader's present membership, from which the earlier ones are found.
    pub event: Option<EventNo>,
}

impl Stay {
    /// Of a reader in a room.
    pub fn of(s: &Snapshot, viewer: &Viewer, standing: Option<&Standing>) -> Result<Self> {
        Ok(Self {
            joined_at: standing.and_then(|standing| standing.joined_at),
            key: s.state_key_no("m.room.member", viewer.user_id.as_str())?,
            event: standing.map(|standing| standing.event),
        })
    }

    /// Whether the event came while the reader was in the room, in the stay that still lasts.
    pub fn covers(&self, event: &Stored) -> bool {
        event
            .pos()
            .zip(self.joined_at)
            .is_some_and(|(pos, joined)| pos >= joined)
    }
}

/// In which form events are written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Form<'a> {
    /// The room, where the place in the answer does not say it.
    pub room_id: Option<&'a RoomId>,
    /// As servers exchange it.
    pub federation: bool,
}

impl Sync {
    /// An event as `viewer` gets it, the room named in it. Whether they may see it has been asked before.
    pub fn client_event(
        &self,
        s: &Snapshot,
        viewer: &Viewer,
        event: EventNo,
    ) -> Result<Box<RawValue>> {
        let mut events = self.client_events(s, viewer, &[event])?;
        events
            .pop()
            .ok_or(crate::Error::Bug("the client form of one event"))
    }

    /// Many events, in the order of their numbers' list.
    pub fn client_events(
        &self,
        s: &Snapshot,
        viewer: &Viewer,
        events: &[EventNo],
    ) -> Result<Vec<Box<RawValue>>> {
        let view = self.view(s);
        let mut stays: Vec<(RoomNo, Stay)> = Vec::new();
        let mut written = Vec::with_capacity(events.len());
        let events = view.events(events)?;
        let borrowed: Vec<&Stored> = events.iter().map(|event| &**event).collect();
        for (event, bundle) in borrowed.iter().zip(bundles(&view, viewer, &borrowed)?) {
            let room_id = s.room_id(event.room())?;
            let stay = match stays.iter().find(|(room, _)| *room == event.room()) {
                Some((_, stay)) => *stay,
                None => {
                    let standing = members::standing(s, event.room(), viewer.user)?;
                    let stay = Stay::of(s, viewer, standing.as_ref())?;
                    stays.push((event.room(), stay));
                    stay
                }
            };
            let mut out = Writer::with_capacity(event.json().len() + 256);
            let form = Form {
                room_id: Some(&room_id),
                federation: false,
            };
            let reader = Reader {
                view: &view,
                viewer,
                stay: &stay,
                form,
            };
            reader.write(&mut out, event, bundle.as_ref())?;
            written.push(
                RawValue::from_string(out.into_text())
                    .map_err(|_| crate::Error::Bug("writing an event"))?,
            );
        }
        Ok(written)
    }
}

/// Somebody reading events of one room, in one form.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) view: &'a View<'a>,
    pub(crate) viewer: &'a Viewer,
    pub(crate) stay: &'a Stay,
    pub(crate) form: Form<'a>,
}

impl Reader<'_> {
    /// Writes events as elements of a list, with what others have related to them. `newest` says that the last one is the newest
    /// of its room, so that nothing can be related to it yet.
    pub(crate) fn write_all(
        &self,
        out: &mut Writer,
        events: &[Arc<Stored>],
        newest: bool,
    ) -> Result<()> {
        let events: Vec<&Stored> = events.iter().map(|event| &**event).collect();
        let (alone, others) = match events.split_last() {
            Some((last, others)) if newest => (Some(last), others),
            _ => (None, events.as_slice()),
        };
        let bundles = bundles(self.view, self.viewer, others)?;
        let alone = alone.map(|event| (event, None));
        for (event, bundle) in others.iter().zip(bundles).chain(alone) {
            out.item();
            self.write(out, event, bundle.as_ref())?;
        }
        Ok(())
    }

    /// Writes an event with the relations it is given.
    pub(crate) fn write(
        &self,
        out: &mut Writer,
        event: &Stored,
        bundle: Option<&Bundle>,
    ) -> Result<()> {
        let unsigned = unsigned::of(self, event, bundle)?;
        if self.form.federation {
            write_federation(out, event, &unsigned);
        } else {
            event.write_client(self.form.room_id, &unsigned, out.text());
        }
        Ok(())
    }
}

/// What others have related to these events; most have nothing, and finding that out is one look-up for all.
pub(crate) fn bundles(
    view: &View<'_>,
    viewer: &Viewer,
    events: &[&Stored],
) -> Result<Vec<Option<Bundle>>> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let mut ignored = HashSet::new();
    for user in viewer.ignored.iter() {
        ignored.extend(view.s.user_no(user)?);
    }
    Ok(relations::bundles(
        view.s,
        Some(viewer.user),
        events,
        &ignored,
    )?)
}

/// The event as servers exchange it, with what a client needs on top.
fn write_federation(out: &mut Writer, event: &Stored, unsigned: &str) {
    #[derive(Deserialize)]
    struct Named {
        event_id: Option<IgnoredAny>,
    }
    let json = event.json();
    out.raw(json.strip_suffix('}').unwrap_or(json));
    // Where IDs are not hashes, they are part of the event.
    let is_named = serde_json::from_str(json).is_ok_and(|Named { event_id }| event_id.is_some());
    if !is_named {
        out.key("event_id");
        out.string(event.event_id());
    }
    out.key("unsigned");
    out.raw(unsigned);
    out.close();
}

/// Writes pieces of account data as a list of events.
pub(crate) fn write_pieces<'p>(out: &mut Writer, pieces: impl Iterator<Item = &'p Piece>) {
    out.open_list();
    for piece in pieces {
        out.item();
        out.open();
        out.key("content");
        out.raw(&piece.content);
        out.key("type");
        out.string(&piece.kind);
        out.close();
    }
    out.close_list();
}
