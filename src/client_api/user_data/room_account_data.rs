//! `/_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`

use ruma::api::client::config::{get_room_account_data, set_room_account_data};
use ruma::{RoomId, UserId};
use web::{Asked, Authed, Error, JsonBytes, Matrix, Reply};

use crate::own::own;
use crate::{App, json};

/// A piece of the user's data about a room.
pub(crate) async fn get(
    who: Authed,
    Matrix(ask): Matrix<get_room_account_data::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    own(&who, &ask.user_id)?;
    json::answer(
        &app.house
            .users
            .account_data(
                &who.user_id,
                Some(&ask.room_id),
                &ask.event_type.to_string(),
            )
            .await?,
    )
}

/// Sets a piece of it.
pub(crate) async fn put(
    who: Authed,
    Matrix(ask): Matrix<set_room_account_data::v3::Request>,
    app: App,
) -> Reply<set_room_account_data::v3::Response> {
    own(&who, &ask.user_id)?;
    app.house
        .users
        .set_account_data(
            &who.user_id,
            Some(&ask.room_id),
            &ask.event_type.to_string(),
            ask.data.json(),
        )
        .await?;
    Ok(set_room_account_data::v3::Response::new())
}

/// Deletes a piece of it (MSC3391).
pub(crate) async fn delete(who: Authed, asked: Asked, app: App) -> Reply<JsonBytes> {
    let [user, room, kind] = asked.args.as_slice() else {
        return Err(Error::not_found("There is no such account data"));
    };
    let user = <&UserId>::try_from(user.as_str())
        .map_err(|_| Error::invalid_param("This is no user ID"))?;
    let room = <&RoomId>::try_from(room.as_str())
        .map_err(|_| Error::invalid_param("This is no room ID"))?;
    own(&who, user)?;
    app.house
        .users
        .delete_account_data(&who.user_id, Some(room), kind)
        .await?;
    Ok(JsonBytes::from("{}"))
}
