//! `PUT /_matrix/client/v3/sendToDevice/{eventType}/{txnId}`

use std::collections::BTreeMap;

use ruma::api::client::to_device::send_event_to_device::v3::{Request, Response};
use web::{Guest, Matrix, Reply};

use crate::App;

/// Sends messages to devices, once per transaction ID.
pub(crate) async fn put(who: Guest, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    let contents = ask.messages.into_iter().map(|(user, devices)| {
        let devices: BTreeMap<_, _> = devices
            .into_iter()
            .map(|(device, content)| (device.to_string(), content.into_json()))
            .collect();
        (user, devices)
    });
    actions::send_to_device(
        &app.house,
        &who,
        ask.event_type.to_string(),
        contents.collect(),
        &ask.txn_id,
    )
    .await?;
    Ok(Response::new())
}
