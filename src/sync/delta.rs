//! The state that goes with a stretch of a timeline: what has changed before its first event, or up to its last.
//!
//! A client that knows the state at one moment and is told the delta and the events arrives at the state of the other
//! moment, whatever lies between: a gap, events that its filter hides, or a fork of the room.

use std::collections::HashMap;
use std::sync::Arc;

use rooms::Stored;
use rooms::state::{At, now};
use store::{EventNo, RoomNo, StateKeyNo};

use crate::error::Result;
use crate::view::View;
use crate::window::Window;

/// Up to which moment state is told beside the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum StateAt {
    /// The first event: the client applies what follows itself.
    #[default]
    Start,
    /// The last event: the client takes nothing from the timeline (MSC4222).
    End,
}

/// What the client knows of the state already.
pub(crate) enum Known {
    /// Nothing.
    Nothing,
    /// The state as it was then.
    Then(At),
}

/// The states between which a timeline moves.
pub(crate) struct Moments {
    pub(crate) known: Known,
    /// Before the first event of the timeline, or the end if that is empty.
    pub(crate) start: At,
    pub(crate) end: At,
    /// Whether `end` is the room's present state.
    pub(crate) end_is_now: bool,
}

/// Which members are part of the delta by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Members {
    /// All whose membership differs.
    All,
    /// Those who changed since what the client knows; none if it knows nothing.
    Changed,
}

impl Moments {
    /// Of a timeline of a room, up to a state.
    pub(crate) fn new(known: Known, window: &Window, end: At, end_is_now: bool) -> Self {
        let start = window.events.first().map_or(end, |first| At::before(first));
        Self {
            known,
            start,
            end,
            end_is_now,
        }
    }

    /// The state at the moment up to which the client is told.
    pub(crate) fn told(&self, at: StateAt) -> At {
        match at {
            StateAt::Start => self.start,
            StateAt::End => self.end,
        }
    }
}

/// The events of the delta, in no particular order.
pub(crate) fn delta(
    view: &View<'_>,
    room: RoomNo,
    moments: &Moments,
    window: &Window,
    at: StateAt,
    members: Members,
) -> Result<Vec<EventNo>> {
    let mut found: HashMap<StateKeyNo, EventNo> = match &moments.known {
        Known::Nothing => whole(view, room, moments, at, members)?,
        Known::Then(then) => changes(view, then, &moments.told(at))?.collect(),
    };
    if at == StateAt::Start && moments.start != moments.end {
        // What the client would not find in the timeline: hidden by its filter, or settled between two branches.
        let beside =
            changes(view, &moments.start, &moments.end)?.filter(|(_, event)| !window.has(*event));
        let beside: Vec<(StateKeyNo, EventNo)> = match (&moments.known, members) {
            (Known::Nothing, Members::Changed) => without_members(view, beside)?,
            _ => beside.collect(),
        };
        found.extend(beside);
        found.retain(|_, event| !window.has(*event));
    }
    Ok(found.into_values().collect())
}

/// Cuts a timeline behind the last event from which the client would take state that something it does not see has replaced
/// since: such a timeline is better told as a gap.
pub(crate) fn cut(view: &View<'_>, window: &mut Window, end: &At) -> Result<()> {
    let Some(first) = window.events.first().filter(|_| window.hidden) else {
        return Ok(());
    };
    let beside: Vec<StateKeyNo> = changes(view, &At::before(first), end)?
        .filter(|(_, event)| !window.has(*event))
        .map(|(key, _)| key)
        .collect();
    let is_replaced = |event: &Arc<Stored>| {
        event
            .state_key_no()
            .is_some_and(|key| beside.contains(&key))
    };
    if let Some(last) = window.events.iter().rposition(is_replaced) {
        let from = window.events.get(last).and_then(|event| event.pos());
        window.from = from.unwrap_or(window.from);
        window.events.drain(..=last);
        window.limited = true;
    }
    Ok(())
}

fn changes(
    view: &View<'_>,
    old: &At,
    new: &At,
) -> Result<impl Iterator<Item = (StateKeyNo, EventNo)> + use<>> {
    let differences = if old == new {
        Vec::new()
    } else {
        old.diff(view.s, new)?
    };
    Ok(differences
        .into_iter()
        .filter_map(|difference| Some((difference.key, difference.new?))))
}

/// The whole state at a moment, read from the present one where that is nearer than the tree.
fn whole(
    view: &View<'_>,
    room: RoomNo,
    moments: &Moments,
    at: StateAt,
    members: Members,
) -> Result<HashMap<StateKeyNo, EventNo>> {
    let then = moments.told(at);
    if !moments.end_is_now {
        let all = then.all(view.s)?.into_iter();
        return match members {
            Members::All => Ok(all.collect()),
            Members::Changed => Ok(without_members(view, all)?.into_iter().collect()),
        };
    }
    let mut found: HashMap<StateKeyNo, EventNo> = match members {
        Members::All => now::all(view.s, room)?,
        Members::Changed => now::without_members(view.s, room)?,
    }
    .into_iter()
    .collect();
    if then != moments.end {
        for difference in moments.end.diff(view.s, &then)? {
            if members == Members::Changed && is_member(view, difference.key)? {
                continue;
            }
            match difference.new {
                Some(event) => found.insert(difference.key, event),
                None => found.remove(&difference.key),
            };
        }
    }
    Ok(found)
}

fn without_members(
    view: &View<'_>,
    entries: impl Iterator<Item = (StateKeyNo, EventNo)>,
) -> Result<Vec<(StateKeyNo, EventNo)>> {
    let mut kept = Vec::new();
    for (key, event) in entries {
        if !is_member(view, key)? {
            kept.push((key, event));
        }
    }
    Ok(kept)
}

fn is_member(view: &View<'_>, key: StateKeyNo) -> Result<bool> {
    Ok(view.s.state_key(key)?.0 == "m.room.member")
}

/// Reads the events of a delta, in the order in which they came to us.
pub(crate) fn read(view: &View<'_>, mut numbers: Vec<EventNo>) -> Result<Vec<Arc<Stored>>> {
    numbers.sort_unstable();
    numbers.dedup();
    view.events(&numbers)
}
