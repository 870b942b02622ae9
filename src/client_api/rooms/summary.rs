//! `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}`, and its two older spellings.

use rooms::shown::Details;
use rooms::{hierarchy, members, summary};
use ruma::api::client::room::get_summary::v1::Request;
use ruma::{OwnedRoomId, OwnedRoomOrAliasId, UserId};
use serde::Serialize;
use web::{Asked, Authed, JsonBytes, Matrix, Reply};

use crate::{App, json};

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    details: Details,
    #[serde(skip_serializing_if = "Option::is_none")]
    membership: Option<&'static str>,
    /// What clients of the older spelling read.
    #[serde(
        rename = "im.nheko.summary.version",
        skip_serializing_if = "Option::is_none"
    )]
    old_version: Option<String>,
    #[serde(
        rename = "im.nheko.summary.room_version",
        skip_serializing_if = "Option::is_none"
    )]
    old_room_version: Option<String>,
    #[serde(
        rename = "im.nheko.summary.encryption",
        skip_serializing_if = "Option::is_none"
    )]
    old_encryption: Option<String>,
}

/// What somebody may know of a room before they join it.
pub(crate) async fn get(
    who: Option<Authed>,
    asked: Asked,
    Matrix(ask): Matrix<Request>,
    app: App,
) -> Reply<JsonBytes> {
    let old = asked.uri.path().contains("/im.nheko.summary/");
    told(
        who.map(|who| who.user_id.clone()),
        ask.room_id_or_alias,
        old,
        &app,
    )
    .await
}

/// The spelling that web clients try first.
pub(crate) async fn get_old(who: Option<Authed>, asked: Asked, app: App) -> Reply<JsonBytes> {
    let named = asked
        .args
        .first()
        .and_then(|arg| OwnedRoomOrAliasId::try_from(arg.as_str()).ok());
    let room =
        named.ok_or_else(|| web::Error::invalid_param("this is neither a room ID nor an alias"))?;
    told(who.map(|who| who.user_id.clone()), room, true, &app).await
}

async fn told(
    who: Option<ruma::OwnedUserId>,
    room: OwnedRoomOrAliasId,
    old: bool,
    app: &App,
) -> Reply<JsonBytes> {
    let room_id = actions::resolve(&app.house, room).await?.room_id;
    let answer = app.read(move |s| summarise(s, &room_id, who.as_deref(), old));
    json::answer(&answer.await?)
}

fn summarise(
    s: &rooms::Snapshot,
    room_id: &OwnedRoomId,
    who: Option<&UserId>,
    old: bool,
) -> Result<Answer, web::Error> {
    let room = members::room(s, room_id)?;
    if !hierarchy::may_know(s, room, who)? {
        return Err(rooms::Error::NoSuchRoom.into());
    }
    let standing = who
        .map(|who| members::standing_of(s, room, who))
        .transpose()?
        .flatten();
    let details = Details::of(s, room, room_id.clone(), summary::of(s, room)?)?;
    Ok(Answer {
        membership: who.map(|_| standing.map_or("leave", |standing| standing.membership.as_str())),
        old_version: old.then(|| details.room_version.clone()),
        old_room_version: old.then(|| details.room_version.clone()),
        old_encryption: details.encryption.clone().filter(|_| old),
        details,
    })
}
