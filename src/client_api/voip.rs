//! `GET /_matrix/client/v3/voip/turnServer`

use ruma::api::client::voip::get_turn_server_info::v3::Request;
use serde_json::json;
use web::{Authed, JsonBytes, Matrix, Reply};

use crate::json;

/// No server for calls through firewalls is configured. Clients take an empty object to mean that.
pub(crate) async fn get(_who: Authed, Matrix(_): Matrix<Request>) -> Reply<JsonBytes> {
    json::answer(&json!({}))
}
