//! The threads of a room, those with the newest events first (client-server API, *Querying threads in a room*).

use store::{Order, Pos, RoomNo, Snapshot, tables};

use crate::error::Result;
use crate::stored::Stored;
use crate::visibility::Viewer;

/// Which threads are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    /// All.
    All,
    /// Those in which the viewer has taken part.
    Participated,
}

/// How many threads are looked at for one answer.
const LOOKED_AT: usize = 2_000;

/// The roots of threads, and where to go on.
#[derive(Debug, Clone)]
pub struct Page {
    /// The roots.
    pub roots: Vec<Stored>,
    /// The place behind the last one; none if there are no more.
    pub next: Option<Pos>,
}

/// Up to `limit` threads from a place on.
pub fn list(
    s: &Snapshot,
    viewer: &Viewer<'_>,
    room: RoomNo,
    include: Include,
    from: Option<Pos>,
    limit: usize,
) -> Result<Page> {
    let range = (room, Pos::ZERO)..=(room, from.unwrap_or(Pos::MAX));
    let mut page = Page {
        roots: Vec::new(),
        next: None,
    };
    for (looked, row) in s.scan(tables::THREADS, range, Order::Backward).enumerate() {
        let ((_, pos), root) = row?;
        if page.roots.len() == limit || looked == LOOKED_AT {
            page.next = Some(pos);
            break;
        }
        let root = Stored::get(s, root)?;
        let right = match (include, viewer.user()) {
            (Include::All, _) => true,
            (Include::Participated, Some(user)) => {
                root.sender_no() == user || s.contains(tables::PARTICIPANTS, &(root.no(), user))?
            }
            (Include::Participated, None) => false,
        };
        if right && viewer.sees(&root)? {
            page.roots.push(root);
        }
    }
    Ok(page)
}
