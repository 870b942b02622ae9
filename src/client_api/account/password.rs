//! `POST /_matrix/client/v3/account/password`

use ruma::api::client::account::change_password::v3::{Request, Response};
use users::passwords::LogoutOthers;
use web::{Asked, Authed, Matrix, Reply};

use crate::App;
use crate::interactive::{self, Unproven};

/// Sets a new password. Other sessions end unless the user wants to keep them.
pub(crate) async fn post(
    who: Authed,
    asked: Asked,
    Matrix(Unproven(ask)): Matrix<Unproven<Request>>,
    app: App,
) -> Reply<Response> {
    let password = ask.new_password.clone().into();
    app.house.users.check_password_policy(&password)?;
    interactive::confirm(&app, &who, &asked).await?;
    let others = ask.logout_devices.then_some(LogoutOthers {
        keep: Some(&who.device_id),
    });
    app.house
        .users
        .set_password(&who.user_id, password, others)
        .await?;
    Ok(Response::new())
}
