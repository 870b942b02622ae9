//! Sending a message.

use rooms::{Say, Txn};
use ruma::{OwnedEventId, OwnedRoomId, TransactionId};
use serde::Deserialize;
use serde_json::value::RawValue;
use users::Identity;

use crate::House;
use crate::error::{Error, Result};
use crate::{policy, redact};

/// A message to be sent.
#[derive(Debug)]
pub struct Message {
    /// To which room.
    pub room_id: OwnedRoomId,
    /// Its type.
    pub event_type: String,
    /// Its content, an object.
    pub content: Box<RawValue>,
    /// What makes a repeated request recognisable.
    pub txn_id: ruma::OwnedTransactionId,
}

/// Sends a message, once per transaction ID.
pub async fn send(house: &House, who: &Identity, message: Message) -> Result<OwnedEventId> {
    if message.event_type == "m.room.redaction" {
        return redaction(house, who, message).await;
    }
    policy::may_act(who)?;
    let txn = txn(who, message.event_type.clone(), &message.txn_id);
    let say = Say {
        room_id: message.room_id,
        sender: who.user_id.clone(),
        event_type: message.event_type,
        content: message.content,
        timestamp: None,
    };
    Ok(house.rooms.send(say, Some(txn)).await?.event_id)
}

/// By which a device may repeat a request.
pub(crate) fn txn(who: &Identity, scope: String, id: &TransactionId) -> Txn {
    Txn {
        device: who.device_id.to_string(),
        scope,
        id: id.to_string(),
    }
}

/// Since 1.18 a redaction can be sent like any other message.
async fn redaction(house: &House, who: &Identity, message: Message) -> Result<OwnedEventId> {
    #[derive(Deserialize)]
    struct Content {
        redacts: OwnedEventId,
        reason: Option<String>,
    }
    let content: Content = serde_json::from_str(message.content.get())
        .map_err(|error| Error::BadJson(error.to_string()))?;
    redact(
        house,
        who,
        &message.room_id,
        &content.redacts,
        content.reason,
        &message.txn_id,
    )
    .await
}
