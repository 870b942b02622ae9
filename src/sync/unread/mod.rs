//! How many events of a room somebody has not read yet, and which of them they want to hear of.
//!
//! A count is a function of the events after the user's receipts and of their push rules, so nothing is written when an event comes.
//! It is computed when somebody asks, from where it was computed last: in memory (`memo.rs`), or from a row that is written now
//! and then so that a restart does not begin from the first event (`keeper.rs`). What an event is, apart from who reads it, is
//! found out once for all readers (`prepared.rs`).
//!
//! Client-server API, "Receiving notifications"; what pushers are told is found out in `push.rs`.

mod keeper;
mod memo;
mod prepared;

use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::{Arc, Weak};

use event::push::{self, Context, Outcome};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use rooms::members::{self, Standing};
use rooms::receipts;
use rooms::{Stored, summary, timeline};
use ruma::OwnedUserId;
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
/// Events read at once.
const CHUNK: usize = 64;
/// Events counted after which the result is worth writing down.
const WORTH_SAVING: u64 = 256;

#[derive(Clone)]
struct Events;

impl Weighter<(UserNo, RoomNo), Arc<Kept>> for Events {
    fn weight(&self, _: &(UserNo, RoomNo), kept: &Arc<Kept>) -> u64 {
        kept.memo.weight() + 6
    }
}

/// What is remembered of counting.
pub(crate) struct Unread {
    memos: Cache<(UserNo, RoomNo), Arc<Kept>, Events>,
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

/// A user's rules.
pub(crate) struct Rules {
    rules: Arc<Ruleset>,
    ignored: Arc<HashSet<OwnedUserId>>,
    /// When these last changed, once somebody has asked.
    since: OnceCell<Pos>,
}

impl Rules {
    /// The present ones.
    pub(crate) fn of(sync: &Sync, viewer: &Viewer) -> Result<Self> {
        Ok(Self {
            rules: sync.inner().users.push_rules_of(viewer.user)?,
            ignored: viewer.ignored.clone(),
            since: OnceCell::new(),
        })
    }

    fn since(&self, s: &Snapshot, user: UserNo) -> Result<Pos> {
        if let Some(since) = self.since.get() {
            return Ok(*since);
        }
        let changed = |kind| users::account_data::changed_at(s, user, None, kind);
        let since = changed("m.push_rules")?.max(changed("m.ignored_user_list")?);
        Ok(*self.since.get_or_init(|| since.unwrap_or_default()))
    }
}

/// What is remembered of counting for a user in a room.
struct Kept {
    memo: Memo,
    /// How far the user had read.
    marks: Marks,
    joined_at: Pos,
    /// The rules by which it was counted. While these are the same values in memory, nothing needs to be asked of the store.
    rules: Weak<Ruleset>,
    ignored: Weak<HashSet<OwnedUserId>>,
}

impl Kept {
    fn holds(&self, rules: &Rules, view: &View<'_>, user: UserNo) -> Result<bool> {
        let same = std::ptr::eq(self.rules.as_ptr(), Arc::as_ptr(&rules.rules))
            && std::ptr::eq(self.ignored.as_ptr(), Arc::as_ptr(&rules.ignored));
        Ok(self.memo.upto <= view.s.head()
            && (same || self.memo.rules == rules.since(view.s, user)?))
    }
}

/// How many are in a room, once somebody has asked.
#[derive(Default)]
pub(crate) struct MemberCount(OnceCell<u64>);

impl MemberCount {
    /// Asked once per event for all readers, and once per room for all events of one reader.
    fn at(&self, s: &Snapshot, event: &Prepared) -> Result<u64> {
        if let Some(count) = event.member_count.get().or_else(|| self.0.get()) {
            return Ok(*event.member_count.get_or_init(|| *count));
        }
        let count = summary::of(s, event.room)?.joined;
        event.member_count.get_or_init(|| count);
        Ok(*self.0.get_or_init(|| count))
    }
}

/// A room for which is counted, and what is known about receipts in it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) room: RoomNo,
    pub(crate) standing: &'a Standing,
    /// Where a receipt moved last, and since when that is known.
    pub(crate) receipts: Option<(Pos, Pos)>,
}

impl Sync {
    /// What a member has not read in a room.
    pub fn unread(&self, s: &Snapshot, viewer: &Viewer, room: RoomNo) -> Result<RoomUnread> {
        let Some(standing) = members::standing(s, room, viewer.user)? else {
            return Ok(RoomUnread::default());
        };
        let place = Place {
            room,
            standing: &standing,
            receipts: None,
        };
        self.count(&self.view(s), viewer, &Rules::of(self, viewer)?, place)
    }

    /// The rooms in which a user has unread notifications, with what is unread there: the badge of an app.
    pub fn unread_rooms(&self, s: &Snapshot, viewer: &Viewer) -> Result<Vec<(RoomNo, RoomUnread)>> {
        let (view, rules) = (self.view(s), Rules::of(self, viewer)?);
        let mut found = Vec::new();
        for entry in members::rooms(s, viewer.user) {
            let (room, standing) = entry?;
            let place = Place {
                room,
                standing: &standing,
                receipts: None,
            };
            let unread = self.count(&view, viewer, &rules, place)?;
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
        self.actions(
            &view,
            viewer,
            &rules,
            name,
            (&prepared, &MemberCount::default()),
        )
    }

    pub(crate) fn actions(
        &self,
        view: &View<'_>,
        viewer: &Viewer,
        rules: &Ruleset,
        display_name: Option<&str>,
        (event, members): (&Prepared, &MemberCount),
    ) -> Result<Vec<Action>> {
        if event.sender == viewer.user || viewer.ignores_user(event.flat.sender().as_str()) {
            return Ok(Vec::new());
        }
        let cx = Context {
            user_id: &viewer.user_id,
            display_name,
            member_count: members.at(view.s, event)?,
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
        place: Place<'_>,
    ) -> Result<RoomUnread> {
        let (true, Some(joined_at)) = (place.standing.is_joined(), place.standing.joined_at) else {
            return Ok(RoomUnread::default());
        };
        let unread = &self.inner().unread;
        let (head, key) = (view.s.head(), (viewer.user, place.room));
        let kept = match unread.memos.get(&key) {
            Some(kept) if kept.holds(rules, view, viewer.user)? => Some(kept),
            _ => None,
        };
        let marks = match &kept {
            Some(kept) if kept.joined_at == joined_at && place.is_unmoved(kept.memo.upto) => {
                kept.marks.clone()
            }
            _ => marks(view, viewer.user, place.room, joined_at)?,
        };
        let mut memo = match kept {
            Some(kept) if kept.memo.upto == head && kept.memo.is_read_upto(&marks) => {
                return Ok(kept.memo.unread());
            }
            Some(kept) => kept.memo.clone(),
            None => begin(view, key, rules, &marks)?,
        };
        if memo.read(&marks).is_err() {
            memo = Memo::new(marks.all, memo.rules);
        }
        memo.upto = memo.upto.max(marks.all);
        let counting = Counting {
            sync: self,
            view,
            viewer,
            rules,
            place,
            marks: &marks,
            members: MemberCount::default(),
        };
        counting.go_on(&mut memo)?;
        if memo.unsaved >= WORTH_SAVING {
            memo.unsaved = 0;
            unread.unsaved.add(key, memo.to_row());
        }
        let found = memo.unread();
        let kept = Kept {
            memo,
            marks,
            joined_at,
            rules: Arc::downgrade(&rules.rules),
            ignored: Arc::downgrade(&rules.ignored),
        };
        unread.memos.insert(key, Arc::new(kept));
        Ok(found)
    }
}

impl Place<'_> {
    /// Whether it is known that no receipt has moved since a position.
    fn is_unmoved(&self, since: Pos) -> bool {
        self.receipts
            .is_some_and(|(last, reach)| reach <= since && last <= since)
    }
}

impl Memo {
    fn unread(&self) -> RoomUnread {
        RoomUnread {
            threads: self.by_thread(),
            changed: self.changed,
        }
    }
}

/// From what was written down, if it holds for these rules, or from where the user has read to.
fn begin(view: &View<'_>, key: (UserNo, RoomNo), rules: &Rules, marks: &Marks) -> Result<Memo> {
    let since = rules.since(view.s, key.0)?;
    let row = view.s.get(tables::UNREAD, &key)?.map(Memo::of_row);
    let holds = row.filter(|memo| memo.rules == since && memo.upto <= view.s.head());
    Ok(holds.unwrap_or_else(|| Memo::new(marks.all, since)))
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
    place: Place<'a>,
    marks: &'a Marks,
    members: MemberCount,
}

impl Counting<'_> {
    /// Counts everything after what has been counted.
    fn go_on(&self, memo: &mut Memo) -> Result<()> {
        let head = self.view.s.head();
        let newest = timeline::range(
            self.view.s,
            self.place.room,
            memo.upto,
            head,
            Order::Backward,
        )
        .take(FROM_SCRATCH);
        let mut events: Vec<(Pos, EventNo)> = newest.collect::<Result<_, _>>()?;
        events.reverse();
        for some in events.chunks(CHUNK) {
            let numbers: Vec<EventNo> = some.iter().map(|(_, event)| *event).collect();
            for ((pos, _), event) in some.iter().zip(self.view.events(&numbers)?) {
                memo.unsaved += 1;
                self.count(memo, *pos, &event)?;
            }
        }
        memo.upto = head;
        Ok(())
    }

    fn count(&self, memo: &mut Memo, pos: Pos, stored: &Stored) -> Result<()> {
        let event = stored.no();
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
        let name = self.place.standing.display_name.as_deref();
        let (rules, about) = (&self.rules.rules, (&*prepared, &self.members));
        let actions = self
            .sync
            .actions(self.view, self.viewer, rules, name, about)?;
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
