//! `GET /notifications`: the events a user was notified of, newest first, over all rooms they are in.
//!
//! Nothing is written when somebody is notified, so these are found again: the rooms' timelines are read backwards, merged by
//! position, and judged by the user's present rules. Client-server API, "Listing notifications".

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use event::push::Outcome;
use rooms::members::{self, Standing};
use rooms::{Stored, timeline};
use ruma::UserId;
use ruma::push::Action;
use store::{EventNo, Pos, RoomNo, Snapshot};

use crate::Sync;
use crate::client_form::{Form, Reader, Stay, Viewer};
use crate::error::Result;
use crate::json::Writer;
use crate::token::Place;
use crate::unread::{Marks, MemberCount, Thread, marks};
use crate::view::View;

/// Notifications on a page, at most and if nobody says.
const MOST: usize = 100;
const SOME: usize = 20;
/// Events looked at for a page; the next page goes on from there.
const LOOKED_AT: usize = 5_000;

/// What a client asks for.
#[derive(Debug, Clone, Default)]
pub struct Params {
    /// `next_token` of the page before.
    pub from: Option<String>,
    /// How many.
    pub limit: Option<usize>,
    /// Only mentions.
    pub only_highlights: bool,
}

/// The next event of a room.
type Head = (Pos, Reverse<RoomNo>, EventNo);

/// A room on the way back through its timeline.
struct Way {
    standing: Standing,
    stay: Stay,
    marks: Marks,
    /// Threads in which the user has spoken after the place we are at.
    spoken: HashSet<Thread>,
    members: MemberCount,
}

impl Sync {
    /// A page of notifications, as JSON.
    pub async fn notifications(&self, user: &UserId, params: Params) -> Result<Vec<u8>> {
        let (sync, user) = (self.clone(), user.to_owned());
        let from = params
            .from
            .as_deref()
            .map(str::parse::<Place>)
            .transpose()?;
        self.inner()
            .store
            .read(move |s| sync.page(s, &sync.viewer(&user, None)?, from, &params))
            .await
    }

    fn page(
        &self,
        s: &Snapshot,
        viewer: &Viewer,
        from: Option<Place>,
        params: &Params,
    ) -> Result<Vec<u8>> {
        let view = self.view(s);
        let rules = self.inner().users.push_rules_of(viewer.user)?;
        let (mut ways, mut heads) = self.ways(&view, viewer, from)?;
        let limit = params.limit.unwrap_or(SOME).clamp(1, MOST);
        let (mut out, mut found, mut looked, mut next) = (Writer::with_capacity(2_048), 0, 0, None);
        out.open();
        out.key("notifications");
        out.open_list();
        while let Some((pos, Reverse(room), event)) = heads.pop() {
            if found >= limit || looked >= LOOKED_AT {
                next = Some(Place(pos));
                break;
            }
            looked += 1;
            let Some(way) = ways.get_mut(&room) else {
                continue;
            };
            heads.extend(way.before(s, room, pos)?);
            let prepared = self.prepared(&view, event)?;
            if prepared.sender == viewer.user && prepared.is_speech {
                way.spoken.insert(prepared.thread);
                continue;
            }
            let stored = view.event(event)?;
            if stored.redacted_by().is_some() {
                continue;
            }
            let name = way.standing.display_name.as_deref();
            let actions = self.actions(&view, viewer, &rules, name, (&prepared, &way.members))?;
            let outcome = Outcome::of(&actions);
            if outcome.notify && (outcome.highlight || !params.only_highlights) {
                found += 1;
                let is_read = way.has_read(pos, prepared.thread);
                let reader = Reader {
                    view: &view,
                    viewer,
                    stay: &way.stay,
                    form: Form::default(),
                };
                write(&mut out, &reader, &stored, &actions, is_read)?;
            }
        }
        out.close_list();
        if let Some(next) = next {
            out.key("next_token");
            out.string(&next.to_string());
        }
        out.close();
        Ok(out.into_bytes())
    }

    /// The rooms that the user is in, and the last event of each up to a place.
    fn ways(
        &self,
        view: &View<'_>,
        viewer: &Viewer,
        from: Option<Place>,
    ) -> Result<(HashMap<RoomNo, Way>, BinaryHeap<Head>)> {
        let upto = from.map_or(Pos::MAX, |Place(pos)| pos);
        let (mut ways, mut heads) = (HashMap::new(), BinaryHeap::new());
        for entry in members::rooms(view.s, viewer.user) {
            let (room, standing) = entry?;
            let Some(joined_at) = standing.joined_at.filter(|_| standing.is_joined()) else {
                continue;
            };
            let Some((pos, event)) = timeline::last_upto(view.s, room, upto)? else {
                continue;
            };
            if pos < joined_at {
                continue;
            }
            heads.push((pos, Reverse(room), event));
            let way = Way {
                stay: Stay::of(view.s, viewer, Some(&standing))?,
                marks: marks(view, viewer.user, room, joined_at)?,
                spoken: HashSet::new(),
                members: MemberCount::default(),
                standing,
            };
            ways.insert(room, way);
        }
        Ok((ways, heads))
    }
}

impl Way {
    /// The event before a position, as long as the user was in the room.
    fn before(&self, s: &Snapshot, room: RoomNo, pos: Pos) -> Result<Option<Head>> {
        let before = timeline::last_upto(s, room, pos.previous())?;
        let before = before.filter(|(before, _)| {
            self.standing
                .joined_at
                .is_some_and(|joined| *before >= joined)
        });
        Ok(before.map(|(before, event)| (before, Reverse(room), event)))
    }

    fn has_read(&self, pos: Pos, thread: Thread) -> bool {
        self.spoken.contains(&thread) || pos <= self.marks.of(thread)
    }
}

fn write(
    out: &mut Writer,
    reader: &Reader<'_>,
    event: &Stored,
    actions: &[Action],
    is_read: bool,
) -> Result<()> {
    out.item();
    out.open();
    out.key("actions");
    out.value(actions);
    out.key("event");
    reader.write(out, event, None)?;
    out.key("read");
    out.boolean(is_read);
    out.key("room_id");
    out.string(reader.view.s.room_id(event.room())?.as_str());
    out.key("ts");
    out.number(event.origin_server_ts());
    out.close();
    Ok(())
}
