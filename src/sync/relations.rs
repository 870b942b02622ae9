//! What is told of an event's relations along with it. Moves to `rooms` with the next landing of that crate.

use std::collections::HashSet;

use rooms::Stored;
use store::{EventNo, Snapshot, UserNo};

use crate::error::Result;

/// What is told of an event's relations along with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bundle {
    /// The newest edit.
    pub(crate) edit: Option<Stored>,
    /// Its thread.
    pub(crate) thread: Option<Thread>,
    /// The events that refer to it, oldest first.
    pub(crate) references: Vec<String>,
}

/// A thread in short.
#[derive(Debug, Clone)]
pub(crate) struct Thread {
    /// How many events it has beside its root.
    pub(crate) count: u64,
    /// The newest.
    pub(crate) latest: Stored,
    /// Whether the viewer has taken part.
    pub(crate) participated: bool,
}

pub(crate) fn bundles(
    _: &Snapshot,
    _: Option<UserNo>,
    events: &[&Stored],
    _: &HashSet<UserNo>,
) -> Result<Vec<Option<Bundle>>> {
    Ok(events.iter().map(|_| None).collect())
}

pub(crate) fn thread_of(s: &Snapshot, event: &Stored) -> Result<Option<EventNo>> {
    let Some((mut parent, rel_type)) = event.relates_to() else {
        return Ok(None);
    };
    if rel_type == "m.thread" {
        return Ok(Some(parent));
    }
    for _ in 0..3 {
        match Stored::get(s, parent)?.relates_to() {
            Some((root, "m.thread")) => return Ok(Some(root)),
            Some((next, _)) => parent = next,
            None => return Ok(None),
        }
    }
    Ok(None)
}
