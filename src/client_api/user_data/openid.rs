//! `POST /_matrix/client/v3/user/{userId}/openid/request_token`

use ruma::api::client::account::request_openid_token::v3::{Request, Response};
use ruma::authentication::TokenType;
use web::{Authed, Matrix, Reply};

use crate::App;
use crate::own::own;

/// Makes a token by which others can learn who the user is.
pub(crate) async fn post(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    own(&who, &ask.user_id)?;
    let made = app.house.users.create_openid_token(&who.user_id).await?;
    let server = app.house.server_name().to_owned();
    Ok(Response::new(
        made.token.expose().clone(),
        TokenType::Bearer,
        server,
        made.lifetime,
    ))
}
