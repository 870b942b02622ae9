//! Events that relate to an event, and what is told of them along with it (client-server API, *Forming relationships between
//! events*).

use std::borrow::Borrow;
use std::collections::HashSet;

use store::rows::rooms::RelatedRow;
use store::{EventNo, Order, Pos, Snapshot, UserNo, tables};

use crate::error::Result;
use crate::stored::Stored;
use crate::visibility::Viewer;

/// The kinds of relation that are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Replace = 0,
    Thread = 1,
    Reference = 2,
    Annotation = 3,
    Other = 4,
}

impl Kind {
    pub(crate) fn of(rel_type: &str) -> Self {
        match rel_type {
            "m.replace" => Self::Replace,
            "m.thread" => Self::Thread,
            "m.reference" => Self::Reference,
            "m.annotation" => Self::Annotation,
            _ => Self::Other,
        }
    }

    pub(crate) const fn code(self) -> u8 {
        self as u8
    }
}

/// Which related events are wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Only of this relation type.
    pub rel_type: Option<String>,
    /// Only of this event type.
    pub event_type: Option<String>,
    /// Newest or oldest first.
    pub order: Order,
    /// From which place on; from the end that the order starts at when absent.
    pub from: Option<Pos>,
    /// Not beyond this place.
    pub to: Option<Pos>,
    /// How many at most.
    pub limit: usize,
    /// Whether events that relate to the related ones count too.
    pub recurse: bool,
}

/// Related events, and where to go on.
#[derive(Debug, Clone)]
pub struct Page {
    /// In the order asked for.
    pub events: Vec<Stored>,
    /// The place behind the last of them; none if there are no more.
    pub next: Option<Pos>,
    /// How deep relations were followed.
    pub depth: u8,
}

/// How deep relations of relations are followed.
const DEPTH: u8 = 3;
/// How many related events are looked at for one answer.
const LOOKED_AT: usize = 10_000;

/// The events that relate to one, as far as the viewer may see them.
pub fn list(s: &Snapshot, viewer: &Viewer<'_>, parent: &Stored, wanted: &Wanted) -> Result<Page> {
    let depth = if wanted.recurse { DEPTH } else { 1 };
    let mut found = children(s, parent.no(), wanted, depth)?;
    found.sort_unstable();
    found.dedup();
    if wanted.order == Order::Backward {
        found.reverse();
    }
    let mut page = Page {
        events: Vec::new(),
        next: None,
        depth,
    };
    for (_, event) in found {
        if page.events.len() == wanted.limit {
            let last = page.events.last().and_then(Stored::pos);
            page.next = last.map(|last| match wanted.order {
                Order::Forward => last,
                Order::Backward => last.previous(),
            });
            break;
        }
        let event = Stored::get(s, event)?;
        if viewer.sees(&event)? {
            page.events.push(event);
        }
    }
    Ok(page)
}

fn children(
    s: &Snapshot,
    parent: EventNo,
    wanted: &Wanted,
    depth: u8,
) -> Result<Vec<(Pos, EventNo)>> {
    let (after, upto) = match wanted.order {
        Order::Forward => (wanted.from, wanted.to),
        Order::Backward => (wanted.to, wanted.from),
    };
    let within =
        |pos: Pos| after.is_none_or(|after| pos > after) && upto.is_none_or(|upto| pos <= upto);
    let (mut found, mut parents, mut seen) = (Vec::new(), vec![parent], HashSet::from([parent]));
    for _ in 0..depth {
        let mut next = Vec::new();
        for parent in parents {
            for row in s.prefix(tables::RELATIONS, &(parent,), Order::Forward) {
                let ((_, _, pos), row) = row?;
                if !seen.insert(row.child) || seen.len() > LOOKED_AT {
                    continue;
                }
                next.push(row.child);
                let right = is(wanted.rel_type.as_deref(), &row.rel_type)
                    && is(wanted.event_type.as_deref(), &row.event_type);
                if right && within(pos) {
                    found.push((pos, row.child));
                }
            }
        }
        parents = next;
    }
    Ok(found)
}

fn is(wanted: Option<&str>, value: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == value)
}

/// What is told of an event's relations along with it.
#[derive(Debug, Clone, Default)]
pub struct Bundle {
    /// The newest edit.
    pub edit: Option<Stored>,
    /// Its thread.
    pub thread: Option<Thread>,
    /// The events that refer to it, oldest first.
    pub references: Vec<String>,
}

/// A thread in short.
#[derive(Debug, Clone)]
pub struct Thread {
    /// How many events it has beside its root.
    pub count: u64,
    /// The newest.
    pub latest: Stored,
    /// Whether the viewer has taken part.
    pub participated: bool,
}

impl Bundle {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edit.is_none() && self.thread.is_none() && self.references.is_empty()
    }
}

/// How many references are told.
const REFERENCES: usize = 100;

/// The bundles of many events, in their order; most have none, and finding that out is one lookup for all.
/// Events of users in `ignored` do not count.
pub fn bundles<E: Borrow<Stored>>(
    s: &Snapshot,
    viewer: Option<UserNo>,
    events: &[E],
    ignored: &HashSet<UserNo>,
) -> Result<Vec<Option<Bundle>>> {
    let numbers: Vec<EventNo> = events.iter().map(|event| event.borrow().no()).collect();
    let related = s.get_many(tables::RELATED, &numbers)?;
    let pairs = events.iter().zip(related);
    pairs
        .map(|(event, related)| match related {
            Some(related) => {
                let bundle = bundle(s, viewer, event.borrow(), &related, ignored)?;
                Ok((!bundle.is_empty()).then_some(bundle))
            }
            None => Ok(None),
        })
        .collect()
}

fn bundle(
    s: &Snapshot,
    viewer: Option<UserNo>,
    event: &Stored,
    related: &RelatedRow,
    ignored: &HashSet<UserNo>,
) -> Result<Bundle> {
    // A redacted event keeps its thread, but there is nothing left to edit.
    let edit = match related.edit {
        Some(edit) if event.redacted_by().is_none() && !ignored.contains(&event.sender_no()) => {
            Some(Stored::get(s, edit)?)
        }
        _ => None,
    };
    Ok(Bundle {
        edit,
        thread: thread(s, viewer, event, related, ignored)?,
        references: references(s, event.no(), related)?,
    })
}

fn thread(
    s: &Snapshot,
    viewer: Option<UserNo>,
    root: &Stored,
    related: &RelatedRow,
    ignored: &HashSet<UserNo>,
) -> Result<Option<Thread>> {
    let Some(mut latest) = related.thread_latest else {
        return Ok(None);
    };
    let mut count = related.thread_count;
    let mut participated = viewer == Some(root.sender_no());
    if let Some(viewer) = viewer
        && !participated
    {
        participated = s.contains(tables::PARTICIPANTS, &(root.no(), viewer))?;
    }
    if !ignored.is_empty() {
        match without(s, root.no(), ignored, &mut count)? {
            Some(newest) => latest = newest,
            None => return Ok(None),
        }
    }
    Ok(Some(Thread {
        count,
        latest: Stored::get(s, latest)?,
        participated,
    }))
}

/// The newest event of a thread that is not from somebody ignored, and how many are left without theirs.
fn without(
    s: &Snapshot,
    root: EventNo,
    ignored: &HashSet<UserNo>,
    count: &mut u64,
) -> Result<Option<EventNo>> {
    for user in ignored {
        let theirs = s.get(tables::PARTICIPANTS, &(root, *user))?;
        *count = count.saturating_sub(theirs.unwrap_or_default());
    }
    let prefix = (root, Kind::Thread.code());
    let mut newest = s.prefix(tables::RELATIONS, &prefix, Order::Backward);
    let newest = newest.find(|row| !matches!(row, Ok((_, row)) if ignored.contains(&row.sender)));
    Ok(newest.transpose()?.map(|(_, row)| row.child))
}

fn references(s: &Snapshot, event: EventNo, related: &RelatedRow) -> Result<Vec<String>> {
    if related.references == 0 {
        return Ok(Vec::new());
    }
    let rows = s.prefix(
        tables::RELATIONS,
        &(event, Kind::Reference.code()),
        Order::Forward,
    );
    let numbers: Vec<EventNo> = rows
        .take(REFERENCES)
        .map(|row| Ok(row?.1.child))
        .collect::<Result<_>>()?;
    let events = Stored::get_many(s, &numbers)?;
    Ok(events
        .iter()
        .map(|event| event.event_id().to_owned())
        .collect())
}

/// The root of the thread that an event belongs to; none for the main timeline. Events that relate to one in a thread, such as
/// reactions, belong where that one does.
pub fn thread_of(s: &Snapshot, event: &Stored) -> Result<Option<EventNo>> {
    let Some((mut parent, rel_type)) = event.relates_to() else {
        return Ok(None);
    };
    if Kind::of(rel_type) == Kind::Thread {
        return Ok(Some(parent));
    }
    for _ in 0..DEPTH {
        let Some(row) = s.get(tables::EVENTS, &parent)? else {
            return Ok(None);
        };
        let above = Stored::new(parent, row);
        match above.relates_to() {
            Some((root, rel_type)) if Kind::of(rel_type) == Kind::Thread => return Ok(Some(root)),
            Some((next, _)) => parent = next,
            None => return Ok(None),
        }
    }
    Ok(None)
}
