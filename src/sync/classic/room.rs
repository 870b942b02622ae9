//! A room in an answer: one that the user is in, or one that they have left.

use std::sync::Arc;

use rooms::members::Standing;
use rooms::state::At;
use rooms::{Stored, receipts};
use ruma::RoomId;
use store::{Pos, RoomNo};

use super::answer::{Builder, write_account_data};
use crate::bells::RoomMarks;
use crate::client_form::{Form, Reader, Stay};
use crate::delta::{self, Known, Members, Moments, StateAt};
use crate::ephemeral;
use crate::error::Result;
use crate::filter::Lazy;
use crate::json::Writer;
use crate::members::{self, Summary};
use crate::sight::Sight;
use crate::token::Place;
use crate::unread::{self, Counts, RoomUnread, Rules};
use crate::window::{self, Keep, Window};

/// A room that is being told of.
struct Visit<'a> {
    room: RoomNo,
    room_id: &'a RoomId,
    standing: &'a Standing,
    /// Where the client knows the room from, if it does.
    from: Option<Pos>,
    /// Whether the user has come to the room since the client asked last.
    is_entered: bool,
    /// What may have changed since then; nothing is known if none.
    marks: Option<RoomMarks>,
}

/// A timeline, and the state beside it.
struct Told {
    window: Window,
    state: Vec<Arc<Stored>>,
    /// Whether what the room is called after may have changed.
    renames: bool,
    /// Whether the last event of the timeline is the newest of the room.
    is_newest: bool,
}

impl Builder<'_> {
    // ── rooms the user is in ──

    pub(super) fn joined(
        &mut self,
        room: RoomNo,
        room_id: &RoomId,
        standing: &Standing,
    ) -> Result<()> {
        let since = self.since.map(|since| since.pos);
        let is_entered = since.is_some_and(|since| standing.joined_at.is_none_or(|at| at > since));
        let from = since.filter(|_| !is_entered);
        let marks = self.room_marks(room);
        let visit = Visit {
            room,
            room_id,
            standing,
            from,
            is_entered,
            marks,
        };
        let is_whole = from.is_none() || self.ask.full_state;
        let is_quiet = marks.is_some_and(|marks| marks == RoomMarks::default());
        if is_quiet && !is_whole && !self.typing.is_due(room) && !self.room_data.contains_key(&room)
        {
            return Ok(());
        }
        if is_entered {
            self.moves.entered.push(room);
        }
        let told = self.timeline_of_joined(&visit)?;
        let mut out = Writer::with_capacity(1024);
        out.any_key(room_id.as_str());
        out.open();
        let mut is_due = is_whole;
        is_due |= self.write_told(&mut out, &visit, &told)?;
        is_due |= self.write_ephemeral(&mut out, &visit)?;
        is_due |= self.write_room_data(&mut out, &visit, from.is_none())?;
        is_due |= self.has_read(&visit)?;
        is_due |= told.window.hidden && self.counts_differ(&visit)?;
        if !is_due {
            return Ok(());
        }
        if is_whole || told.renames {
            let summary = Summary::of(&self.view, room, self.viewer.user)?;
            out.key("summary");
            summary.write(&self.view, &mut out)?;
        }
        self.write_unread(&mut out, &visit)?;
        out.close();
        let section = &mut self.sections.join;
        section.item();
        section.raw(&out.into_text());
        Ok(())
    }

    fn timeline_of_joined(&mut self, visit: &Visit<'_>) -> Result<Told> {
        let (room, room_id) = (visit.room, visit.room_id);
        let mut window = self.window_of_joined(visit)?;
        if visit.from.is_some() && window.is_void() && !self.ask.full_state {
            return Ok(Told {
                window,
                state: Vec::new(),
                renames: false,
                is_newest: false,
            });
        }
        let end = At::now(self.view.s, room)?;
        self.cut(&mut window, &end)?;
        let then = match visit.from {
            None => None,
            Some(from) if window.limited || window.hidden => {
                Some(At::position(self.view.s, room, from)?)
            }
            Some(_) => Some(window.events.first().map_or(end, |first| At::before(first))),
        };
        if let Some(then) = then {
            self.moves.between(&self.view, &then, &end)?;
        }
        let known = match then {
            Some(then) if !self.ask.full_state => Known::Then(then),
            _ => Known::Nothing,
        };
        let moments = Moments::new(known, &window, end, true);
        let stay = (room, visit.standing.joined_at);
        let state = self.state(stay, room_id, &moments, &window)?;
        let mut told = window.events.iter().chain(&state);
        let renames =
            window.limited || window.hidden || told.any(|event| members::changes_summary(event));
        let is_newest = !window.hidden;
        Ok(Told {
            window,
            state,
            renames,
            is_newest,
        })
    }

    fn window_of_joined(&self, visit: &Visit<'_>) -> Result<Window> {
        let is_silent = visit.marks.is_some_and(|marks| marks.event == Pos::ZERO);
        if is_silent && visit.from.is_some() {
            return Ok(Window::empty(self.head()));
        }
        let room = visit.room;
        let sight = Sight::here(self.view.s, room, self.viewer.user, visit.standing);
        let stretch = (visit.from.unwrap_or(Pos::ZERO), self.head());
        let mut window = self.window(room, visit.room_id, stretch, &sight)?;
        // What the client may know of the room is from an earlier stay, with a gap behind it.
        window.limited |= visit.is_entered;
        Ok(window)
    }

    /// See [`delta::cut`]; clients that take no state from the timeline are not misled by it.
    fn cut(&self, window: &mut Window, end: &At) -> Result<()> {
        match self.ask.dialect.state_at() {
            StateAt::Start => delta::cut(&self.view, window, end),
            StateAt::End => Ok(()),
        }
    }

    /// The newest events of a stretch that the user may see and wants to.
    fn window(
        &self,
        room: RoomNo,
        room_id: &RoomId,
        stretch: (Pos, Pos),
        sight: &Sight<'_>,
    ) -> Result<Window> {
        let filter = &self.ask.filter.timeline;
        let (has_room, everything) = (filter.has_room(room_id), filter.is_everything());
        let mut keep = |event: &Stored| -> Result<Keep> {
            if !sight.sees(event)? {
                return Ok(Keep::Unseen);
            }
            let wanted =
                has_room && !self.viewer.ignores(event) && (everything || filter.has_event(event));
            Ok(if wanted { Keep::Yes } else { Keep::No })
        };
        window::newest(&self.view, room, stretch, filter.limit, &mut keep)
    }

    /// The state that goes with a timeline.
    fn state(
        &self,
        (room, stay): (RoomNo, Option<Pos>),
        room_id: &RoomId,
        moments: &Moments,
        window: &Window,
    ) -> Result<Vec<Arc<Stored>>> {
        let at = self.ask.dialect.state_at();
        let lazily = self.ask.filter.lazy != Lazy::No;
        let members = if lazily {
            Members::Changed
        } else {
            Members::All
        };
        let mut numbers = delta::delta(&self.view, room, moments, window, at, members)?;
        if lazily {
            let mut needed: Vec<store::UserNo> = members::senders(window).collect();
            if matches!(moments.known, Known::Nothing) {
                needed.push(self.viewer.user);
                if moments.end_is_now {
                    needed.extend(Summary::of(&self.view, room, self.viewer.user)?.heroes());
                }
            }
            // Who is told of the room anew may have forgotten what they knew.
            let goes_on =
                matches!(moments.known, Known::Then(_)) && self.ask.filter.lazy == Lazy::Once;
            let known = self.known.as_ref().filter(|_| goes_on);
            let known = known.map(|known| (known, stay.unwrap_or_default()));
            let lacking = members::needed(&self.view, room, moments, (at, window), needed, known)?;
            numbers.extend(
                lacking
                    .into_iter()
                    .filter(|event| at == StateAt::End || !window.has(*event)),
            );
        }
        let mut state = delta::read(&self.view, numbers)?;
        let filter = &self.ask.filter.state;
        if !filter.has_room(room_id) {
            state.clear();
        }
        if !filter.is_everything() {
            state.retain(|event| filter.has_event(event));
        }
        if let Some(known) = &self.known {
            let told: Vec<&Stored> = window
                .events
                .iter()
                .chain(&state)
                .map(|event| &**event)
                .collect();
            members::note(&self.view, room, &told, known)?;
        }
        Ok(state)
    }

    /// Writes timeline and state; says whether there is anything in them.
    fn write_told(&self, out: &mut Writer, visit: &Visit<'_>, told: &Told) -> Result<bool> {
        let stay = Stay::of(self.view.s, &self.viewer, Some(visit.standing))?;
        let Told { window, state, .. } = told;
        // Inside a sync the place tells the room; as servers exchange them, events name it themselves.
        let form = Form {
            room_id: None,
            federation: self.ask.filter.federation_format,
        };
        let reader = Reader {
            view: &self.view,
            viewer: &self.viewer,
            stay: &stay,
            form,
        };
        let mut is_due = false;
        let wants_state = self.ask.dialect.state_at() == StateAt::End;
        if !state.is_empty() || wants_state {
            out.key(self.ask.dialect.key());
            out.open();
            out.key("events");
            out.open_list();
            for event in state {
                out.item();
                reader.write(out, event, None)?;
            }
            out.close_list();
            out.close();
            is_due |= !state.is_empty();
        }
        if !window.events.is_empty() || window.limited || visit.from.is_none() {
            out.key("timeline");
            out.open();
            out.key("events");
            out.open_list();
            reader.write_all(out, &window.events, told.is_newest)?;
            out.close_list();
            out.key("limited");
            out.boolean(window.limited);
            out.key("prev_batch");
            out.string(&Place(window.from).to_string());
            out.close();
            is_due |= !window.events.is_empty() || window.limited;
        }
        Ok(is_due)
    }

    fn write_ephemeral(&mut self, out: &mut Writer, visit: &Visit<'_>) -> Result<bool> {
        let Visit {
            room,
            room_id,
            from,
            marks,
            ..
        } = *visit;
        let filter = &self.ask.filter.ephemeral;
        if !filter.has_room(room_id) {
            return Ok(false);
        }
        let mut list = Writer::default();
        let moved = from.is_none() || marks.is_none_or(|marks| marks.receipt > Pos::ZERO);
        if moved && filter.has_type("m.receipt") {
            ephemeral::receipts(&self.view, &mut list, &self.viewer, room, from)?;
        }
        if filter.has_type("m.typing") && (self.typing.is_due(room) || from.is_none()) {
            let users = self.sync.inner().rooms.typing().users(room);
            // A client that comes anew believes nobody to be typing.
            if !users.is_empty() || from.is_some() {
                self.typing.somebody |=
                    ephemeral::typing(&self.view, &mut list, &self.viewer, &users)?;
                self.typing.told = true;
            }
        }
        if list.len() == 0 {
            return Ok(false);
        }
        out.key("ephemeral");
        out.open();
        out.key("events");
        out.open_list();
        out.raw(&list.into_text());
        out.close_list();
        out.close();
        Ok(true)
    }

    fn write_room_data(&self, out: &mut Writer, visit: &Visit<'_>, is_new: bool) -> Result<bool> {
        let Visit { room, room_id, .. } = *visit;
        let filter = &self.ask.filter.room_data;
        if !filter.has_room(room_id) {
            return Ok(false);
        }
        let all;
        let pieces = if is_new {
            all = users::account_data::all(self.view.s, self.viewer.user, Some(room))?;
            &all
        } else {
            match self.room_data.get(&room) {
                Some(changed) => changed,
                None => return Ok(false),
            }
        };
        Ok(write_account_data(
            out,
            pieces.iter().filter(|piece| filter.has_type(&piece.kind)),
            // A client that learns of a room learns as well that there is nothing beside it.
            is_new,
        ))
    }

    /// Whether the user has read something that the client is not told of by a receipt, so that the counts have to be told.
    fn has_read(&self, visit: &Visit<'_>) -> Result<bool> {
        let Visit {
            room, from, marks, ..
        } = *visit;
        let Some(from) = from.filter(|_| !self.ask.filter.ephemeral.has_type("m.receipt")) else {
            return Ok(false);
        };
        if marks.is_some_and(|marks| marks.receipt == Pos::ZERO) {
            return Ok(false);
        }
        let own = receipts::of_user(self.view.s, room, self.viewer.user)?;
        Ok(own.iter().any(|receipt| receipt.pos > from))
    }

    /// Whether an event that the client's filter hides changes what is unread.
    fn counts_differ(&mut self, visit: &Visit<'_>) -> Result<bool> {
        let unread = self.unread(visit)?;
        Ok(visit.from.is_none_or(|from| unread.changed > from))
    }

    fn unread(&mut self, visit: &Visit<'_>) -> Result<RoomUnread> {
        let rules = match self.rules.take() {
            Some(rules) => rules,
            None => Rules::of(self.sync, &self.viewer)?,
        };
        let Visit { room, standing, .. } = *visit;
        let known = self.known_marks(room);
        let receipts = known.map(|(marks, reach)| (marks.receipt, reach));
        let place = unread::Place {
            room,
            standing,
            receipts,
        };
        let unread = self.sync.count(&self.view, &self.viewer, &rules, place)?;
        self.rules = Some(rules);
        Ok(unread)
    }

    fn write_unread(&mut self, out: &mut Writer, visit: &Visit<'_>) -> Result<()> {
        let unread = self.unread(visit)?;
        let (all, by_thread) = (unread.all(), self.ask.filter.by_thread);
        out.key("unread_notifications");
        write_counts(out, if by_thread { unread.main() } else { all });
        if by_thread {
            self.write_threads(out, &unread)?;
        }
        out.key("org.matrix.msc2654.unread_count");
        out.number(all.unread);
        Ok(())
    }

    fn write_threads(&self, out: &mut Writer, unread: &RoomUnread) -> Result<()> {
        let threads = unread
            .threads
            .iter()
            .filter(|(_, counts)| counts.notify > 0);
        let mut threads = threads
            .filter_map(|(thread, counts)| Some(((*thread)?, *counts)))
            .peekable();
        if threads.peek().is_none() {
            return Ok(());
        }
        out.key("unread_thread_notifications");
        out.open();
        for (root, counts) in threads {
            out.any_key(self.view.s.event_id(root)?.as_str());
            write_counts(out, counts);
        }
        out.close();
        Ok(())
    }

    // ── rooms the user has left ──

    pub(super) fn left(
        &mut self,
        room: RoomNo,
        room_id: &RoomId,
        standing: &Standing,
    ) -> Result<()> {
        let since = self.since.map(|since| since.pos);
        // The stay that ended is of interest if the client does not know of its end yet.
        let stay_end = standing
            .left_at
            .filter(|end| since.is_none_or(|since| *end > since));
        let told = match stay_end {
            Some(end) => self.timeline_of_left(room, room_id, standing, end)?,
            None => self.farewell(room_id, standing)?,
        };
        if stay_end.is_some() {
            self.moves.left.push(room);
        }
        // The client is told all there is of a room that is over, whatever it knew.
        let visit = Visit {
            room,
            room_id,
            standing,
            from: None,
            is_entered: false,
            marks: None,
        };
        let mut out = Writer::with_capacity(1024);
        out.any_key(room_id.as_str());
        out.open();
        self.write_told(&mut out, &visit, &told)?;
        self.write_room_data(&mut out, &visit, since.is_none())?;
        out.close();
        let section = &mut self.sections.leave;
        section.item();
        section.raw(&out.into_text());
        Ok(())
    }

    /// What the user saw up to the end of their stay, and the event that says how they stand to the room now.
    fn timeline_of_left(
        &mut self,
        room: RoomNo,
        room_id: &RoomId,
        standing: &Standing,
        end: Pos,
    ) -> Result<Told> {
        let since = self.since.map(|since| since.pos);
        let sight = Sight::left(self.view.s, room, &self.viewer, standing, end)?;
        let stretch = (since.unwrap_or(Pos::ZERO), standing.since);
        let mut window = self.window(room, room_id, stretch, &sight)?;
        let then = since
            .map(|since| At::position(self.view.s, room, since))
            .transpose()?;
        let was_in = match &then {
            Some(then) => members::was_joined(&self.view, *then, &self.viewer.user_id)?,
            None => false,
        };
        let known = match then.filter(|_| was_in && !self.ask.full_state) {
            Some(then) => Known::Then(then),
            None => {
                window.limited |= since.is_some();
                Known::Nothing
            }
        };
        let end = At::position(self.view.s, room, end)?;
        self.cut(&mut window, &end)?;
        let moments = Moments::new(known, &window, end, false);
        let mut state = self.state((room, None), room_id, &moments, &window)?;
        self.add_own(standing, &mut state, &window)?;
        Ok(Told {
            window,
            state,
            renames: false,
            is_newest: false,
        })
    }

    /// For somebody who was not in the room: the event alone that turned them away.
    fn farewell(&self, room_id: &RoomId, standing: &Standing) -> Result<Told> {
        let filter = &self.ask.filter.timeline;
        let mut window = Window::empty(standing.since.previous());
        window.events.push(self.view.event(standing.event)?);
        window
            .events
            .retain(|event| filter.has_room(room_id) && filter.has_event(event));
        let mut state = Vec::new();
        self.add_own(standing, &mut state, &window)?;
        Ok(Told {
            window,
            state,
            renames: false,
            is_newest: false,
        })
    }

    /// A client that takes no state from the timeline is told how its user stands to the room in the state, if it wants memberships there.
    fn add_own(
        &self,
        standing: &Standing,
        state: &mut Vec<Arc<Stored>>,
        window: &Window,
    ) -> Result<()> {
        let is_told = match self.ask.dialect.state_at() {
            StateAt::Start => window.has(standing.event),
            StateAt::End => false,
        };
        if !is_told && !state.iter().any(|event| event.no() == standing.event) {
            let own = self.view.event(standing.event)?;
            if self.ask.filter.state.has_event(&own) {
                state.push(own);
            }
        }
        Ok(())
    }
}

fn write_counts(out: &mut Writer, counts: Counts) {
    out.open();
    out.key("highlight_count");
    out.number(counts.highlight);
    out.key("notification_count");
    out.number(counts.notify);
    out.close();
}
