//! `GET /_matrix/client/v3/profile/{userId}`

use ruma::api::client::profile::get_profile::v3::Request;
use web::{JsonBytes, Matrix, Reply};

use crate::{App, json};

/// What a user tells about themselves.
pub(crate) async fn get(Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    json::answer(&actions::profile(&app.house, &ask.user_id).await?)
}
