//! `POST /_matrix/client/v3/rooms/{roomId}/read_markers`

use actions::receipt::Mark;
use ruma::api::client::read_marker::set_read_marker::v3::{Request, Response};
use web::{Authed, Matrix, Reply};

use crate::App;

/// Moves several markers at once.
pub(crate) async fn post(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    let marks = [
        (Mark::FullyRead, ask.fully_read),
        (Mark::Read, ask.read_receipt),
        (Mark::ReadPrivate, ask.private_read_receipt),
    ];
    for (mark, event_id) in marks {
        if let Some(event_id) = event_id {
            actions::receipt(&app.house, &who, &ask.room_id, mark, None, &event_id).await?;
        }
    }
    Ok(Response::new())
}
