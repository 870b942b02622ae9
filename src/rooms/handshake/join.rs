//! Joining a room through another server: a template, our own event on it, the room in return. Nothing of the room is seen here
//! before all of it is (`intake/import.rs`), and nothing is left of an attempt that fails.

use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName};
use serde_json::{Map, Value};
use store::{Pos, Snapshot};

use super::arrival::Arrived;
use super::fill::{Filled, Want};
use super::outside::{self, is_resident};
use crate::ask::Change;
use crate::error::{Error, Result};
use crate::intake::Import;
use crate::{Membership, Rooms, members, summary};

/// How often a join is handed in at one server when the answer gets lost: it is the same event, which counts once.
const TIMES: usize = 2;

/// A room to be joined through other servers.
#[derive(Debug, Clone)]
pub struct JoinRemote {
    /// Which.
    pub room_id: OwnedRoomId,
    /// Who of ours.
    pub user: OwnedUserId,
    /// Servers that may be in it; those that we know of are asked as well.
    pub via: Vec<OwnedServerName>,
    /// What the membership says beside `join`.
    pub content: Map<String, Value>,
}

/// A room in which one of ours is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Where the join is visible.
    pub pos: Pos,
}

impl Rooms {
    /// Whether a change of one of ours in a room has to go through another server: the room is unknown here, or none of ours is in it while others are.
    pub async fn is_elsewhere(&self, room_id: &RoomId) -> Result<bool> {
        let room_id = room_id.to_owned();
        self.store().read(move |s| is_elsewhere(s, &room_id)).await
    }

    /// Joins a room through other servers. Several joins of one room wait for each other, and those that come later find the
    /// room here.
    ///
    /// # Errors
    /// [`Error::NobodyToAsk`] if no server is known, [`Error::Refused`] with what the room's servers say,
    /// [`Error::Misbehaved`] if what they send is no room, [`Error::Unreachable`] if none of them answers.
    pub async fn join_remote(&self, ask: JoinRemote) -> Result<Joined> {
        let (rooms, room_id) = (self.clone(), ask.room_id.clone());
        self.lanes()
            .arrivals
            .run(room_id, async move { rooms.join_in_turn(ask).await })
            .await
    }

    async fn join_in_turn(&self, ask: JoinRemote) -> Result<Joined> {
        let room_id = ask.room_id.clone();
        let resident = self.store().read(move |s| is_resident(s, &room_id)).await?;
        if resident {
            match self.join_here(&ask).await {
                Err(Error::UnableToAuthorise | Error::UnableToGrant) => {}
                settled => return settled,
            }
        }
        let servers = self.helpers(&ask.room_id, &ask.user, &ask.via).await?;
        let ask = &ask;
        self.first_of(&servers, |server| self.join_via(server, ask))
            .await
    }

    async fn join_here(&self, ask: &JoinRemote) -> Result<Joined> {
        let change = Change {
            room_id: ask.room_id.clone(),
            sender: ask.user.clone(),
            target: ask.user.clone(),
            membership: Membership::Join,
            only_from: &[],
            content: ask.content.clone(),
            timestamp: None,
        };
        let sent = self.change_membership(change).await?;
        Ok(Joined {
            room_id: ask.room_id.clone(),
            pos: sent.pos,
        })
    }

    async fn join_via(&self, server: &ServerName, ask: &JoinRemote) -> Result<Joined> {
        let want = Want {
            room_id: &ask.room_id,
            user: &ask.user,
            membership: Membership::Join,
            content: &ask.content,
        };
        let proposed = self
            .ask_template(server, &ask.room_id, (&ask.user, Membership::Join))
            .await?;
        let filled = self.fill(server, want, &proposed)?;
        let Arrived {
            rules,
            auth_chain,
            state,
            join,
        } = self.walk_in(server, filled).await?;
        tracing::info!(room = %ask.room_id, %server, state = state.len(), auth_chain = auth_chain.len(), "joining a room through another server");
        let import = Import {
            room_id: ask.room_id.clone(),
            version: rules.room_version(),
            auth_chain,
            state,
            event: join,
        };
        let imported = self.import(import).await?;
        self.tidy_outside(&ask.room_id).await?;
        Ok(Joined {
            room_id: ask.room_id.clone(),
            pos: imported.pos,
        })
    }

    /// Hands the join in and reads the room, and does so again if the answer got lost.
    async fn walk_in(&self, server: &ServerName, filled: Filled) -> Result<Arrived> {
        let mut lost = Error::NobodyToAsk;
        for _ in 0..TIMES {
            let arrived = match self.hand_in_join(server, &filled.pdu).await {
                Ok(reply) => self.arrive(server.to_owned(), filled.clone(), reply).await,
                Err(error) => Err(error),
            };
            match arrived {
                Err(error @ Error::Unreachable(_)) => lost = error,
                settled => return settled,
            }
        }
        Err(lost)
    }

    /// Forgets what was known from outside of a room that tells it itself now.
    async fn tidy_outside(&self, room_id: &RoomId) -> Result<()> {
        let (rooms, room) = (self.clone(), room_id.to_owned());
        let work = async move {
            let id = room.clone();
            let tidied = rooms.store().write(move |tx| outside::tidy(tx, &id)).await;
            rooms.lanes().drop_head(&room);
            tidied.map(drop)
        };
        self.lanes().lanes.run(room_id.to_owned(), work).await
    }
}

fn is_elsewhere(s: &Snapshot, room_id: &RoomId) -> Result<bool> {
    match members::room(s, room_id) {
        Ok(room) => {
            let summary = summary::of(s, room)?;
            // A room that everybody has left is here as much as anywhere.
            Ok(summary.joined_here == 0 && summary.joined > 0)
        }
        Err(Error::NoSuchRoom) => Ok(true),
        Err(error) => Err(error),
    }
}
