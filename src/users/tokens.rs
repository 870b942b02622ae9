//! Tokens that stand for a user for a short while: login tokens, which work once, and OpenID tokens, by which others learn
//! who somebody is and nothing more.

use std::time::Duration;

use base::Secret;
use ruma::{OwnedUserId, UserId};
use store::rows::users::ShortLived;
use store::tables::{ACCOUNTS, EXPIRING, LOGIN_TOKENS, OPENID_TOKENS};
use store::{Snapshot, Table, UserNo};

use crate::sessions::{digest, new_token};
use crate::{Error, Refusal, Users, sweep};

const LOGIN_PREFIX: &str = "mll_";
const OPENID_PREFIX: &str = "mlo_";
/// How long a login token is valid.
pub const LOGIN_TOKEN_LIFETIME: Duration = Duration::from_secs(120);

/// A token that was made, and for how long it is valid.
#[derive(Debug, Clone)]
pub struct ShortToken {
    /// The token.
    pub token: Secret,
    /// For how long it is valid.
    pub lifetime: Duration,
}

impl Users {
    /// Makes a token by which `user` can log in once, within two minutes.
    pub async fn create_login_token(&self, user: &UserId) -> Result<ShortToken, Error> {
        self.make(
            user,
            LOGIN_TOKENS,
            sweep::LOGIN_TOKEN,
            LOGIN_PREFIX,
            LOGIN_TOKEN_LIFETIME,
        )
        .await
    }

    /// Whose login token this is. It has been used then.
    ///
    /// # Errors
    /// If it is unknown, used or expired.
    pub async fn use_login_token(&self, token: &str) -> Result<OwnedUserId, Error> {
        let (hash, now) = (digest(token), self.now());
        self.write(move |tx| {
            let refused = Error::Forbidden(Refusal::LoginToken);
            let Some(row) = tx.get_for_update(LOGIN_TOKENS, &hash)? else {
                return Err(refused);
            };
            if row.expires <= now {
                return Err(refused);
            }
            tx.delete(LOGIN_TOKENS, &hash);
            tx.delete(EXPIRING, &(row.expires, sweep::LOGIN_TOKEN, hash));
            Ok(tx.user_id(row.user)?)
        })
        .await
    }

    /// Makes a token by which others can learn who `user` is.
    pub async fn create_openid_token(&self, user: &UserId) -> Result<ShortToken, Error> {
        let lifetime = self.inner.settings.openid_token_lifetime;
        self.make(
            user,
            OPENID_TOKENS,
            sweep::OPENID_TOKEN,
            OPENID_PREFIX,
            lifetime,
        )
        .await
    }

    /// Whom an OpenID token identifies.
    ///
    /// # Errors
    /// If it is unknown or expired, or its user deactivated.
    pub async fn openid_user(&self, token: &str) -> Result<OwnedUserId, Error> {
        let (hash, now) = (digest(token), self.now());
        self.read(move |s| {
            let valid = s.get(OPENID_TOKENS, &hash)?.filter(|row| now < row.expires);
            match valid {
                Some(row) if is_active(s, row.user)? => Ok(s.user_id(row.user)?),
                _ => Err(Error::UnknownToken { soft: false }),
            }
        })
        .await
    }

    async fn make(
        &self,
        user: &UserId,
        table: Table<[u8; 32], ShortLived>,
        kind: u8,
        prefix: &str,
        lifetime: Duration,
    ) -> Result<ShortToken, Error> {
        let no = self.local_no(user)?;
        let token = new_token(&*self.inner.random, prefix);
        let hash = digest(token.expose());
        let expires = self.inner.clock.now().plus(lifetime).millis();
        self.write(move |tx| {
            tx.put(table, &hash, &ShortLived { user: no, expires })?;
            Ok(tx.put(EXPIRING, &(expires, kind, hash), &())?)
        })
        .await?;
        Ok(ShortToken { token, lifetime })
    }
}

fn is_active(s: &Snapshot, user: UserNo) -> Result<bool, Error> {
    Ok(s.get(ACCOUNTS, &user)?
        .is_some_and(|account| account.deactivated.is_none()))
}
