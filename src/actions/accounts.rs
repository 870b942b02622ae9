//! What administrators do about accounts.

use base::Secret;
use ruma::{OwnedUserId, UserId};
use users::accounts::{Account, Mark};
use users::passwords::LogoutOthers;
use users::registration::{Registered, Registration};

use crate::House;
use crate::error::{Error, Result};

/// How many accounts are read at a time.
const PAGE: usize = 1000;

/// Makes an account, whatever the policy for strangers is.
pub async fn create(house: &House, registration: Registration) -> Result<Registered> {
    let display_name = registration
        .display_name
        .clone()
        .or_else(|| registration.username.clone());
    Ok(house
        .users
        .register(Registration {
            display_name,
            ..registration
        })
        .await?)
}

/// Every account there is.
pub async fn list(house: &House) -> Result<Vec<(OwnedUserId, Account)>> {
    let mut all: Vec<(OwnedUserId, Account)> = Vec::new();
    loop {
        let page = house
            .users
            .accounts(all.last().map(|(user, _)| &**user), PAGE)
            .await?;
        let last = page.len() < PAGE;
        all.extend(page);
        if last {
            return Ok(all);
        }
    }
}

/// The account somebody means by a localpart or a whole user ID.
pub async fn find(house: &House, name: &str) -> Result<(OwnedUserId, Account)> {
    let user = match name.strip_prefix('@') {
        Some(_) => OwnedUserId::try_from(name)
            .map_err(|_| Error::InvalidParameter(format!("{name} is not a user ID")))?,
        None => users::accounts::user_id(name, house.server_name())?,
    };
    let account = house
        .users
        .account(&user)
        .await?
        .ok_or(Error::NotFound("user"))?;
    Ok((user, account))
}

/// Sets somebody's password; all their sessions end.
pub async fn reset_password(house: &House, user: &UserId, password: Secret) -> Result<()> {
    Ok(house
        .users
        .set_password(user, password, Some(LogoutOthers { keep: None }))
        .await?)
}

/// Locks, suspends or promotes an account, or takes that back.
///
/// # Errors
/// If who asks is no administrator, asks it of themselves or of another administrator, or there is no such account.
pub async fn mark(house: &House, who: &users::Identity, user: &UserId, mark: Mark) -> Result<()> {
    let account = inspect(house, who, user).await?;
    if who.user_id == user || account.admin {
        return Err(Error::NotAllowed(
            "administrators cannot be locked or suspended".to_owned(),
        ));
    }
    Ok(house.users.mark(user, mark).await?)
}

/// Looks at an account.
///
/// # Errors
/// If who asks is no administrator, or there is no such account.
pub async fn inspect(house: &House, who: &users::Identity, user: &UserId) -> Result<Account> {
    if !who.account.admin {
        return Err(Error::NotAllowed("this is for administrators".to_owned()));
    }
    if !house.is_local(user) {
        return Err(Error::InvalidParameter(
            "this is not a user of this server".to_owned(),
        ));
    }
    house
        .users
        .account(user)
        .await?
        .ok_or(Error::NotFound("user"))
}
