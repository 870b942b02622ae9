//! `GET /_matrix/federation/v1/user/devices/{userId}`

use ruma::{OwnedDeviceId, OwnedUserId};
use serde::Serialize;
use serde_json::value::RawValue;
use web::{FromServer, JsonBytes, Path, Reply};

use crate::App;

#[derive(Serialize)]
struct Device {
    device_id: OwnedDeviceId,
    keys: Box<RawValue>,
}

/// The devices that have keys. What people call them is told to nobody elsewhere.
#[derive(Serialize)]
struct Answer {
    user_id: OwnedUserId,
    stream_id: u64,
    devices: Vec<Device>,
    #[serde(skip_serializing_if = "Option::is_none")]
    master_key: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    self_signing_key: Option<Box<RawValue>>,
}

/// A user's devices with their keys, and the number of the last change that is in it.
pub(crate) async fn get(
    _: FromServer,
    Path((user_id,)): Path<(OwnedUserId,)>,
    app: App,
) -> Reply<JsonBytes> {
    app.ours(&user_id)?;
    let list = app.house.users.device_list_for_servers(&user_id).await?;
    let devices = list
        .keys
        .device_keys
        .into_iter()
        .map(|(device_id, keys)| Device { device_id, keys });
    JsonBytes::of(&Answer {
        user_id,
        stream_id: list.stream_id,
        devices: devices.collect(),
        master_key: list.keys.master,
        self_signing_key: list.keys.self_signing,
    })
}
