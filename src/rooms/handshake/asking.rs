//! Asking other servers for templates and handing filled ones in: what goes over the wire, and whom to ask next when one does not
//! help.

use std::future::Future;

use event::{Pdu, Rules};
use peers::{Ask, Patience, Reply};
use ruma::{EventId, OwnedServerName, RoomId, RoomVersionId, ServerName, UserId};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use store::Snapshot;

use super::outside;
use crate::error::{Error, Result};
use crate::{Membership, Rooms, members, servers};

/// Servers that are asked, one after the other, before giving up.
const ASKED: usize = 8;

/// A template as another server proposes it. Nothing in it is believed.
#[derive(Debug, Deserialize)]
pub(super) struct Proposed {
    /// Absent means the first version there was.
    pub(super) room_version: Option<String>,
    pub(super) event: Box<RawValue>,
}

impl Rooms {
    /// A template of another server for one of ours.
    pub(super) async fn ask_template(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        (user, membership): (&UserId, Membership),
    ) -> Result<Proposed> {
        let endpoint = match membership {
            Membership::Join => "make_join",
            Membership::Knock => "make_knock",
            _ => "make_leave",
        };
        let segments = [
            "_matrix",
            "federation",
            "v1",
            endpoint,
            room_id.as_str(),
            user.as_str(),
        ];
        let mut path = peers::path(&segments);
        if membership != Membership::Leave {
            for (at, rules) in Rules::all().iter().enumerate() {
                path.push_str(if at == 0 { "?ver=" } else { "&ver=" });
                path.push_str(rules.version);
            }
        }
        let ask = Ask::get(path).patience(Patience::quick());
        self.peers().ask_json(server, ask).await.map_err(told)
    }

    /// Hands in a join; the answer is read as it arrives.
    pub(super) async fn hand_in_join(&self, server: &ServerName, join: &Pdu) -> Result<Reply> {
        let mut path = handing_in("v2", "send_join", join);
        path.push_str("?omit_members=false");
        let ask = Ask::put(path, join.json()).patience(Patience::long());
        self.peers().ask_stream(server, ask).await.map_err(told)
    }

    /// Hands in a departure.
    pub(super) async fn hand_in_leave(&self, server: &ServerName, leave: &Pdu) -> Result<()> {
        let path = handing_in("v2", "send_leave", leave);
        let ask = Ask::put(path, leave.json()).patience(Patience::quick());
        self.peers().ask(server, ask).await.map_err(told)?;
        Ok(())
    }

    /// Hands in a knock; tells what outsiders may know of the room.
    pub(super) async fn hand_in_knock(
        &self,
        server: &ServerName,
        knock: &Pdu,
    ) -> Result<Vec<Box<RawValue>>> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            knock_room_state: Vec<Box<RawValue>>,
        }
        let path = handing_in("v1", "send_knock", knock);
        let ask = Ask::put(path, knock.json()).patience(Patience::quick());
        let answer: Answer = self.peers().ask_json(server, ask).await.map_err(told)?;
        Ok(answer.knock_room_state)
    }

    /// The servers that may help with a room: those that were named, and those that we know to be, or to have been, in it.
    pub(super) async fn helpers(
        &self,
        room_id: &RoomId,
        user: &UserId,
        via: &[OwnedServerName],
    ) -> Result<Vec<OwnedServerName>> {
        let (room, user) = (room_id.to_owned(), user.to_owned());
        let known = self
            .store()
            .read(move |s| known_helpers(s, &room, &user))
            .await?;
        let mut found: Vec<OwnedServerName> = Vec::new();
        let of_room = room_id.server_name().map(ToOwned::to_owned);
        for server in via.iter().cloned().chain(known).chain(of_room) {
            if server != self.server_name() && !found.contains(&server) {
                found.push(server);
            }
        }
        found.truncate(ASKED);
        if found.is_empty() {
            return Err(Error::NobodyToAsk);
        }
        Ok(found)
    }

    /// Asks one server after the other until one helps. What the first refusal says is told if none does, rather than that
    /// others could not be reached.
    pub(super) async fn first_of<'a, T, F: Future<Output = Result<T>>>(
        &self,
        servers: &'a [OwnedServerName],
        ask: impl Fn(&'a ServerName) -> F,
    ) -> Result<T> {
        let mut worst: Option<Error> = None;
        for server in servers {
            let error = match ask(server).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            tracing::debug!(%server, %error, "a server does not help with a room");
            if is_final(&error) {
                return Err(error);
            }
            let is_better = match &worst {
                None => true,
                Some(before) => rank(&error) > rank(before),
            };
            if is_better {
                worst = Some(error);
            }
        }
        Err(worst.unwrap_or(Error::NobodyToAsk))
    }
}

fn handing_in(version: &str, endpoint: &str, pdu: &Pdu) -> String {
    let (room_id, event_id): (&RoomId, &EventId) = (pdu.room_id(), pdu.event_id());
    peers::path(&[
        "_matrix",
        "federation",
        version,
        endpoint,
        room_id.as_str(),
        event_id.as_str(),
    ])
}

fn known_helpers(s: &Snapshot, room_id: &RoomId, user: &UserId) -> Result<Vec<OwnedServerName>> {
    let mut found = Vec::new();
    if let Some(remembered) = outside::remembered(s, room_id, user)? {
        found.extend(remembered.servers);
    }
    let Ok(room) = members::room(s, room_id) else {
        return Ok(found);
    };
    found.extend(servers::in_room(s, room)?);
    Ok(found)
}

/// Whether there is no use in asking others, because the trouble is ours. A refusal is not final: one server that lies, or knows less than
/// others, must not keep anybody out.
fn is_final(error: &Error) -> bool {
    matches!(
        error,
        Error::Store(_) | Error::Bug(_) | Error::Busy | Error::TooLarge(_) | Error::BadEvent(_)
    )
}

/// How much an error tells whoever asked.
fn rank(error: &Error) -> u8 {
    match error {
        Error::Refused { status: 404, .. } => 1,
        Error::Refused { .. } => 3,
        Error::Misbehaved { .. } | Error::UnsupportedVersion(_) => 2,
        _ => 0,
    }
}

/// What became of asking another server, in our words.
pub(super) fn told(error: peers::Error) -> Error {
    let is_refusal = error.is_remote_refusal();
    match error {
        peers::Error::Answered {
            server,
            status,
            errcode,
            error,
            body,
        } if is_refusal => {
            // Only who refuses because of the room's version names it.
            if let Some(version) = room_version(&body) {
                return Error::UnsupportedVersion(version);
            }
            Error::Refused {
                server,
                status,
                errcode,
                error,
            }
        }
        peers::Error::Malformed { server, why } => Error::Misbehaved { server, why },
        peers::Error::TooLarge { server, limit } => Error::Misbehaved {
            server,
            why: format!("it is longer than {limit} bytes"),
        },
        peers::Error::Store(error) => Error::Store(error),
        other => Error::Unreachable(other.to_string()),
    }
}

fn room_version(body: &[u8]) -> Option<RoomVersionId> {
    let body: Value = serde_json::from_slice(body).ok()?;
    RoomVersionId::try_from(body.get("room_version")?.as_str()?).ok()
}
