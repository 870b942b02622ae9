//! How many events of a room somebody has not read yet, and which of them they want to hear of.
//!
//! A count is a function of the events after the user's receipts and of their push rules, so nothing is written when an event comes.
//! It is computed when somebody asks, from where it was computed last: in memory (`memo.rs`), or from a row that is written now
//! and then so that a restart does not begin from the first event (`keeper.rs`). What an event is, apart from who reads it, is
//! found out once for all readers (`prepared.rs`).
//!
//! Client-server API, "Receiving notifications"; the push follower asks [`Sync::push_actions`] and [`Sync::unread_rooms`].

mod keeper;
mod memo;
mod prepared;

use std::sync::Arc;

use event::push::{self, Context, Outcome};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use rooms::members::{self, Standing};
use rooms::receipts;
use rooms::{Membership, summary, timeline};
use ruma::push::{Action, Ruleset};
use store::{EventNo, Order, Pos, RoomNo, Snapshot, UserNo, tables};

use crate::Sync;
use crate::client_form::Viewer;
use crate::error::Result;
use crate::view::View;

pub(crate) use keeper::Keeper;
pub use memo::{Counts, Marks, Thread};
pub(crate) use memo::{Memo, Weight};
pub(crate) use prepared::Prepared;

/// Memory for what has been counted, in unread events of about 40 bytes.
const REMEMBERED: u64 = 600_000;
/// Events prepared for judging that are kept.
const PREPARED: usize = 4_096;
/// Events looked at when a count has to begin anew; what is older counts as read.
const FROM_SCRATCH: usize = 10_000;
/// Events counted after which the result is worth writing down.
const WORTH_SAVING: u64 = 256;

#[derive(Clone)]
struct Events;

impl Weighter<(UserNo, RoomNo), Arc<Memo>> for Events {
    fn weight(&self, _: &(UserNo, RoomNo), memo: &Arc<Memo>) -> u64 {
        memo.weight() + 4
    }
}

/// What is remembered of counting.
pub(crate) struct Unread {
    memos: Cache<(UserNo, RoomNo), Arc<Memo>, Events>,
    prepared: Cache<EventNo, Arc<Prepared>>,
    unsaved: keeper::Unsaved,
}

impl Default for Unread {
    fn default() -> Self {
        Self {
            memos: Cache::with_weighter(50_000, REMEMBERED, Events),
            prepared: Cache::new(PREPARED),
            unsaved: keeper::Unsaved::default(),
        }
    }
}

/// What is unread in a room.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoomUnread {
    /// By thread; threads without unread events are left out.
    pub threads: Vec<(Thread, Counts)>,
    /// The last event that made a difference; receipts aside.
    pub changed: Pos,
}

impl RoomUnread {
    /// All threads and the main timeline.
    pub fn all(&self) -> Counts {
        let mut all = Counts::default();
        self.threads.iter().for_each(|(_, counts)| all.add(*counts));
        all
    }

    /// The main timeline alone.
    pub fn main(&self) -> Counts {
        self.threads
            .iter()
            .find(|(thread, _)| thread.is_none())
            .map(|(_, counts)| *counts)
            .unwrap_or_default()
    }
}

/// A user's rules, as of some position.
#[derive(Clone)]
pub(crate) struct Rules {
    rules: Arc<Ruleset>,
    /// When they, or whom the user ignores, last changed.
    since: Pos,
}

impl Rules {
    /// The present ones.
    pub(crate) fn of(sync: &Sync, s: &Snapshot, user: UserNo) -> Result<Self> {
        let rules = sync.inner().users.push_rules_of(user)?;
        let changed = |kind| users::account_data::changed_at(s, user, None, kind);
        let since = changed("m.push_rules")?.max(changed("m.ignored_user_list")?);
        Ok(Self {
            rules,
            since: since.unwrap_or_default(),
        })
    }
}

impl Sync {
    /// What a member has not read in a room.
    pub fn unread(&self, s: &Snapshot, viewer: &Viewer, room: RoomNo) -> Result<RoomUnread> {
        let Some(standing) = members::standing(s, room, viewer.user)? else {
            return Ok(RoomUnread::default());
        };
        let rules = Rules::of(self, s, viewer.user)?;
        self.count(&self.view(s), viewer, &rules, room, &standing)
    }

    /// The rooms in which a user has unread notifications, with what is unread there: the badge of an app.
    pub fn unread_rooms(&self, s: &Snapshot, viewer: &Viewer) -> Result<Vec<(RoomNo, RoomUnread)>> {
        let (view, rules) = (self.view(s), Rules::of(self, s, viewer.user)?);
        let mut found = Vec::new();
        for entry in members::rooms(s, viewer.user) {
            let (room, standing) = entry?;
            let unread = self.count(&view, viewer, &rules, room, &standing)?;
            if unread.all().notify > 0 {
                found.push((room, unread));
            }
        }
        Ok(found)
    }

    /// What a user's push rules ask for at this event; nothing for their own, and for those they ignore.
    pub fn push_actions(
        &self,
        s: &Snapshot,
        viewer: &Viewer,
        event: EventNo,
    ) -> Result<Vec<Action>> {
        let view = self.view(s);
        let rules = self.inner().users.push_rules_of(viewer.user)?;
        let prepared = self.prepared(&view, event)?;
        let standing = members::standing(s, prepared.room, viewer.user)?;
        let name = standing
            .as_ref()
            .and_then(|standing| standing.display_name.as_deref());
        self.actions(&view, viewer, &rules, name, &prepared)
    }

    pub(crate) fn actions(
        &self,
        view: &View<'_>,
        viewer: &Viewer,
        rules: &Ruleset,
        display_name: Option<&str>,
        event: &Prepared,
    ) -> Result<Vec<Action>> {
        if event.sender == viewer.user || viewer.ignores_user(event.flat.sender().as_str()) {
            return Ok(Vec::new());
        }
        let cx = Context {
            user_id: &viewer.user_id,
            display_name,
            member_count: summary::of(view.s, event.room)?.joined,
            may_notify: &|kind| event.may_notify(view.s, kind),
            follows_thread: None,
        };
        Ok(push::evaluate(rules, &event.flat, &cx).to_vec())
    }

    pub(crate) fn prepared(&self, view: &View<'_>, event: EventNo) -> Result<Arc<Prepared>> {
        if let Some(prepared) = self.inner().unread.prepared.get(&event) {
            return Ok(prepared);
        }
        let prepared = Arc::new(Prepared::of(view, &*view.event(event)?)?);
        self.inner().unread.prepared.insert(event, prepared.clone());
        Ok(prepared)
    }

    /// What a user has not read in a room, counted on from where it was counted last.
    pub(crate) fn count(
        &self,
        view: &View<'_>,
        viewer: &Viewer,
        rules: &Rules,
        room: RoomNo,
        standing: &Standing,
    ) -> Result<RoomUnread> {
        let (true, Some(joined_at)) = (standing.membership == Membership::Join, standing.joined_at)
        else {
            return Ok(RoomUnread::default());
        };
        let unread = &self.inner().unread;
        let (head, key) = (view.s.head(), (viewer.user, room));
        let known = unread
            .memos
            .get(&key)
            .filter(|memo| memo.rules == rules.since && memo.upto <= head);
        let marks = marks(view, viewer.user, room, joined_at)?;
        if let Some(memo) = &known
            && memo.upto == head
            && memo.is_read_upto(&marks)
        {
            return Ok(RoomUnread {
                threads: memo.by_thread(),
                changed: memo.changed,
            });
        }
        let mut memo = match known {
            Some(memo) => Memo::clone(&memo),
            None => stored(view, key, rules)?.unwrap_or_else(|| Memo::new(marks.all, rules.since)),
        };
        if memo.read(&marks).is_err() {
            memo = Memo::new(marks.all, rules.since);
        }
        memo.upto = memo.upto.max(marks.all);
        let counting = Counting {
            sync: self,
            view,
            viewer,
            rules,
            standing,
            marks: &marks,
        };
        counting.go_on(&mut memo, room)?;
        let found = RoomUnread {
            threads: memo.by_thread(),
            changed: memo.changed,
        };
        if memo.unsaved >= WORTH_SAVING {
            memo.unsaved = 0;
            unread.unsaved.add(key, memo.to_row());
        }
        unread.memos.insert(key, Arc::new(memo));
        Ok(found)
    }
}

/// What was written down, if it holds for these rules.
fn stored(view: &View<'_>, key: (UserNo, RoomNo), rules: &Rules) -> Result<Option<Memo>> {
    let row = view.s.get(tables::UNREAD, &key)?;
    Ok(row
        .map(Memo::of_row)
        .filter(|memo| memo.rules == rules.since && memo.upto <= view.s.head()))
}

/// How far a user has read.
pub(crate) fn marks(view: &View<'_>, user: UserNo, room: RoomNo, joined_at: Pos) -> Result<Marks> {
    let mut marks = Marks {
        all: joined_at,
        ..Marks::default()
    };
    for receipt in receipts::of_user(view.s, room, user)? {
        let Some(at) = receipt.at else { continue };
        match receipt.thread.as_deref() {
            None => marks.all = marks.all.max(at),
            Some("main") => marks.main = marks.main.max(at),
            Some(root) => {
                let root = <&ruma::EventId>::try_from(root)
                    .ok()
                    .map(|root| view.s.event_no(root))
                    .transpose()?;
                if let Some(root) = root.flatten() {
                    marks.read(root, at);
                }
            }
        }
    }
    Ok(marks)
}

struct Counting<'a> {
    sync: &'a Sync,
    view: &'a View<'a>,
    viewer: &'a Viewer,
    rules: &'a Rules,
    standing: &'a Standing,
    marks: &'a Marks,
}

impl Counting<'_> {
    /// Counts everything after what has been counted.
    fn go_on(&self, memo: &mut Memo, room: RoomNo) -> Result<()> {
        let head = self.view.s.head();
        let newest =
            timeline::range(self.view.s, room, memo.upto, head, Order::Backward).take(FROM_SCRATCH);
        let mut events: Vec<(Pos, EventNo)> = newest.collect::<Result<_, _>>()?;
        events.reverse();
        for (pos, event) in events {
            memo.unsaved += 1;
            self.count(memo, pos, event)?;
        }
        memo.upto = head;
        Ok(())
    }

    fn count(&self, memo: &mut Memo, pos: Pos, event: EventNo) -> Result<()> {
        let stored = self.view.event(event)?;
        let prepared = self.sync.prepared(self.view, event)?;
        if let Some(target) = prepared.redacts {
            if self.view.event(target)?.redacted_by().is_some() {
                memo.redacted(pos, target);
            }
            return Ok(());
        }
        if prepared.sender == self.viewer.user {
            // A redacted event has forgotten its thread, and counts as said in the main timeline should it be counted again.
            if prepared.is_speech {
                memo.spoke(pos, prepared.thread);
            }
            return Ok(());
        }
        let is_read = pos <= self.marks.of(prepared.thread);
        if is_read
            || stored.redacted_by().is_some()
            || self.viewer.ignores_user(prepared.flat.sender().as_str())
        {
            return Ok(());
        }
        let name = self.standing.display_name.as_deref();
        let actions =
            self.sync
                .actions(self.view, self.viewer, &self.rules.rules, name, &prepared)?;
        let Outcome {
            notify, highlight, ..
        } = Outcome::of(&actions);
        let weight = Weight {
            thread: prepared.thread,
            notify,
            highlight: notify && highlight,
            unread: prepared.is_readable,
        };
        memo.count(pos, event, weight, self.marks);
        Ok(())
    }
}
