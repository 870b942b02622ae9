//! `GET /_matrix/client/v3/register/available`

use ruma::api::client::account::get_username_availability::v3::{Request, Response};
use web::{Matrix, Reply};

use crate::App;

/// Could somebody register by this name? Answered where registration is closed, too: the name is what is asked about.
pub(crate) async fn get(Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    actions::register::available(&app.house, &ask.username).await?;
    Ok(Response::new(true))
}
