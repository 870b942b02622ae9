//! `GET /_matrix/client/v3/rooms/{roomId}/joined_members`

use std::collections::BTreeMap;

use rooms::{Membership, members};
use ruma::OwnedUserId;
use ruma::api::client::membership::joined_members::v3::Request;
use serde::Serialize;
use web::{Authed, JsonBytes, Matrix, Reply};

use crate::reading::Reading;
use crate::{App, json};

#[derive(Serialize)]
struct Answer {
    joined: BTreeMap<OwnedUserId, Member>,
}

#[derive(Serialize)]
struct Member {
    display_name: Option<String>,
    avatar_url: Option<String>,
}

/// Who is in a room, for those who are in it themselves.
pub(crate) async fn get(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    let reader = app.reader(&who)?;
    let sync = app.sync.clone();
    let joined = app.read(move |s| {
        let reading = Reading::open(s, &sync, &reader, &ask.room_id)?;
        if !reading.eyes.is_joined() {
            return Err(rooms::Error::NotJoined.into());
        }
        let mut joined = BTreeMap::new();
        for member in members::list(s, reading.room, Membership::Join) {
            let user = member?.user;
            if let Some(standing) = members::standing(s, reading.room, user)? {
                joined.insert(
                    s.user_id(user)?,
                    Member {
                        display_name: standing.display_name,
                        avatar_url: standing.avatar_url,
                    },
                );
            }
        }
        Ok(joined)
    });
    json::answer(&Answer {
        joined: joined.await?,
    })
}
