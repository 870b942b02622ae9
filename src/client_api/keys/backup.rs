//! `/_matrix/client/v3/room_keys/keys…`: all keys of a backup, those of a room, or one.

use std::collections::BTreeMap;

use ruma::OwnedRoomId;
use ruma::api::client::backup::{
    KeyBackupData, add_backup_keys, add_backup_keys_for_room, add_backup_keys_for_session,
    delete_backup_keys, delete_backup_keys_for_room, delete_backup_keys_for_session,
    get_backup_keys, get_backup_keys_for_room, get_backup_keys_for_session,
};
use ruma::serde::Raw;
use serde::Serialize;
use users::key_backup::{BackupState, RoomKey, RoomKeys, Which};
use web::{Authed, JsonBytes, Matrix, Reply};

use crate::{App, json};

type Sessions = BTreeMap<String, RoomKey>;

#[derive(Serialize)]
struct Changed {
    etag: String,
    count: u64,
}

#[derive(Serialize)]
struct Room {
    sessions: Sessions,
}

#[derive(Serialize)]
struct Rooms {
    rooms: BTreeMap<OwnedRoomId, Room>,
}

fn changed(state: BackupState) -> Reply<JsonBytes> {
    json::answer(&Changed {
        etag: state.etag,
        count: state.count,
    })
}

fn sessions(raw: BTreeMap<String, Raw<KeyBackupData>>) -> Result<Sessions, web::Error> {
    raw.into_iter()
        .map(|(session, key)| Ok((session, json::read(key.json(), "a key")?)))
        .collect()
}

async fn add(who: &users::Identity, app: &App, version: &str, keys: RoomKeys) -> Reply<JsonBytes> {
    changed(
        app.house
            .users
            .put_backed_up_keys(&who.user_id, version, keys)
            .await?,
    )
}

async fn remove(who: &users::Identity, app: &App, version: &str, which: Which) -> Reply<JsonBytes> {
    changed(
        app.house
            .users
            .delete_backed_up_keys(&who.user_id, version, which)
            .await?,
    )
}

/// Adds keys of many rooms.
pub(crate) async fn put_all(
    who: Authed,
    Matrix(ask): Matrix<add_backup_keys::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    let keys = ask
        .rooms
        .into_iter()
        .map(|(room, backup)| Ok((room, sessions(backup.sessions)?)));
    add(
        &who,
        &app,
        &ask.version,
        keys.collect::<Result<_, web::Error>>()?,
    )
    .await
}

/// Adds keys of one room.
pub(crate) async fn put_room(
    who: Authed,
    Matrix(ask): Matrix<add_backup_keys_for_room::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    add(
        &who,
        &app,
        &ask.version,
        RoomKeys::from([(ask.room_id, sessions(ask.sessions)?)]),
    )
    .await
}

/// Adds one key.
pub(crate) async fn put_session(
    who: Authed,
    Matrix(ask): Matrix<add_backup_keys_for_session::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    let keys = sessions(BTreeMap::from([(ask.session_id, ask.session_data)]))?;
    add(
        &who,
        &app,
        &ask.version,
        RoomKeys::from([(ask.room_id, keys)]),
    )
    .await
}

/// All keys.
pub(crate) async fn get_all(
    who: Authed,
    Matrix(ask): Matrix<get_backup_keys::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    let keys = app
        .house
        .users
        .backed_up_keys(&who.user_id, &ask.version, Which::All)
        .await?;
    json::answer(&Rooms {
        rooms: keys
            .into_iter()
            .map(|(room, sessions)| (room, Room { sessions }))
            .collect(),
    })
}

/// The keys of one room; none is an answer, too.
pub(crate) async fn get_room(
    who: Authed,
    Matrix(ask): Matrix<get_backup_keys_for_room::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    let mut keys = app
        .house
        .users
        .backed_up_keys(&who.user_id, &ask.version, Which::Room(ask.room_id.clone()))
        .await?;
    json::answer(&Room {
        sessions: keys.remove(&ask.room_id).unwrap_or_default(),
    })
}

/// One key.
pub(crate) async fn get_session(
    who: Authed,
    Matrix(ask): Matrix<get_backup_keys_for_session::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    json::answer(
        &app.house
            .users
            .backed_up_key(&who.user_id, &ask.version, &ask.room_id, &ask.session_id)
            .await?,
    )
}

/// Deletes all keys.
pub(crate) async fn delete_all(
    who: Authed,
    Matrix(ask): Matrix<delete_backup_keys::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    remove(&who, &app, &ask.version, Which::All).await
}

/// Deletes the keys of one room.
pub(crate) async fn delete_room(
    who: Authed,
    Matrix(ask): Matrix<delete_backup_keys_for_room::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    remove(&who, &app, &ask.version, Which::Room(ask.room_id)).await
}

/// Deletes one key.
pub(crate) async fn delete_session(
    who: Authed,
    Matrix(ask): Matrix<delete_backup_keys_for_session::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    remove(
        &who,
        &app,
        &ask.version,
        Which::Session(ask.room_id, ask.session_id),
    )
    .await
}
