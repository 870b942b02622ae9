//! `POST /_matrix/client/v3/users/{userId}/report`

use ruma::api::client::reporting::report_user::v3::{Request, Response};
use web::{Authed, Matrix, Reply};

use crate::App;

/// Tells the administrators about a user.
pub(crate) async fn post(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    actions::report::user(&app.house, &who, &ask.user_id, &ask.reason).await?;
    Ok(Response::new())
}
