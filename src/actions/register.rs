//! Making an account: who may, and what happens then.
//!
//! How somebody proves that they may (a token, nothing at all) is interactive authentication and the client API's part; the policy is here.

use std::net::IpAddr;

use base::Secret;
use ruma::OwnedUserId;
use users::registration::{Registered, Registration};
use users::sessions::{NewSession, Tokens};
use users::uia::Stage;

use crate::House;
use crate::error::{Error, Result};

/// What one has to show to get an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A registration token.
    Token,
    /// Nothing.
    Nothing,
}

/// What somebody who registers wants.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The localpart; one is made up when absent.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The session to begin with; none if they will log in later.
    pub session: Option<NewSession>,
}

/// What has to be shown to get an account here.
///
/// # Errors
/// If nobody gets one.
pub fn proof(house: &House) -> Result<Proof> {
    let registration = &house.choices().registration;
    match (registration.enabled, &registration.token, registration.open) {
        (false, ..) => Err(Error::RegistrationClosed(
            "registration is closed on this server",
        )),
        (true, Some(_), _) => Ok(Proof::Token),
        (true, None, true) => Ok(Proof::Nothing),
        (true, None, false) => Err(Error::RegistrationClosed(
            "registration needs a token, and there is none",
        )),
    }
}

/// Could somebody register by this name, if they proved that they may?
///
/// # Errors
/// If it is taken or no name.
pub async fn available(house: &House, name: &str) -> Result<OwnedUserId> {
    Ok(house.users.available(name).await?)
}

/// Would this registration token do?
pub async fn token_is_valid(house: &House, token: &str) -> Result<bool> {
    Ok(is_configured_token(house, token) || house.users.registration_token_is_valid(token).await?)
}

/// Is this the word that the operator chose for everybody? Compared in a time that does not tell how much of it was right.
pub fn is_configured_token(house: &House, token: &str) -> bool {
    let configured = house.choices().registration.token.as_ref();
    configured.is_some_and(|word| {
        let (word, token) = (word.expose().as_bytes(), token.as_bytes());
        word.len() == token.len()
            && word
                .iter()
                .zip(token)
                .fold(0, |differ, (left, right)| differ | (left ^ right))
                == 0
    })
}

/// Makes the account. That the person may have it was proven; with `token`, by that token, which is used up with it.
pub async fn register(house: &House, wanted: Wanted, token: Option<&str>) -> Result<Registered> {
    let registration = Registration {
        display_name: wanted.username.clone(),
        username: wanted.username,
        password: wanted.password,
        session: wanted.session,
        // The configured word can be used without end; only tokens in the database are counted.
        token: token
            .filter(|token| !is_configured_token(house, token))
            .map(str::to_owned),
        ..Registration::default()
    };
    Ok(house.users.register(registration).await?)
}

/// Notes that a valid token was shown in an interactive authentication, on a page.
///
/// # Errors
/// If the token is not valid, or the authentication is not under way any more.
pub async fn show_token(
    house: &House,
    session: &str,
    token: &str,
    from: Option<IpAddr>,
) -> Result<()> {
    if is_configured_token(house, token) {
        house
            .users
            .complete_stage(session, Stage::RegistrationToken)?;
    } else {
        house
            .users
            .show_registration_token(session, token, from)
            .await?;
    }
    Ok(())
}

/// Makes a guest's account.
///
/// # Errors
/// If guests are not let in.
pub async fn register_guest(
    house: &House,
    device_name: Option<String>,
) -> Result<(OwnedUserId, Tokens)> {
    if !house.choices().registration.guests {
        return Err(Error::RegistrationClosed(
            "guests are not let into this server",
        ));
    }
    let session = NewSession {
        display_name: device_name,
        ..NewSession::default()
    };
    let registration = Registration {
        guest: true,
        session: Some(session),
        ..Registration::default()
    };
    let registered = house.users.register(registration).await?;
    let tokens = registered
        .tokens
        .ok_or(Error::Bug("a session was asked for and not opened"))?;
    Ok((registered.user_id, tokens))
}
