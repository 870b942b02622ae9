//! `GET /_matrix/key/v2/server`

use web::{JsonBytes, Reply};

use crate::App;

/// Our keys, signed by themselves. Older servers name the key they want behind the path, and are given all of them, as specified.
pub(crate) async fn get(app: App) -> Reply<JsonBytes> {
    Ok(JsonBytes::from(app.house.peers.keys().own_document()?))
}
