//! `/_matrix/client/v3/presence/{userId}/status`

use std::time::Duration;

use ruma::api::client::presence::{get_presence, set_presence};
use web::{Authed, Matrix, Reply};

use crate::App;
use crate::own::own;

/// Is this user there?
pub(crate) async fn get(
    who: Authed,
    Matrix(ask): Matrix<get_presence::v3::Request>,
    app: App,
) -> Reply<get_presence::v3::Response> {
    let presence = actions::presence(&app.house, &who, &ask.user_id).await?;
    let mut response = get_presence::v3::Response::new(presence.state);
    response.status_msg = presence.status;
    response.currently_active = Some(presence.currently_active);
    response.last_active_ago = presence.last_active_ago.map(Duration::from_millis);
    Ok(response)
}

/// Says whether the user is there.
pub(crate) async fn put(
    who: Authed,
    Matrix(ask): Matrix<set_presence::v3::Request>,
    app: App,
) -> Reply<set_presence::v3::Response> {
    own(&who, &ask.user_id)?;
    app.house
        .users
        .set_presence(&who.user_id, &who.device_id, ask.presence, ask.status_msg)
        .await?;
    Ok(set_presence::v3::Response::new())
}
