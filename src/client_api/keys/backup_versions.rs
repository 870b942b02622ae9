//! `/_matrix/client/v3/room_keys/version…`

use ruma::api::client::backup::{
    BackupAlgorithm, create_backup_version, delete_backup_version, get_backup_info,
    get_latest_backup_info, update_backup_version,
};
use ruma::serde::Raw;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use users::key_backup::Backup;
use web::{Authed, JsonBytes, Matrix, Reply};

use crate::{App, json};

/// How the keys of a version are encrypted.
#[derive(Deserialize)]
struct Method {
    algorithm: String,
    auth_data: Box<RawValue>,
}

impl Method {
    fn read(raw: &Raw<BackupAlgorithm>) -> Result<Self, web::Error> {
        json::read(raw.json(), "the backup version")
    }
}

#[derive(Serialize)]
struct Shown {
    algorithm: String,
    auth_data: Box<RawValue>,
    count: u64,
    etag: String,
    version: String,
}

impl From<Backup> for Shown {
    fn from(backup: Backup) -> Self {
        let Backup {
            version,
            algorithm,
            auth_data,
            state,
        } = backup;
        Self {
            algorithm,
            auth_data,
            count: state.count,
            etag: state.etag,
            version,
        }
    }
}

/// Begins a new version.
pub(crate) async fn post(
    who: Authed,
    Matrix(ask): Matrix<create_backup_version::v3::Request>,
    app: App,
) -> Reply<create_backup_version::v3::Response> {
    let method = Method::read(&ask.algorithm)?;
    let version = app
        .house
        .users
        .create_backup(&who.user_id, method.algorithm, method.auth_data)
        .await?;
    Ok(create_backup_version::v3::Response::new(version))
}

/// The newest version.
pub(crate) async fn latest(
    who: Authed,
    Matrix(_): Matrix<get_latest_backup_info::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    json::answer(&Shown::from(
        app.house.users.backup(&who.user_id, None).await?,
    ))
}

/// A version.
pub(crate) async fn get(
    who: Authed,
    Matrix(ask): Matrix<get_backup_info::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    json::answer(&Shown::from(
        app.house
            .users
            .backup(&who.user_id, Some(&ask.version))
            .await?,
    ))
}

/// Changes what is known about a version.
pub(crate) async fn put(
    who: Authed,
    Matrix(ask): Matrix<update_backup_version::v3::Request>,
    app: App,
) -> Reply<update_backup_version::v3::Response> {
    let method = Method::read(&ask.algorithm)?;
    app.house
        .users
        .update_backup(
            &who.user_id,
            &ask.version,
            &method.algorithm,
            method.auth_data,
        )
        .await?;
    Ok(update_backup_version::v3::Response::new())
}

/// Deletes a version with its keys.
pub(crate) async fn delete(
    who: Authed,
    Matrix(ask): Matrix<delete_backup_version::v3::Request>,
    app: App,
) -> Reply<delete_backup_version::v3::Response> {
    app.house
        .users
        .delete_backup(&who.user_id, &ask.version)
        .await?;
    Ok(delete_backup_version::v3::Response::new())
}
