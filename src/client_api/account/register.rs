//! `POST /_matrix/client/v3/register`

use std::time::Duration;

use actions::register::{Proof, Wanted};
use ruma::api::client::account::register::v3::{Request, Response};
use ruma::api::client::account::register::{LoginType, RegistrationKind};
use users::sessions::{NewSession, Tokens};
use users::uia::Stage;
use web::{Asked, Matrix, Reply};

use crate::App;
use crate::interactive::{self, Unproven};

/// Makes an account: for a guest at once, for others after they have shown what is asked of them.
pub(crate) async fn post(
    asked: Asked,
    Matrix(Unproven(ask)): Matrix<Unproven<Request>>,
    app: App,
) -> Reply<Response> {
    match &ask.kind {
        RegistrationKind::Guest => guest(ask, &app).await,
        RegistrationKind::User => user(&asked, ask, &app).await,
        other => Err(web::Error::invalid_param(format!(
            "there are no accounts of the kind {other}"
        ))),
    }
}

async fn guest(ask: Request, app: &App) -> Reply<Response> {
    let (user_id, tokens) =
        actions::register::register_guest(&app.house, ask.initial_device_display_name).await?;
    let mut response = Response::new(user_id);
    add_tokens(&mut response, tokens);
    Ok(response)
}

async fn user(asked: &Asked, ask: Request, app: &App) -> Reply<Response> {
    if ask.login_type == Some(LoginType::ApplicationService) {
        return Err(web::Error::forbidden(
            "no application service is connected to this server",
        ));
    }
    // What can be known to fail fails before anybody is asked for anything.
    let stage = match actions::register::proof(&app.house)? {
        Proof::Token => Stage::RegistrationToken,
        Proof::Nothing => Stage::Dummy,
    };
    if let Some(name) = &ask.username {
        actions::register::available(&app.house, name).await?;
    }
    let password = ask.password.clone().map(base::Secret::new);
    if let Some(password) = &password {
        app.house.users.check_password_policy(password)?;
    }
    let shown = interactive::prove(app, asked, stage).await?;

    let session = (!ask.inhibit_login).then(|| NewSession {
        device_id: ask.device_id.clone(),
        display_name: ask.initial_device_display_name.clone(),
        refreshable: ask.refresh_token,
    });
    let wanted = Wanted {
        username: ask.username.clone(),
        password,
        session,
    };
    let registered =
        actions::register::register(&app.house, wanted, shown.registration_token.as_deref())
            .await?;
    let mut response = Response::new(registered.user_id);
    if let Some(tokens) = registered.tokens {
        add_tokens(&mut response, tokens);
    }
    Ok(response)
}

fn add_tokens(response: &mut Response, tokens: Tokens) {
    response.access_token = Some(tokens.access_token.expose().clone());
    response.device_id = Some(tokens.device_id);
    response.refresh_token = tokens.refresh_token.map(|token| token.expose().clone());
    response.expires_in = tokens.expires_in_ms.map(Duration::from_millis);
}
