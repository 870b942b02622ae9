//! `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`

use actions::send::Message;
use rooms::delayed::Later;
use ruma::OwnedEventId;
use ruma::api::client::message::send_message_event::v3::Request;
use serde::Serialize;
use web::{Asked, Guest, JsonBytes, Matrix, Reply};

use super::delayed::{self, Delayable};
use crate::{App, json};

#[derive(Serialize)]
pub(super) struct Sent {
    pub(super) event_id: OwnedEventId,
}

/// Sends a message, once per transaction ID; now, or later.
pub(crate) async fn put(
    who: Guest,
    asked: Asked,
    Matrix(Delayable(ask)): Matrix<Delayable<Request>>,
    app: App,
) -> Reply<JsonBytes> {
    if let Some(delay) = delayed::asked_for(&asked)? {
        let later = Later {
            room_id: ask.room_id,
            sender: who.user_id.clone(),
            event_type: ask.event_type.to_string(),
            state_key: None,
            content: ask.body.into_json(),
            delay,
            txn: Some((who.device_id.to_string(), ask.txn_id.to_string())),
        };
        return delayed::put_off(&who, later, &app).await;
    }
    let message = Message {
        room_id: ask.room_id,
        event_type: ask.event_type.to_string(),
        content: ask.body.into_json(),
        txn_id: ask.txn_id,
    };
    let event_id = actions::send(&app.house, &who, message).await?;
    json::answer(&Sent { event_id })
}
