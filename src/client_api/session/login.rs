//! `/_matrix/client/v3/login`: which ways there are to sign in, and signing in.

use actions::login::Credentials;
use ruma::api::client::session::get_login_types::v3::{
    LoginType, PasswordLoginType, Request as Flows, Response as FlowsResponse, TokenLoginType,
};
use ruma::api::client::session::login::v3::{
    DiscoveryInfo, HomeserverInfo, LoginInfo, Password, Request, Response,
};
use ruma::api::client::uiaa::UserIdentifier;
use users::sessions::NewSession;
use web::{Asked, Matrix, Reply};

use crate::App;

/// The ways to sign in here.
pub(crate) async fn get(Matrix(_): Matrix<Flows>) -> Reply<FlowsResponse> {
    let mut token = TokenLoginType::new();
    token.get_login_token = true;
    Ok(FlowsResponse::new(vec![
        LoginType::Password(PasswordLoginType::new()),
        LoginType::Token(token),
    ]))
}

/// Opens a session.
pub(crate) async fn post(asked: Asked, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    let session = NewSession {
        device_id: ask.device_id,
        display_name: ask.initial_device_display_name,
        refreshable: ask.refresh_token,
    };
    let tokens = actions::login(
        &app.house,
        credentials(ask.login_info)?,
        session,
        asked.address,
    )
    .await?;

    let mut response = Response::new(
        tokens.user_id,
        tokens.access_token.expose().clone(),
        tokens.device_id,
    );
    #[expect(deprecated, reason = "bots of long ago read it")]
    let () = response.home_server = Some(app.house.server_name().to_owned());
    response.refresh_token = tokens.refresh_token.map(|token| token.expose().clone());
    response.expires_in = tokens.expires_in_ms.map(std::time::Duration::from_millis);
    response.well_known = app
        .house
        .choices()
        .well_known
        .client
        .clone()
        .map(|url| DiscoveryInfo::new(HomeserverInfo::new(url)));
    Ok(response)
}

fn credentials(info: LoginInfo) -> Result<Credentials, web::Error> {
    match info {
        LoginInfo::Password(password) => {
            let user = named(&password)?;
            Ok(Credentials::Password {
                user,
                password: password.password.into(),
            })
        }
        LoginInfo::Token(token) => Ok(Credentials::Token(token.token.into())),
        _ => Err(web::Error::unknown(
            "this server does not know this way to sign in",
        )),
    }
}

/// The user that a password is for. The name may stand in the identifier or, from clients of long ago, beside it.
fn named(password: &Password) -> Result<String, web::Error> {
    match &password.identifier {
        Some(identifier) => user_of(identifier),
        None => {
            #[expect(
                deprecated,
                reason = "old bots still send it, and the specification still allows it"
            )]
            let user = password.user.clone();
            user.ok_or_else(|| web::Error::missing_param("identifier"))
        }
    }
}

/// The name in an identifier. Addresses of other kinds belong to nobody here, so they are refused like a wrong password.
pub(crate) fn user_of(identifier: &UserIdentifier) -> Result<String, web::Error> {
    match identifier {
        UserIdentifier::Matrix(matrix) => Ok(matrix.user.clone()),
        UserIdentifier::Email(_) | UserIdentifier::Msisdn(_) | UserIdentifier::PhoneNumber(_) => {
            Err(users::Error::Forbidden(users::Refusal::Password).into())
        }
        _ => Err(web::Error::unknown(
            "this server does not know this kind of identifier",
        )),
    }
}
