//! `POST /_matrix/client/v3/logout` and `POST /_matrix/client/v3/logout/all`

use ruma::api::client::session::{logout, logout_all};
use web::{Locked, Matrix, Reply};

use crate::App;

/// Ends this session and forgets its device.
pub(crate) async fn post(
    who: Locked,
    Matrix(_): Matrix<logout::v3::Request>,
    app: App,
) -> Reply<logout::v3::Response> {
    app.house
        .users
        .close_session(&who.user_id, &who.device_id)
        .await?;
    Ok(logout::v3::Response::new())
}

/// Ends every session of the user.
pub(crate) async fn all(
    who: Locked,
    Matrix(_): Matrix<logout_all::v3::Request>,
    app: App,
) -> Reply<logout_all::v3::Response> {
    app.house.users.close_all_sessions(&who.user_id).await?;
    Ok(logout_all::v3::Response::new())
}
