//! Signing in.

use std::net::IpAddr;

use base::Secret;
use ruma::{OwnedUserId, UserId};
use users::Refusal;
use users::sessions::{NewSession, Tokens};

use crate::House;
use crate::error::{Error, Result};

/// By what somebody shows who they are.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A name and a password.
    Password {
        /// A localpart or a whole user ID.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token that another session of theirs asked for.
    Token(Secret),
}

/// Opens a session for somebody who shows who they are.
pub async fn login(
    house: &House,
    credentials: Credentials,
    session: NewSession,
    from: Option<IpAddr>,
) -> Result<Tokens> {
    let user = match credentials {
        Credentials::Password { user, password } => {
            let user = who(house, &user)?;
            house.users.check_password(&user, password, from).await?;
            user
        }
        Credentials::Token(token) => house.users.use_login_token(token.expose()).await?,
    };
    may_enter(house, &user).await?;
    Ok(house.users.open_session(&user, session).await?)
}

/// The user that a name at sign-in stands for. A name that cannot be anybody's is refused in the same words as a wrong password.
pub fn who(house: &House, name: &str) -> Result<OwnedUserId> {
    let refused = || Error::Users(users::Error::Forbidden(Refusal::Password));
    let localpart = match name.strip_prefix('@') {
        None => name,
        Some(_) => {
            let user = <&UserId>::try_from(name).map_err(|_| refused())?;
            if !house.is_local(user) {
                return Err(refused());
            }
            user.localpart()
        }
    };
    users::accounts::user_id(localpart, house.server_name()).map_err(|_| refused())
}

/// A locked account cannot be entered, with whatever proof.
async fn may_enter(house: &House, user: &UserId) -> Result<()> {
    match house.users.account(user).await? {
        Some(account) if account.locked => Err(Error::Locked),
        _ => Ok(()),
    }
}
