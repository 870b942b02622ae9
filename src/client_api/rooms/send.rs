//! `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`

use actions::send::Message;
use ruma::api::client::message::send_message_event::v3::{Request, Response};
use web::{Guest, Matrix, Reply};

use crate::App;

/// Sends a message, once per transaction ID.
pub(crate) async fn put(who: Guest, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    let message = Message {
        room_id: ask.room_id,
        event_type: ask.event_type.to_string(),
        content: ask.body.into_json(),
        txn_id: ask.txn_id,
    };
    let event_id = actions::send(&app.house, &who, message).await?;
    Ok(Response::new(event_id))
}
