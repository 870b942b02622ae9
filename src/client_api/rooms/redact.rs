//! `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}`

use ruma::api::client::redact::redact_event::v3::{Request, Response};
use web::{Authed, Matrix, Reply};

use crate::App;

/// Takes the content of an event back.
pub(crate) async fn put(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    let event_id = actions::redact(
        &app.house,
        &who,
        &ask.room_id,
        &ask.event_id,
        ask.reason,
        &ask.txn_id,
    )
    .await?;
    Ok(Response::new(event_id))
}
