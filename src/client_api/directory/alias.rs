//! `/_matrix/client/v3/directory/room/{roomAlias}`

use ruma::api::client::alias::{create_alias, delete_alias, get_alias};
use web::{Authed, Matrix, Reply};

use crate::App;

/// The room that an alias points to, and the servers by which it can be joined.
pub(crate) async fn get(
    Matrix(ask): Matrix<get_alias::v3::Request>,
    app: App,
) -> Reply<get_alias::v3::Response> {
    let found = actions::resolve(&app.house, ask.room_alias.into()).await?;
    Ok(get_alias::v3::Response::new(found.room_id, found.servers))
}

/// Points an alias to a room.
pub(crate) async fn put(
    who: Authed,
    Matrix(ask): Matrix<create_alias::v3::Request>,
    app: App,
) -> Reply<create_alias::v3::Response> {
    actions::alias::create(&app.house, &who, &ask.room_alias, &ask.room_id).await?;
    Ok(create_alias::v3::Response::new())
}

/// Removes an alias.
pub(crate) async fn delete(
    who: Authed,
    Matrix(ask): Matrix<delete_alias::v3::Request>,
    app: App,
) -> Reply<delete_alias::v3::Response> {
    actions::alias::delete(&app.house, &who, &ask.room_alias).await?;
    Ok(delete_alias::v3::Response::new())
}
