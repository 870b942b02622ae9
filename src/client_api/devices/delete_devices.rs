//! `POST /_matrix/client/v3/delete_devices`

use ruma::api::client::device::delete_devices::v3::{Request, Response};
use web::{Asked, Authed, Matrix, Reply};

use crate::App;
use crate::interactive::{self, Unproven};

/// Removes devices and ends their sessions.
pub(crate) async fn post(
    who: Authed,
    asked: Asked,
    Matrix(Unproven(ask)): Matrix<Unproven<Request>>,
    app: App,
) -> Reply<Response> {
    interactive::confirm(&app, &who, &asked).await?;
    app.house
        .users
        .delete_devices(&who.user_id, ask.devices)
        .await?;
    Ok(Response::new())
}
