//! Searching what was said (client-server API, *Server Side Search*): newest first, over rooms that the viewer is or was in, and
//! only over what they may see. The timelines are walked backwards, a bounded stretch for each answer, so a search of a long
//! past goes on from page to page.

use store::{Order, Pos, RoomNo, Snapshot, UserNo};

use crate::error::{Error, Result};
use crate::stored::Stored;
use crate::timeline;
use crate::visibility::Viewer;

/// How many events are looked at for one answer.
const LOOKED_AT: usize = 50_000;
/// How many more are looked at only to say how much there is to find.
const LOOKED_AHEAD: usize = 2_000;
/// How many are read at once.
const STRETCH: usize = 200;

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Words that must all occur.
    pub term: String,
    /// In bodies of messages.
    pub bodies: bool,
    /// In names of rooms.
    pub names: bool,
    /// In topics of rooms.
    pub topics: bool,
    /// From this place backwards; from the present when absent.
    pub from: Option<Pos>,
    /// How many at most.
    pub limit: usize,
}

/// What was found, newest first.
#[derive(Debug, Clone)]
pub struct Page {
    /// The events.
    pub events: Vec<Stored>,
    /// From where to go on; none if everything has been looked at.
    pub next: Option<Pos>,
    /// How many more there are behind these, as far as was looked.
    pub more: usize,
    /// The words that were looked for, for highlighting.
    pub words: Vec<String>,
}

/// Searches some rooms.
pub fn search(
    s: &Snapshot,
    user: UserNo,
    rooms: &[RoomNo],
    wanted: &Wanted,
    is_wanted: impl Fn(&Stored) -> bool,
) -> Result<Page> {
    let words = words(&wanted.term);
    let mut page = Page {
        events: Vec::new(),
        next: None,
        more: 0,
        words,
    };
    if page.words.is_empty() {
        return Ok(page);
    }
    let mut walks = Vec::with_capacity(rooms.len());
    for room in rooms {
        walks.push(Walk::new(s, user, *room, wanted.from.unwrap_or(Pos::MAX))?);
    }
    let mut ahead = 0;
    for _ in 0..LOOKED_AT {
        let is_full = page.events.len() == wanted.limit;
        let Some(walk) = newest(s, &mut walks)? else {
            page.next = page.next.filter(|_| is_full);
            return Ok(page);
        };
        let Some((pos, event)) = walk.take() else {
            return Err(Error::Bug("a walk that promised an event and has none"));
        };
        let found = matches(&event, wanted, &page.words)
            && is_wanted(&event)
            && walk.viewer.sees(&event)?;
        if is_full {
            ahead += 1;
            page.more += usize::from(found);
            if ahead == LOOKED_AHEAD {
                return Ok(page);
            }
        } else {
            page.next = Some(pos.previous());
            if found {
                page.events.push(event);
            }
        }
    }
    Ok(page)
}

/// A room's timeline being walked backwards.
struct Walk<'s> {
    viewer: Viewer<'s>,
    room: RoomNo,
    /// Where the next stretch begins; none at the end.
    next: Option<Pos>,
    /// The present stretch, its newest event last.
    stretch: Vec<Stored>,
}

impl<'s> Walk<'s> {
    fn new(s: &'s Snapshot, user: UserNo, room: RoomNo, from: Pos) -> Result<Self> {
        Ok(Self {
            viewer: Viewer::new(s, room, Some(user))?,
            room,
            next: Some(from),
            stretch: Vec::new(),
        })
    }

    /// The position of its newest event.
    fn peek(&mut self, s: &Snapshot) -> Result<Option<Pos>> {
        if self.stretch.is_empty()
            && let Some(from) = self.next
        {
            let page = timeline::page(s, self.room, from, None, Order::Backward, STRETCH)?;
            self.stretch = page.events;
            self.stretch.reverse();
            self.next = page.next;
        }
        Ok(self.stretch.last().and_then(Stored::pos))
    }

    fn take(&mut self) -> Option<(Pos, Stored)> {
        let event = self.stretch.pop()?;
        Some((event.pos()?, event))
    }
}

/// The walk whose next event is the newest.
fn newest<'w, 's>(s: &'s Snapshot, walks: &'w mut [Walk<'s>]) -> Result<Option<&'w mut Walk<'s>>> {
    let mut best: Option<(Pos, &mut Walk<'s>)> = None;
    for walk in walks {
        if let Some(pos) = walk.peek(s)?
            && best.as_ref().is_none_or(|(newest, _)| pos > *newest)
        {
            best = Some((pos, walk));
        }
    }
    Ok(best.map(|(_, walk)| walk))
}

/// The words of a text, in lower case.
fn words(text: &str) -> Vec<String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn matches(event: &Stored, wanted: &Wanted, words: &[String]) -> bool {
    let field = match &*event.event_type() {
        "m.room.message" if wanted.bodies => "body",
        "m.room.name" if wanted.names => "name",
        "m.room.topic" if wanted.topics => "topic",
        _ => return false,
    };
    let Some(content) = event.content::<serde_json::Value>() else {
        return false;
    };
    let Some(text) = content.get(field).and_then(serde_json::Value::as_str) else {
        return false;
    };
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word.as_str()))
}
