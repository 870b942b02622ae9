//! `/_matrix/client/v3/auth/{authType}/fallback/web`: doing one stage of an interactive authentication in a browser, for clients that do not know it.

use axum::response::Response;
use base::Secret;
use serde::Deserialize;
use users::uia::Stage;
use web::Asked;

use crate::App;
use crate::pages::{AUTH_DONE, escape, page};

/// What a form sends.
#[derive(Default, Deserialize)]
struct Form {
    token: Option<String>,
    password: Option<Secret>,
}

/// The page with the form of a stage.
pub(crate) async fn get(asked: Asked) -> Response {
    match (stage(&asked), asked.parameter("session")) {
        (Some(stage), Some(session)) => form(stage, &session, None),
        (None, _) => trouble("This step cannot be done on a page."),
        (_, None) => trouble("The address lacks a session."),
    }
}

/// Takes the form in, and notes that the stage is done if it is.
pub(crate) async fn post(asked: Asked, app: App) -> Response {
    let (Some(stage), Some(session)) = (stage(&asked), asked.parameter("session")) else {
        return trouble("The address is not complete.");
    };
    let sent: Form = serde_html_form::from_bytes(&asked.body).unwrap_or_default();
    match complete(&app, stage, &session, sent, &asked).await {
        Ok(()) => page(
            "Done",
            "<p>You can close this page and go back to your application.</p>",
            Some(AUTH_DONE),
        ),
        Err(error) => form(stage, &session, Some(&error)),
    }
}

async fn complete(
    app: &App,
    stage: Stage,
    session: &str,
    sent: Form,
    asked: &Asked,
) -> Result<(), String> {
    let said = |error: users::Error| error.to_string();
    let users = &app.house.users;
    match stage {
        Stage::RegistrationToken => {
            let token = sent.token.unwrap_or_default();
            actions::register::show_token(&app.house, session, &token, asked.address)
                .await
                .map_err(|error| error.to_string())
        }
        Stage::Password => {
            let user = users
                .authorizing_user(session)
                .ok_or("This step was begun too long ago. Begin again in your application.")?;
            users
                .check_password(&user, sent.password.unwrap_or_default(), asked.address)
                .await
                .map_err(said)?;
            users.complete_stage(session, stage).map_err(said)
        }
        _ => users.complete_stage(session, stage).map_err(said),
    }
}

/// The stages that can be done on a page.
fn stage(asked: &Asked) -> Option<Stage> {
    let stage = Stage::named(asked.args.first()?)?;
    matches!(
        stage,
        Stage::Dummy | Stage::Terms | Stage::Password | Stage::RegistrationToken
    )
    .then_some(stage)
}

fn form(stage: Stage, session: &str, error: Option<&str>) -> Response {
    let (title, field) = match stage {
        Stage::RegistrationToken => (
            "Registration token",
            "<p><label>Token <input name=\"token\" autocomplete=\"off\" required></label></p>",
        ),
        Stage::Password => (
            "Your password",
            "<p><label>Password <input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label></p>",
        ),
        Stage::Terms => (
            "Terms of use",
            "<p>By going on you agree to this server's terms.</p>",
        ),
        _ => (
            "Confirm",
            "<p>Your application asks you to confirm what you are doing.</p>",
        ),
    };
    let error = error
        .map(|error| format!("<p role=\"alert\">{}</p>", escape(error)))
        .unwrap_or_default();
    let query = serde_html_form::to_string([("session", session)]).unwrap_or_default();
    page(
        title,
        &format!(
            "{error}<form method=\"post\" action=\"?{}\">{field}<p><button>Go on</button></p></form>",
            escape(&query)
        ),
        None,
    )
}

fn trouble(what: &str) -> Response {
    page(
        "This did not work",
        &format!("<p>{}</p>", escape(what)),
        None,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(response: Response) -> String {
        use http_body_util::BodyExt as _;
        String::from_utf8(
            response
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .to_vec(),
        )
        .unwrap()
    }

    #[tokio::test]
    async fn nothing_from_the_address_becomes_markup() {
        for nasty in [
            "<script>alert(1)</script>",
            "\"><img src=x onerror=alert(1)>",
            "'/onload='x",
            "</form><form action=//evil>",
        ] {
            for stage in [
                Stage::Dummy,
                Stage::Terms,
                Stage::Password,
                Stage::RegistrationToken,
            ] {
                let page = text(form(stage, nasty, Some(nasty))).await;
                assert!(!page.contains(nasty), "{page}");
                assert_eq!(page.matches("<script").count(), 0);
            }
        }
    }
}
