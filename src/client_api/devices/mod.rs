//! Devices: specification, "Device management".

pub(crate) mod all;
pub(crate) mod delete_devices;
pub(crate) mod one;

use ruma::MilliSecondsSinceUnixEpoch;
use ruma::api::client::device::Device;

/// A device as its owner is shown it.
fn shown(device: users::devices::Device) -> Device {
    let mut shown = Device::new(device.device_id);
    shown.display_name = device.display_name;
    shown.last_seen_ip = device.last_address;
    shown.last_seen_ts = device
        .last_seen
        .and_then(|at| at.try_into().ok())
        .map(MilliSecondsSinceUnixEpoch);
    shown
}
