//! `GET /_matrix/client/v1/auth_metadata`

use ruma::api::client::discovery::get_authorization_server_metadata::v1::{Request, Response};
use web::{Matrix, Reply};

/// This server signs people in by the legacy API. The specification has such a server answer 404 `M_UNRECOGNIZED`, and clients look for exactly that.
pub(crate) async fn get(Matrix(_): Matrix<Request>) -> Reply<Response> {
    Err(web::Error::unrecognized(
        "OAuth 2.0 sign-in is not offered here",
    ))
}
