//! `GET /_matrix/federation/v1/version`

use serde_json::json;
use web::{JsonBytes, Reply};

/// What this server is.
pub(crate) async fn version() -> Reply<JsonBytes> {
    let server = json!({ "name": "Myelin", "version": env!("CARGO_PKG_VERSION") });
    JsonBytes::of(&json!({ "server": server }))
}
