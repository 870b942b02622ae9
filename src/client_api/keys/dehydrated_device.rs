//! `/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device…` (MSC3814)

use ruma::OwnedDeviceId;
use ruma::api::client::dehydrated_device::{
    delete_dehydrated_device, get_dehydrated_device, get_events, put_dehydrated_device,
};
use ruma::serde::Raw;
use serde::Serialize;
use serde_json::value::RawValue;
use users::dehydrated::Dehydration;
use users::device_keys::KeyUpload;
use web::{Authed, JsonBytes, Matrix, Reply};

use super::upload::by_text;
use crate::{App, json};

#[derive(Serialize)]
struct Device {
    device_id: OwnedDeviceId,
    device_data: Box<RawValue>,
}

#[derive(Serialize)]
struct Events {
    events: Vec<Box<RawValue>>,
    next_batch: String,
}

/// Leaves a device here that receives messages until somebody takes it back.
pub(crate) async fn put(
    who: Authed,
    Matrix(ask): Matrix<put_dehydrated_device::unstable::Request>,
    app: App,
) -> Reply<put_dehydrated_device::unstable::Response> {
    let wanted = Dehydration {
        device_id: ask.device_id.clone(),
        display_name: ask.initial_device_display_name,
        data: ask.device_data.into_json(),
        keys: KeyUpload {
            device_keys: Some(Raw::into_json(ask.device_keys)),
            one_time_keys: by_text(ask.one_time_keys),
            fallback_keys: by_text(ask.fallback_keys),
        },
    };
    app.house.users.put_dehydrated(&who.user_id, wanted).await?;
    Ok(put_dehydrated_device::unstable::Response::new(
        ask.device_id,
    ))
}

/// The device that was left here.
pub(crate) async fn get(
    who: Authed,
    Matrix(_): Matrix<get_dehydrated_device::unstable::Request>,
    app: App,
) -> Reply<JsonBytes> {
    let (device_id, device_data) = app.house.users.dehydrated(&who.user_id).await?;
    json::answer(&Device {
        device_id,
        device_data,
    })
}

/// Removes it.
pub(crate) async fn delete(
    who: Authed,
    Matrix(_): Matrix<delete_dehydrated_device::unstable::Request>,
    app: App,
) -> Reply<delete_dehydrated_device::unstable::Response> {
    let device_id = app.house.users.delete_dehydrated(&who.user_id).await?;
    Ok(delete_dehydrated_device::unstable::Response::new(device_id))
}

/// What it was sent.
pub(crate) async fn events(
    who: Authed,
    Matrix(ask): Matrix<get_events::unstable::Request>,
    app: App,
) -> Reply<JsonBytes> {
    let page = app
        .house
        .users
        .dehydrated_events(&who.user_id, &ask.device_id, ask.next_batch.as_deref())
        .await?;
    let events = page.events.into_iter().map(|event| {
        RawValue::from_string(event.into_boxed_str().into()).map_err(web::Error::internal)
    });
    json::answer(&Events {
        events: events.collect::<Result<_, _>>()?,
        next_batch: page.next_batch,
    })
}
