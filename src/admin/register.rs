//! `/_synapse/admin/v1/register`: accounts for whoever knows the server's shared secret. Tools and test suites of the field rely on it, so
//! it speaks the reference server's dialect: a nonce first, then a request with an HMAC-SHA1 over it.
//!
//! Without a secret in the configuration nobody can prove anything, and every request is refused.

use actions::{House, accounts};
use base::Secret;
use http::Method;
use serde::Deserialize;
use serde_json::json;
use users::registration::Registration;
use users::sessions::NewSession;
use users::shared_secret::SharedSecretAsk;
use web::{Class, Error, Json, JsonBytes, Reply, Routes, Site};

const PATH: &str = "/_synapse/admin/v1/register";

/// The two endpoints, for the listeners that everybody reaches.
pub fn routes<A: Site + AsRef<House>>() -> Routes<A> {
    Routes::new()
        .route_limited(Class::Registration, Method::GET, PATH, nonce::<A>)
        .route_limited(Class::Registration, Method::POST, PATH, register::<A>)
}

/// What is asked for, and the proof.
#[derive(Debug, Deserialize)]
struct Ask {
    nonce: String,
    username: String,
    password: Secret,
    #[serde(default)]
    admin: bool,
    user_type: Option<String>,
    displayname: Option<String>,
    mac: String,
}

async fn nonce<A: Site + AsRef<House>>(app: A) -> Reply<JsonBytes> {
    let house: &House = app.as_ref();
    secret(house)?;
    let nonce = house.users.registration_nonce()?;
    Ok(JsonBytes::from(json!({ "nonce": nonce }).to_string()))
}

async fn register<A: Site + AsRef<House>>(Json(ask): Json<Ask>, app: A) -> Reply<JsonBytes> {
    let house: &House = app.as_ref();
    let claim = SharedSecretAsk {
        nonce: &ask.nonce,
        username: &ask.username,
        password: &ask.password,
        admin: ask.admin,
        user_type: ask.user_type.as_deref(),
        mac: &ask.mac,
    };
    house.users.check_shared_secret(secret(house)?, &claim)?;
    let wanted = Registration {
        username: Some(ask.username),
        password: Some(ask.password),
        admin: ask.admin,
        display_name: ask.displayname,
        session: Some(NewSession::default()),
        ..Registration::default()
    };
    let registered = accounts::create(house, wanted).await?;
    let tokens = registered
        .tokens
        .ok_or_else(|| Error::internal("a session was asked for and not opened"))?;
    let answer = json!({
        "user_id": registered.user_id,
        "home_server": house.server_name(),
        "access_token": tokens.access_token.expose(),
        "device_id": tokens.device_id,
    });
    Ok(JsonBytes::from(answer.to_string()))
}

fn secret(house: &House) -> Result<&Secret, Error> {
    let secret = house.choices().registration.shared_secret.as_ref();
    secret.ok_or_else(|| {
        Error::forbidden("registration by a shared secret is not enabled on this server")
    })
}
