//! `GET /_matrix/client/v3/devices`

use ruma::api::client::device::get_devices::v3::{Request, Response};
use web::{Guest, Matrix, Reply};

use super::shown;
use crate::App;

/// The user's devices.
pub(crate) async fn get(who: Guest, Matrix(_): Matrix<Request>, app: App) -> Reply<Response> {
    let devices = app.house.users.devices(&who.user_id).await?;
    Ok(Response::new(devices.into_iter().map(shown).collect()))
}
