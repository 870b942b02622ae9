//! `GET /_matrix/client/v3/rooms/{roomId}/aliases`

use rooms::aliases;
use ruma::api::client::room::aliases::v3::Request;
use serde::Serialize;
use web::{Authed, JsonBytes, Matrix, Reply};

use crate::reading::Reading;
use crate::{App, json};

#[derive(Serialize)]
struct Answer {
    aliases: Vec<String>,
}

/// The aliases of ours that point to a room, for its members; for everybody where everybody may look.
pub(crate) async fn get(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    let reader = app.reader(&who)?;
    let sync = app.sync.clone();
    let aliases = app.read(move |s| {
        let reading = Reading::open(s, &sync, &reader, &ask.room_id)?;
        if !reading.eyes.is_joined() && !reading.eyes.is_peekable()? {
            return Err(rooms::Error::NotJoined.into());
        }
        Ok(aliases::of_room(s, reading.room)?)
    });
    json::answer(&Answer {
        aliases: aliases.await?,
    })
}
