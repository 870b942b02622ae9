//! `POST /_matrix/client/v1/login/get_token`

use ruma::api::client::session::get_login_token::v1::{Request, Response};
use web::{Asked, Authed, Matrix, Reply};

use crate::App;
use crate::interactive::{self, Unproven};

/// Makes a token by which another client of the same person can sign in.
pub(crate) async fn post(
    who: Authed,
    asked: Asked,
    Matrix(Unproven(_)): Matrix<Unproven<Request>>,
    app: App,
) -> Reply<Response> {
    interactive::confirm(&app, &who, &asked).await?;
    let made = app.house.users.create_login_token(&who.user_id).await?;
    Ok(Response::new(made.lifetime, made.token.expose().clone()))
}
