//! Sending messages to devices.

use std::collections::BTreeMap;

use ruma::{OwnedUserId, TransactionId};
use serde_json::value::RawValue;
use users::Identity;
use users::to_device::{Messages, Once};

use crate::House;
use crate::error::Result;

/// Sends messages to devices, once per transaction ID. The device `*` stands for all devices of a user. What is for other servers' users is sent
/// once it is on disk.
pub async fn send_to_device(
    house: &House,
    who: &Identity,
    event_type: String,
    contents: BTreeMap<OwnedUserId, BTreeMap<String, Box<RawValue>>>,
    txn_id: &TransactionId,
) -> Result<()> {
    let once = Once::by_client(&who.user_id, &who.device_id, txn_id.as_str());
    let messages = Messages {
        sender: who.user_id.clone(),
        event_type,
        contents,
        once: Some(once),
    };
    house.users.send_to_devices(messages).await?;
    Ok(())
}
