//! The newest events of a stretch of a room's timeline that somebody gets to see.

use std::sync::Arc;

use rooms::Stored;
use rooms::timeline;
use store::{EventNo, Order, Pos, RoomNo};

use crate::error::Result;
use crate::view::View;

/// Events looked at for one window; after that it is called limited.
const LOOKED_AT: usize = 1_000;
/// Events in a row that the user may not see, after which what lies before them is not looked at.
const UNSEEN: usize = 20;

/// What to do with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Tell it.
    Yes,
    /// Leave it out, by the client's wish.
    No,
    /// Leave it out: the user may not see it.
    Unseen,
}

/// A stretch of a timeline.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    /// The events, oldest first.
    pub(crate) events: Vec<Arc<Stored>>,
    /// Whether there are more before these.
    pub(crate) limited: bool,
    /// Whether events between these, or after them, were left out.
    pub(crate) hidden: bool,
    /// The place before the first of them.
    pub(crate) from: Pos,
}

impl Window {
    /// No events.
    pub(crate) const fn empty(at: Pos) -> Self {
        Self {
            events: Vec::new(),
            limited: false,
            hidden: false,
            from: at,
        }
    }

    /// Whether nothing has happened in the stretch at all.
    pub(crate) fn is_void(&self) -> bool {
        self.events.is_empty() && !self.limited && !self.hidden
    }

    /// Whether this event is in it.
    pub(crate) fn has(&self, event: EventNo) -> bool {
        self.events.iter().any(|other| other.no() == event)
    }
}

/// Up to `limit` events after `after` up to `upto`, as many as `keep` keeps, the newest.
pub(crate) fn newest(
    view: &View<'_>,
    room: RoomNo,
    (after, upto): (Pos, Pos),
    limit: usize,
    keep: &mut dyn FnMut(&Stored) -> Result<Keep>,
) -> Result<Window> {
    let mut window = Window::empty(upto);
    let (mut looked, mut unseen) = (0, 0);
    let mut rows = timeline::range(view.s, room, after, upto, Order::Backward);
    'search: loop {
        let chunk: Vec<(Pos, EventNo)> = rows
            .by_ref()
            .take((limit + 1).min(50))
            .collect::<Result<_, _>>()?;
        if chunk.is_empty() {
            break;
        }
        let numbers: Vec<EventNo> = chunk.iter().map(|(_, event)| *event).collect();
        for ((pos, _), event) in chunk.into_iter().zip(view.events(&numbers)?) {
            looked += 1;
            let kept = keep(&event)?;
            unseen = if kept == Keep::Unseen { unseen + 1 } else { 0 };
            let full = kept == Keep::Yes && window.events.len() >= limit;
            if full || looked > LOOKED_AT || unseen > UNSEEN {
                window.limited = true;
                break 'search;
            }
            window.hidden |= kept != Keep::Yes;
            if kept == Keep::Yes {
                window.from = pos.previous();
                window.events.push(event);
            }
        }
    }
    window.events.reverse();
    Ok(window)
}
