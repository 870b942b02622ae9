//! One answer, built from one snapshot: which rooms it tells, and what the connection has been told after it.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash, Hasher};

use rooms::Membership;
use rooms::members::{self, Standing};
use store::rows::sync::ToldRow;
use store::{Pos, RoomNo};

use super::ask::{Ask, Place};
use super::conn::{self, Ground, LIVE, Made, Wants};
use super::extensions::Extensions;
use super::lists::{Combined, Reason, Rooms};
use super::recency::{self, Entry, Index};
use super::room::Visit;
use super::wanted::Wanted;
use crate::Sync;
use crate::bells::{Bell, Marks, RoomMarks};
use crate::classic::Body;
use crate::client_form::Viewer;
use crate::error::{Error, Result};
use crate::json::Writer;
use crate::lazy::{End, Known};
use crate::scope::Scope;
use crate::token::{Token, TypingSeen};
use crate::unread::Rules;
use crate::view::View;

/// An answer, and what giving it means for the connection.
pub(super) struct Answer {
    pub(super) body: Body,
    /// Whether there is any reason to give it before the client's time is up.
    pub(super) is_due: bool,
    /// What it told of members belongs to this chain of answers, and it ends here.
    pub(super) chain: (u64, End),
    /// The generation that it makes, if it makes one.
    pub(super) made: Option<Made>,
    /// The generation that its position names.
    pub(super) generation: u64,
    /// What was asked, if every room of every list has been told after this.
    pub(super) settled: Option<u64>,
    pub(super) counts: BTreeMap<String, usize>,
}

/// An answer under construction.
pub(super) struct Builder<'a> {
    pub(super) sync: &'a Sync,
    pub(super) ask: &'a Ask,
    pub(super) view: &'a View<'a>,
    pub(super) viewer: Viewer,
    pub(super) index: &'a Index,
    pub(super) ground: &'a Ground<'a>,
    pub(super) since: Option<Token>,
    /// What may have changed; none if everything may.
    pub(super) marks: Option<Marks>,
    pub(super) rules: Option<Rules>,
    /// Which members the connection has been told.
    pub(super) known: Known<'a>,
    /// The rooms that are told.
    pub(super) rooms: Writer,
    /// What has been told of rooms once this is told; nothing if none.
    changes: HashMap<RoomNo, Option<ToldRow>>,
    wants: Option<Wants>,
    /// The events that are told of rooms, for those who ask for receipts.
    pub(super) shown: HashMap<RoomNo, HashSet<String>>,
    pub(super) typing: TypingDue,
}

/// What there is to tell of who is typing.
pub(super) struct TypingDue {
    /// The version that is told up to.
    pub(super) version: u64,
    /// The rooms to tell of; none if of all that are told.
    pub(super) rooms: Option<HashSet<RoomNo>>,
    /// Whether the client may believe, after this, that somebody is typing.
    pub(super) somebody: bool,
}

impl TypingDue {
    fn of(sync: &Sync, ask: &Ask, since: Option<Token>) -> Self {
        let typing = sync.inner().rooms.typing();
        // The version comes first: what changes meanwhile is told twice, and not never.
        let version = typing.version();
        let seen = since.map(|since| since.typing).unwrap_or_default();
        let rooms = if !ask.extensions.typing.enabled {
            Some(HashSet::new())
        } else if seen.epoch == sync.inner().epoch {
            Some(typing.changed_rooms(seen.version).into_iter().collect())
        } else if seen.somebody {
            None
        } else {
            Some(typing.active().into_iter().collect())
        };
        Self {
            version,
            rooms,
            somebody: seen.somebody,
        }
    }

    pub(super) fn has(&self, room: RoomNo) -> bool {
        self.rooms
            .as_ref()
            .is_none_or(|rooms| rooms.contains(&room))
    }
}

/// Builds the answer to a question. `is_again` says that an answer to it has been built already, which was not given.
pub(super) fn build(sync: &Sync, ask: &Ask, bell: &Bell, is_again: bool) -> Result<Answer> {
    let inner = sync.inner();
    let index = inner.recency.of(ask.user);
    let mut held = recency::lock(&index);
    // The moment comes after the lock: the rooms are then not ahead of it.
    let snapshot = inner.store.snapshot();
    let head = snapshot.head();
    ask.checked(head)?;
    let view = sync.view(&snapshot);
    let scope = Scope::of(sync, ask.user, held.upto(), bell, head);
    let scope = scope.narrow(sync, ask.user, held.upto(), head)?;
    held.go_on(sync, &view, ask.user, &scope)?;
    inner.recency.keep(ask.user, &index, held.len());

    let fresh;
    let found;
    let state;
    let ground = match &ask.pos {
        None => {
            fresh = inner.connections.fresh(view.now);
            fresh.nothing()
        }
        Some(place) => {
            found = connection(sync, ask, place, &view)?;
            state = conn::lock(&found);
            state.at(place).ok_or(Error::UnknownPos)?
        }
    };
    let since = ask.since();
    let scope = Scope::of(sync, ask.user, since, bell, head).narrow(sync, ask.user, since, head)?;
    let since = ask.pos.map(|pos| pos.token);
    let chain = ask.pos.filter(|_| !is_again);
    let chain = chain.map(|pos| (pos.token.pos, pos.generation));
    let builder = Builder {
        sync,
        ask,
        view: &view,
        viewer: Viewer {
            user: ask.user,
            user_id: ask.user_id.clone(),
            device: Some(ask.device.clone()),
            ignored: inner.users.ignored_by(ask.user)?,
        },
        index: &held,
        ground: &ground,
        since,
        marks: scope.marks().cloned(),
        rules: None,
        known: inner.told.known(ask.user, &ask.chain(), chain),
        rooms: Writer::default(),
        changes: HashMap::new(),
        wants: None,
        shown: HashMap::new(),
        typing: TypingDue::of(sync, ask, since),
    };
    builder.build()
}

/// The connection, which has to know the position.
fn connection(
    sync: &Sync,
    ask: &Ask,
    place: &Place,
    view: &View<'_>,
) -> Result<std::sync::Arc<std::sync::Mutex<conn::State>>> {
    let (connections, key) = (&sync.inner().connections, ask.key());
    for _ in 0..2 {
        let found = connections.find(view.s, &key)?.ok_or(Error::UnknownPos)?;
        if conn::lock(&found).at(place).is_some() {
            return Ok(found);
        }
        // What is in memory may have been read before the last generation was written.
        connections.forget(&key);
    }
    Err(Error::UnknownPos)
}

impl Builder<'_> {
    fn build(mut self) -> Result<Answer> {
        let asked = self.asked();
        let only = self.only(asked);
        let mut rooms = Rooms::of(self.view, self.ask, self.index, only.as_ref())?;
        self.tell_rooms(&mut rooms)?;
        self.tell_others(&rooms)?;
        let mut is_due = self.since.is_none() || self.rooms.len() > 0;
        is_due |= rooms
            .counts
            .iter()
            .any(|(list, count)| !self.ground.has_count(list, *count));
        let mut extensions = Extensions::default();
        self.extend(&mut rooms, &mut extensions)?;
        is_due |= extensions.is_due;
        let made = self.made(extensions.data_told);
        let generation = made.as_ref().map(Made::generation);
        let generation = generation.or(self.ground.generation()).unwrap_or(0);
        let body = self.write(&rooms.counts, extensions, made.as_ref())?;
        Ok(Answer {
            body,
            is_due,
            chain: (self.known.chain(), (self.head(), generation)),
            made,
            generation,
            settled: (rooms.is_whole && self.is_steady()).then_some(asked),
            counts: rooms.counts,
        })
    }

    pub(super) fn head(&self) -> Pos {
        self.view.s.head()
    }

    pub(super) fn since_pos(&self) -> Pos {
        self.since.map_or(Pos::ZERO, |since| since.pos)
    }

    /// What is asked of rooms, in short.
    fn asked(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.ask.lists.hash(&mut hasher);
        self.ask.subscriptions.hash(&mut hasher);
        self.ask.extensions.hash_rooms(&mut hasher);
        hasher.finish()
    }

    /// Whether only rooms in which something happens come into the lists or go out of them.
    fn is_steady(&self) -> bool {
        let mut lists = self.ask.lists.iter();
        lists.all(|(_, list)| !list.filters.is_fickle())
    }

    /// The only rooms that there can be something to tell of, if the same was asked before and all rooms have been told since.
    fn only(&self, asked: u64) -> Option<HashSet<RoomNo>> {
        let marks = self.marks.as_ref()?;
        let typing = self.typing.rooms.as_ref()?;
        if self.ground.settled() != Some(asked) || marks.own.rules > self.since_pos() {
            return None;
        }
        let marked = marks.rooms.iter().map(|(room, _)| room);
        Some(marked.chain(typing).copied().collect())
    }

    // ── rooms ──

    fn tell_rooms(&mut self, rooms: &mut Rooms) -> Result<()> {
        let mut reasons: Vec<(RoomNo, Reason)> = rooms
            .reasons
            .iter()
            .map(|(room, why)| (*room, *why))
            .collect();
        reasons.sort_unstable_by_key(|(room, _)| *room);
        for (room, why) in reasons {
            let combined = rooms.combined(self.ask, why);
            let Some(entry) = self.index.get(room) else {
                continue;
            };
            if entry.membership == Membership::Join {
                self.tell_joined(room, entry, &combined)?;
            } else {
                self.tell_outside(room, entry)?;
            }
        }
        Ok(())
    }

    /// What may have changed in a room since the client asked last; nothing is known if none.
    pub(super) fn room_marks(&self, room: RoomNo) -> Option<RoomMarks> {
        let marks = self.marks.as_ref()?;
        let found = marks.rooms.iter().find(|(other, _)| *other == room);
        let found = found.map(|(_, marks)| *marks).unwrap_or_default();
        Some(found.only_after(self.since_pos()))
    }

    fn tell_joined(&mut self, room: RoomNo, entry: &Entry, combined: &Combined) -> Result<()> {
        let want = &combined.want;
        let told = self.told(room).filter(|told| told.joined).cloned();
        let marks = self.room_marks(room);
        let limit = u32::try_from(want.limit).unwrap_or(u32::MAX);
        let mut added = Wanted::default();
        if let Some(told) = &told {
            let same = self.ground.want_id(&want.state) == Some(told.want);
            if !same {
                let before = self.ground.want(told.want).unwrap_or_default();
                added = want.state.beyond(&before);
            }
            let is_still = marks.is_some_and(|it| it.event == Pos::ZERO && it.receipt == Pos::ZERO);
            let grows = limit > told.limit || !added.is_empty();
            if is_still && !grows && told.upto == LIVE {
                return Ok(());
            }
        }
        let Some(standing) = members::standing(self.view.s, room, self.viewer.user)? else {
            return Err(Error::Bug("a room of a user who has nothing to do with it"));
        };
        let from = told.as_ref().map(|told| self.upto(told));
        let from = from.filter(|from| standing.joined_at.is_some_and(|at| at <= *from));
        let visit = Visit {
            room,
            standing: &standing,
            stamp: entry.stamp,
            from,
            // What was missed while the room was out of sight is not marked.
            marks: marks.filter(|_| told.as_ref().is_some_and(|told| told.upto == LIVE)),
            was_live: told.as_ref().is_some_and(|told| told.upto == LIVE),
            limit: want.limit,
            grows: from.is_some() && told.as_ref().is_some_and(|told| limit > told.limit),
            want: &want.state,
            added: if from.is_some() {
                added
            } else {
                Wanted::default()
            },
        };
        let is_wider = visit.grows || !visit.added.is_empty();
        let Some(seen) = self.joined(&visit)? else {
            return Ok(());
        };
        let mut now = told.filter(|_| from.is_some()).unwrap_or(ToldRow {
            joined: true,
            upto: LIVE,
            limit: 0,
            want: 0,
            receipts: None,
            data: None,
        });
        now.upto = LIVE;
        now.limit = if seen.has_gap {
            limit
        } else {
            now.limit.max(limit)
        };
        if from.is_none() || is_wider || seen.has_state {
            now.want = self.want_id(&want.state);
        }
        self.tell(room, Some(now));
        Ok(())
    }

    /// An invitation or a knock, told once.
    fn tell_outside(&mut self, room: RoomNo, entry: &Entry) -> Result<()> {
        let told = self.told(room).filter(|told| !told.joined).cloned();
        let is_known = told.is_some_and(|told| entry.stamp <= self.upto(&told));
        if is_known {
            return Ok(());
        }
        let Some(standing) = members::standing(self.view.s, room, self.viewer.user)? else {
            return Err(Error::Bug("a room of a user who has nothing to do with it"));
        };
        self.outside(room, &standing)?;
        let now = ToldRow {
            joined: false,
            upto: LIVE,
            limit: 0,
            want: 0,
            receipts: None,
            data: None,
        };
        self.tell(room, Some(now));
        Ok(())
    }

    /// Rooms that the client has been told of and that are not in its lists: that one is no longer in them is told; of what else
    /// happens there it is noted that it has not been told.
    fn tell_others(&mut self, rooms: &Rooms) -> Result<()> {
        let marked: Vec<(RoomNo, RoomMarks)> = match &self.marks {
            Some(marks) => {
                let rooms = marks.rooms.iter();
                rooms
                    .map(|(room, marks)| (*room, marks.only_after(self.since_pos())))
                    .collect()
            }
            None => {
                let head = self.head();
                let all = RoomMarks {
                    event: head,
                    receipt: head,
                    data: head,
                };
                self.ground
                    .rooms()
                    .into_iter()
                    .map(|room| (room, all))
                    .collect()
            }
        };
        for (room, marks) in marked {
            let Some(told) = self.told(room).cloned() else {
                continue;
            };
            if self.index.get(room).is_none() {
                self.tell_gone(room, &told)?;
                continue;
            }
            if rooms.reasons.contains_key(&room) {
                continue;
            }
            let mut now = told;
            let since = self.since_pos();
            if now.upto == LIVE && (marks.event > Pos::ZERO || marks.receipt > Pos::ZERO) {
                now.upto = since;
            }
            if now.receipts == Some(LIVE) && marks.receipt > Pos::ZERO {
                now.receipts = Some(since);
            }
            if now.data == Some(LIVE) && marks.data > Pos::ZERO {
                now.data = Some(since);
            }
            self.tell(room, Some(now));
        }
        Ok(())
    }

    /// A room that is none of the user's any more.
    fn tell_gone(&mut self, room: RoomNo, told: &ToldRow) -> Result<()> {
        let standing = members::standing(self.view.s, room, self.viewer.user)?;
        if let Some(standing) = standing.filter(is_over) {
            let want = self.ground.want(told.want).unwrap_or_default();
            let from = self.upto(told);
            self.gone(
                room,
                &standing,
                told.joined.then_some(from),
                (told.limit, &want),
            )?;
        }
        self.tell(room, None);
        Ok(())
    }

    // ── what has been told ──

    /// What has been told of a room, with what this answer tells.
    pub(super) fn told(&self, room: RoomNo) -> Option<&ToldRow> {
        match self.changes.get(&room) {
            Some(told) => told.as_ref(),
            None => self.ground.get(room),
        }
    }

    /// Notes what has been told of a room.
    pub(super) fn tell(&mut self, room: RoomNo, told: Option<ToldRow>) {
        if self.told(room) != told.as_ref() {
            self.changes.insert(room, told);
        }
    }

    /// Up to where a room had been told.
    fn upto(&self, told: &ToldRow) -> Pos {
        if told.upto == LIVE {
            self.since_pos()
        } else {
            told.upto
        }
    }

    fn want_id(&mut self, wanted: &Wanted) -> u64 {
        let ground = self.ground;
        self.wants
            .get_or_insert_with(|| Wants::of(ground))
            .id(wanted)
    }

    /// The generation that this answer makes, if it changes anything.
    fn made(&mut self, data: bool) -> Option<Made> {
        let now = self.view.now;
        let is_same =
            self.changes.is_empty() && data == self.ground.has_data() && !self.ground.is_stale(now);
        if is_same && self.ground.generation().is_some() {
            return None;
        }
        let changes = std::mem::take(&mut self.changes);
        let wants = self.wants.take().unwrap_or_else(|| Wants::of(self.ground));
        Some(Made::on(self.ground, changes, wants, data, now))
    }

    fn write(
        &mut self,
        counts: &BTreeMap<String, usize>,
        extensions: Extensions,
        made: Option<&Made>,
    ) -> Result<Body> {
        let mut out = Writer::with_capacity(256 + self.rooms.len());
        out.open();
        out.key("extensions");
        out.raw(&extensions.into_text());
        out.key("lists");
        out.open();
        for (name, count) in counts {
            out.any_key(name);
            out.open();
            out.key("count");
            out.number(*count as u64);
            out.close();
        }
        out.close();
        out.key("pos");
        let place = match (made, self.ask.pos) {
            (Some(made), _) => made.place(self.token()),
            (None, Some(place)) => Place {
                token: self.token(),
                ..place
            },
            (None, None) => return Err(Error::Bug("a first answer that makes no generation")),
        };
        out.string(&place.to_string());
        out.key("rooms");
        out.open();
        out.raw(&std::mem::take(&mut self.rooms).into_text());
        out.close();
        if let Some(txn) = &self.ask.txn {
            out.key("txn_id");
            out.string(txn);
        }
        out.close();
        Ok(out.into_bytes())
    }

    fn token(&self) -> Token {
        Token {
            pos: self.head(),
            typing: TypingSeen {
                epoch: self.sync.inner().epoch,
                version: self.typing.version,
                somebody: self.typing.somebody,
            },
            to_device: None,
        }
    }
}

/// Whether the user is out of the room.
fn is_over(standing: &Standing) -> bool {
    matches!(standing.membership, Membership::Leave | Membership::Ban)
}
