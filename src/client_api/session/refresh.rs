//! `POST /_matrix/client/v3/refresh`

use std::time::Duration;

use ruma::api::client::session::refresh_token::v3::{Request, Response};
use web::{Matrix, Reply};

use crate::App;

/// Changes a refresh token for a new pair of tokens.
pub(crate) async fn post(Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    let tokens = app.house.users.refresh(&ask.refresh_token).await?;
    let mut response = Response::new(tokens.access_token.expose().clone());
    response.refresh_token = tokens.refresh_token.map(|token| token.expose().clone());
    response.expires_in_ms = tokens.expires_in_ms.map(Duration::from_millis);
    Ok(response)
}
