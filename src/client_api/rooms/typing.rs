//! `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}`

use ruma::api::client::typing::create_typing_event::v3::{Request, Response, Typing};
use web::{Authed, Matrix, Reply};

use crate::App;
use crate::own::own;

/// Says that the user is typing, or has stopped.
pub(crate) async fn put(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    own(&who, &ask.user_id)?;
    let timeout = match ask.state {
        Typing::Yes(info) => Some(info.timeout),
        _ => None,
    };
    actions::typing(&app.house, &who, &ask.room_id, timeout).await?;
    Ok(Response::new())
}
