//! `GET /_matrix/client/v3/joined_rooms`

use rooms::{Membership, members};
use ruma::api::client::membership::joined_rooms::v3::{Request, Response};
use web::{Authed, Matrix, Reply};

use crate::App;

/// The rooms that the user is in.
pub(crate) async fn get(who: Authed, Matrix(_): Matrix<Request>, app: App) -> Reply<Response> {
    let user = who.user_no();
    let rooms = app.read(move |s| {
        let joined = members::rooms_with(s, user, Membership::Join)?;
        joined
            .into_iter()
            .map(|room| Ok(s.room_id(room)?))
            .collect()
    });
    Ok(Response::new(rooms.await?))
}
