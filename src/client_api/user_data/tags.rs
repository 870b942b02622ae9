//! `/_matrix/client/v3/user/{userId}/rooms/{roomId}/tags…`

use ruma::api::client::tag::{create_tag, delete_tag, get_tags};
use serde::Serialize;
use users::account_data::Tags;
use web::{Asked, Authed, JsonBytes, Matrix, Reply};

use crate::own::own;
use crate::{App, json};

#[derive(Serialize)]
struct Answer {
    tags: Tags,
}

/// The user's tags of a room.
pub(crate) async fn get(
    who: Authed,
    Matrix(ask): Matrix<get_tags::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    own(&who, &ask.user_id)?;
    json::answer(&Answer {
        tags: app.house.users.tags(&who.user_id, &ask.room_id).await?,
    })
}

/// Tags a room. What the client notes for the tag is kept as it came.
pub(crate) async fn put(
    who: Authed,
    asked: Asked,
    Matrix(ask): Matrix<create_tag::v3::Request>,
    app: App,
) -> Reply<create_tag::v3::Response> {
    own(&who, &ask.user_id)?;
    let info =
        serde_json::value::to_raw_value(&json::body(&asked.body)?).map_err(web::Error::internal)?;
    app.house
        .users
        .set_tag(&who.user_id, &ask.room_id, &ask.tag, info)
        .await?;
    Ok(create_tag::v3::Response::new())
}

/// Takes a tag away.
pub(crate) async fn delete(
    who: Authed,
    Matrix(ask): Matrix<delete_tag::v3::Request>,
    app: App,
) -> Reply<delete_tag::v3::Response> {
    own(&who, &ask.user_id)?;
    app.house
        .users
        .delete_tag(&who.user_id, &ask.room_id, &ask.tag)
        .await?;
    Ok(delete_tag::v3::Response::new())
}
