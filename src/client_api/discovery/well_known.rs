//! `GET /.well-known/matrix/…`: answered only for what the operator configured, because what is announced here is followed.

use ruma::api::client::discovery::{discover_homeserver, discover_support};
use serde_json::json;
use web::{JsonBytes, Matrix, Reply};

use crate::{App, json};

/// `GET /.well-known/matrix/client`
pub(crate) async fn client(
    Matrix(_): Matrix<discover_homeserver::Request>,
    app: App,
) -> Reply<JsonBytes> {
    let Some(url) = &app.house.choices().well_known.client else {
        return Err(nothing());
    };
    json::answer(&json!({ "m.homeserver": { "base_url": url } }))
}

/// `GET /.well-known/matrix/server`
pub(crate) async fn server(app: App) -> Reply<JsonBytes> {
    let Some(address) = &app.house.choices().well_known.server else {
        return Err(nothing());
    };
    json::answer(&json!({ "m.server": address }))
}

/// `GET /.well-known/matrix/support`
pub(crate) async fn support(Matrix(_): Matrix<discover_support::Request>) -> Reply<JsonBytes> {
    Err(nothing())
}

fn nothing() -> web::Error {
    web::Error::not_found("nothing is announced here")
}
