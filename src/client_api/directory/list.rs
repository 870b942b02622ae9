//! `/_matrix/client/v3/directory/list/room/{roomId}`

use rooms::{directory, members};
use ruma::api::client::directory::{get_room_visibility, set_room_visibility};
use ruma::api::client::room::Visibility;
use web::{Authed, Matrix, Reply};

use crate::App;

/// Is the room listed?
pub(crate) async fn get(
    Matrix(ask): Matrix<get_room_visibility::v3::Request>,
    app: App,
) -> Reply<get_room_visibility::v3::Response> {
    let listed = app.read(move |s| Ok(directory::is_listed(s, members::room(s, &ask.room_id)?)?));
    let visibility = if listed.await? {
        Visibility::Public
    } else {
        Visibility::Private
    };
    Ok(get_room_visibility::v3::Response::new(visibility))
}

/// Lists a room, or takes it out of the list.
pub(crate) async fn put(
    who: Authed,
    Matrix(ask): Matrix<set_room_visibility::v3::Request>,
    app: App,
) -> Reply<set_room_visibility::v3::Response> {
    let listed = match &ask.visibility {
        Visibility::Public => true,
        Visibility::Private => false,
        other => {
            return Err(web::Error::invalid_param(format!(
                "a room cannot be {other}"
            )));
        }
    };
    actions::publish(&app.house, &who, &ask.room_id, listed).await?;
    Ok(set_room_visibility::v3::Response::new())
}
