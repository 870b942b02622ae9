//! `/_matrix/client/v3/user/{userId}/account_data/{type}`

use ruma::UserId;
use ruma::api::client::config::{get_global_account_data, set_global_account_data};
use web::{Asked, Authed, Error, JsonBytes, Matrix, Reply};

use crate::own::own;
use crate::{App, json};

/// A piece of the user's account data.
pub(crate) async fn get(
    who: Authed,
    Matrix(ask): Matrix<get_global_account_data::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    own(&who, &ask.user_id)?;
    json::answer(
        &app.house
            .users
            .account_data(&who.user_id, None, &ask.event_type.to_string())
            .await?,
    )
}

/// Sets a piece of it.
pub(crate) async fn put(
    who: Authed,
    Matrix(ask): Matrix<set_global_account_data::v3::Request>,
    app: App,
) -> Reply<set_global_account_data::v3::Response> {
    own(&who, &ask.user_id)?;
    app.house
        .users
        .set_account_data(
            &who.user_id,
            None,
            &ask.event_type.to_string(),
            ask.data.json(),
        )
        .await?;
    Ok(set_global_account_data::v3::Response::new())
}

/// Deletes a piece of it (MSC3391).
pub(crate) async fn delete(who: Authed, asked: Asked, app: App) -> Reply<JsonBytes> {
    let [user, kind] = asked.args.as_slice() else {
        return Err(Error::not_found("There is no such account data"));
    };
    let user = <&UserId>::try_from(user.as_str())
        .map_err(|_| Error::invalid_param("This is no user ID"))?;
    own(&who, user)?;
    app.house
        .users
        .delete_account_data(&who.user_id, None, kind)
        .await?;
    Ok(JsonBytes::from("{}"))
}
