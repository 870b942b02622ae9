//! Spaces as trees of rooms (client-server API, *Spaces*), as far as their rooms are known here.

use std::collections::HashSet;

use ruma::{OwnedRoomId, RoomId, ServerName, UserId};
use serde::{Deserialize, Serialize};
use store::{RoomNo, Snapshot, UserNo};

use crate::change::in_one_of;
use crate::error::{Error, Result};
use crate::members;
use crate::membership::Membership;
use crate::shown::SpaceRoom;
use crate::state::now;
use crate::stored::Stored;
use crate::summary::{self, Summary};
use crate::{acl, servers};

/// How deep a tree is followed, whatever is asked for.
const DEPTH: usize = 50;
/// How many rooms are looked at for one answer.
const LOOKED_AT: usize = 5_000;

/// Which part of a tree is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Only children that their space suggests.
    pub suggested_only: bool,
    /// How deep below the first room.
    pub max_depth: Option<usize>,
    /// How many rooms to pass over.
    pub skip: usize,
    /// How many rooms at most.
    pub limit: usize,
}

/// A room of a tree.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its number.
    pub room: RoomNo,
    /// Its ID.
    pub room_id: OwnedRoomId,
    /// What lists show of it.
    pub summary: Summary,
    /// Its `m.space.child` events that point somewhere.
    pub children: Vec<Stored>,
}

/// Rooms of a tree, each space before what is below it.
#[derive(Debug, Clone)]
pub struct Page {
    /// The rooms.
    pub rooms: Vec<Node>,
    /// Whether there are more.
    pub more: bool,
}

/// The tree below a room, as far as the user may know of its rooms.
pub fn walk(s: &Snapshot, root: RoomNo, user: &UserId, wanted: &Wanted) -> Result<Page> {
    if !may_know(s, root, Some(user))? {
        return Err(Error::NoSuchRoom);
    }
    let max_depth = wanted.max_depth.unwrap_or(DEPTH).min(DEPTH);
    let mut page = Page {
        rooms: Vec::new(),
        more: false,
    };
    let (mut seen, mut skipped) = (HashSet::from([root]), 0);
    // What is to be visited next stands last.
    let mut stack = vec![(root, 0)];
    while let Some((room, depth)) = stack.pop() {
        let summary = summary::of(s, room)?;
        let children = if summary.room_type.as_deref() == Some("m.space") {
            children(s, room, wanted.suggested_only)?
        } else {
            Vec::new()
        };
        if depth < max_depth {
            for child in children.iter().rev() {
                if let Some(child) = known(s, child)?
                    && seen.len() < LOOKED_AT
                    && may_know(s, child, Some(user))?
                    && seen.insert(child)
                {
                    stack.push((child, depth + 1));
                }
            }
        }
        if skipped < wanted.skip {
            skipped += 1;
        } else if page.rooms.len() == wanted.limit {
            page.more = true;
            break;
        } else {
            page.rooms.push(Node {
                room,
                room_id: s.room_id(room)?,
                summary,
                children,
            });
        }
    }
    Ok(page)
}

/// Whether somebody may know of a room without being in it: it is open to them, or they are expected there (client-server API,
/// *Room summaries*; server-server API, *Spaces*).
pub fn may_know(s: &Snapshot, room: RoomNo, user: Option<&UserId>) -> Result<bool> {
    let summary = summary::of(s, room)?;
    let open = matches!(
        summary.join_rule.as_deref(),
        Some("public" | "knock" | "knock_restricted")
    );
    if open || summary.history_visibility.as_deref() == Some("world_readable") {
        return Ok(true);
    }
    let Some(user) = user else {
        return Ok(false);
    };
    if is_expected(s, room, s.user_no(user)?)? {
        return Ok(true);
    }
    let restricted = summary.join_rule.as_deref() == Some("restricted");
    Ok(restricted && in_one_of(s, user, &summary.allowed_rooms)?)
}

/// A space as another server is told of it.
#[derive(Debug, Serialize)]
pub struct ForServer {
    room: SpaceRoom,
    /// Those children of which somebody there may know.
    children: Vec<SpaceRoom>,
    /// The others that we have.
    inaccessible_children: Vec<OwnedRoomId>,
}

/// How many children another server is told of.
const CHILDREN: usize = 1_000;

/// A room and its children, as far as somebody of another server may know of them.
///
/// # Errors
/// [`Error::NoSuchRoom`] if nobody there may know of the room itself.
pub fn for_server(
    s: &Snapshot,
    room: RoomNo,
    server: &ServerName,
    suggested_only: bool,
) -> Result<ForServer> {
    if !server_may_know(s, room, server)? {
        return Err(Error::NoSuchRoom);
    }
    let root = node(s, room, suggested_only)?;
    let (mut shown, mut inaccessible) = (Vec::new(), Vec::new());
    for child in root.children.iter().take(CHILDREN) {
        let Some(child) = known(s, child)? else {
            continue;
        };
        if server_may_know(s, child, server)? {
            shown.push(SpaceRoom::of(s, node(s, child, suggested_only)?)?);
        } else {
            inaccessible.push(s.room_id(child)?);
        }
    }
    Ok(ForServer {
        room: SpaceRoom::of(s, root)?,
        children: shown,
        inaccessible_children: inaccessible,
    })
}

fn node(s: &Snapshot, room: RoomNo, suggested_only: bool) -> Result<Node> {
    let summary = summary::of(s, room)?;
    let children = if summary.room_type.as_deref() == Some("m.space") {
        children(s, room, suggested_only)?
    } else {
        Vec::new()
    };
    Ok(Node {
        room,
        room_id: s.room_id(room)?,
        summary,
        children,
    })
}

/// Whether somebody of a server may know of a room: it is open to all, some of them are in it or in a room whose members it lets in, and the
/// room does not shut their server out.
fn server_may_know(s: &Snapshot, room: RoomNo, server: &ServerName) -> Result<bool> {
    if !acl::allows(s, room, server)? {
        return Ok(false);
    }
    if servers::is_in(s, room, server)? || may_know(s, room, None)? {
        return Ok(true);
    }
    let summary = summary::of(s, room)?;
    if summary.join_rule.as_deref() != Some("restricted") {
        return Ok(false);
    }
    for allowed in &summary.allowed_rooms {
        let Ok(allowed) = <&RoomId>::try_from(allowed.as_str()) else {
            continue;
        };
        let Some(allowed) = s.room_no(allowed)? else {
            continue;
        };
        if servers::is_in(s, allowed, server)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_expected(s: &Snapshot, room: RoomNo, user: Option<UserNo>) -> Result<bool> {
    let Some(user) = user else {
        return Ok(false);
    };
    let standing = members::standing(s, room, user)?;
    Ok(standing.is_some_and(|standing| {
        matches!(
            standing.membership,
            Membership::Join | Membership::Invite | Membership::Knock
        )
    }))
}

#[derive(Deserialize)]
struct Child {
    via: Option<Vec<String>>,
    order: Option<String>,
    #[serde(default)]
    suggested: bool,
}

/// The children of a space, in the order that it gives them (client-server API, *Ordering of children within a space*).
fn children(s: &Snapshot, space: RoomNo, suggested_only: bool) -> Result<Vec<Stored>> {
    let events = now::of_type(s, space, "m.space.child")?;
    let mut found: Vec<_> = events
        .into_iter()
        .filter_map(|event| {
            let child: Child = event.content()?;
            child.via.filter(|via| !via.is_empty())?;
            if suggested_only && !child.suggested {
                return None;
            }
            let order = child.order.filter(|order| is_order(order));
            let key = (
                order.is_none(),
                order.unwrap_or_default(),
                event.origin_server_ts(),
                event.state_key()?.into_owned(),
            );
            Some((key, event))
        })
        .collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found.into_iter().map(|(_, event)| event).collect())
}

/// An order is up to 50 printable characters of ASCII; anything else is none.
fn is_order(order: &str) -> bool {
    order.len() <= 50 && order.bytes().all(|byte| (0x20..=0x7E).contains(&byte))
}

/// The room that a child event points to, if we have it.
fn known(s: &Snapshot, child: &Stored) -> Result<Option<RoomNo>> {
    let Some(room_id) = child.state_key() else {
        return Ok(None);
    };
    let Ok(room_id) = <&RoomId>::try_from(&*room_id) else {
        return Ok(None);
    };
    match members::room(s, room_id) {
        Ok(room) => Ok(Some(room)),
        Err(Error::NoSuchRoom) => Ok(None),
        Err(error) => Err(error),
    }
}
