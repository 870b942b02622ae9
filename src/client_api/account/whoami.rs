//! `GET /_matrix/client/v3/account/whoami`

use ruma::api::client::account::whoami::v3::{Request, Response};
use web::{Guest, Matrix, Reply};

/// Whose token this is.
pub(crate) async fn get(who: Guest, Matrix(_): Matrix<Request>) -> Reply<Response> {
    let mut response = Response::new(who.user_id.clone(), who.account.guest);
    response.device_id = Some(who.device_id.clone());
    Ok(response)
}
