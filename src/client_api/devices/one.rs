//! `/_matrix/client/v3/devices/{deviceId}`

use ruma::api::client::device::{delete_device, get_device, update_device};
use web::{Asked, Authed, Guest, Matrix, Reply};

use super::shown;
use crate::App;
use crate::interactive::{self, Unproven};

/// One of the user's devices.
pub(crate) async fn get(
    who: Guest,
    Matrix(ask): Matrix<get_device::v3::Request>,
    app: App,
) -> Reply<get_device::v3::Response> {
    let device = app.house.users.device(&who.user_id, &ask.device_id).await?;
    Ok(get_device::v3::Response::new(shown(device)))
}

/// Gives a device a name.
pub(crate) async fn put(
    who: Guest,
    Matrix(ask): Matrix<update_device::v3::Request>,
    app: App,
) -> Reply<update_device::v3::Response> {
    app.house.users.device(&who.user_id, &ask.device_id).await?;
    // Without a name in the request there is nothing to change.
    if let Some(name) = &ask.display_name {
        app.house
            .users
            .rename_device(&who.user_id, &ask.device_id, Some(name))
            .await?;
    }
    Ok(update_device::v3::Response::new())
}

/// Removes a device and ends its session. One that is not there is gone already.
pub(crate) async fn delete(
    who: Authed,
    asked: Asked,
    Matrix(Unproven(ask)): Matrix<Unproven<delete_device::v3::Request>>,
    app: App,
) -> Reply<delete_device::v3::Response> {
    interactive::confirm(&app, &who, &asked).await?;
    app.house
        .users
        .delete_devices(&who.user_id, vec![ask.device_id])
        .await?;
    Ok(delete_device::v3::Response::new())
}
