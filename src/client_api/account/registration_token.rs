//! `GET /_matrix/client/v1/register/m.login.registration_token/validity`

use ruma::api::client::account::check_registration_token_validity::v1::{Request, Response};
use web::{Matrix, Reply};

use crate::App;

/// Would this token let somebody register?
pub(crate) async fn get(Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    actions::register::proof(&app.house)?;
    Ok(Response::new(
        actions::register::token_is_valid(&app.house, &ask.token).await?,
    ))
}
