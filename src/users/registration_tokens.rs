//! Registration tokens: who may create an account where registration is not open (CS "Token-authenticated registration").

use store::rows::users::RegistrationToken as Row;
use store::tables::REGISTRATION_TOKENS;
use store::{Order, Tx};

use crate::{Error, Refusal, Users, What};

/// Longest token, as the specification has it.
const LONGEST: usize = 64;

/// A registration token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationToken {
    /// The token.
    pub token: String,
    /// How many accounts it may create, if there is a limit.
    pub uses_allowed: Option<u64>,
    /// How many it has created.
    pub completed: u64,
    /// When it ceases to be valid, in milliseconds since 1970.
    pub expires: Option<u64>,
}

impl RegistrationToken {
    fn of(token: String, row: &Row) -> Self {
        Self {
            token,
            uses_allowed: row.uses_allowed,
            completed: row.completed,
            expires: row.expires,
        }
    }
}

/// What to change about a token.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenChange {
    /// How many accounts it may create, with or without a limit.
    pub uses_allowed: Option<Option<u64>>,
    /// When it ceases to be valid, if ever.
    pub expires: Option<Option<u64>>,
}

fn is_valid(row: &Row, now: u64) -> bool {
    row.uses_allowed
        .is_none_or(|allowed| row.completed < allowed)
        && row.expires.is_none_or(|expires| now < expires)
}

/// Uses a token once, in the batch that creates the account.
pub(crate) fn spend(tx: &mut Tx, token: &str, now: u64) -> Result<(), Error> {
    let row = tx.get_for_update(REGISTRATION_TOKENS, token)?;
    let mut row = row
        .filter(|row| is_valid(row, now))
        .ok_or(Error::Forbidden(Refusal::RegistrationToken))?;
    row.completed += 1;
    Ok(tx.put(REGISTRATION_TOKENS, token, &row)?)
}

fn is_token(token: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    (1..=LONGEST).contains(&token.len()) && token.bytes().all(allowed)
}

impl Users {
    /// Whether somebody could register with this token now.
    pub async fn registration_token_is_valid(&self, token: &str) -> Result<bool, Error> {
        let (token, now) = (token.to_owned(), self.now());
        self.read(move |s| {
            Ok(s.get(REGISTRATION_TOKENS, &token)?
                .is_some_and(|row| is_valid(&row, now)))
        })
        .await
    }

    /// Makes a token: the given one, or a random one.
    pub async fn create_registration_token(
        &self,
        token: Option<String>,
        uses_allowed: Option<u64>,
        expires: Option<u64>,
    ) -> Result<RegistrationToken, Error> {
        let token = token.unwrap_or_else(|| base::random::token(&*self.inner.random, 16));
        if !is_token(&token) {
            return Err(Error::InvalidParam(
                "a registration token has 1 to 64 characters out of A-Z a-z 0-9 . _ ~ -".to_owned(),
            ));
        }
        let row = Row {
            uses_allowed,
            completed: 0,
            expires,
            created: self.now(),
        };
        let made = RegistrationToken::of(token.clone(), &row);
        self.write(move |tx| {
            if tx.get_for_update(REGISTRATION_TOKENS, &token)?.is_some() {
                return Err(Error::InvalidParam(
                    "this registration token exists already".to_owned(),
                ));
            }
            Ok(tx.put(REGISTRATION_TOKENS, &token, &row)?)
        })
        .await?;
        Ok(made)
    }

    /// Changes a token.
    pub async fn change_registration_token(
        &self,
        token: &str,
        change: TokenChange,
    ) -> Result<RegistrationToken, Error> {
        let token = token.to_owned();
        self.write(move |tx| {
            let row = tx.get_for_update(REGISTRATION_TOKENS, &token)?;
            let mut row = row.ok_or(Error::NotFound(What::RegistrationToken))?;
            row.uses_allowed = change.uses_allowed.unwrap_or(row.uses_allowed);
            row.expires = change.expires.unwrap_or(row.expires);
            tx.put(REGISTRATION_TOKENS, &token, &row)?;
            Ok(RegistrationToken::of(token.clone(), &row))
        })
        .await
    }

    /// Removes a token.
    pub async fn delete_registration_token(&self, token: &str) -> Result<(), Error> {
        let token = token.to_owned();
        self.write(move |tx| {
            tx.get_for_update(REGISTRATION_TOKENS, &token)?
                .ok_or(Error::NotFound(What::RegistrationToken))?;
            tx.delete(REGISTRATION_TOKENS, &token);
            Ok(())
        })
        .await
    }

    /// One token.
    pub async fn registration_token(&self, token: &str) -> Result<RegistrationToken, Error> {
        let token = token.to_owned();
        self.read(move |s| {
            let row = s
                .get(REGISTRATION_TOKENS, &token)?
                .ok_or(Error::NotFound(What::RegistrationToken))?;
            Ok(RegistrationToken::of(token, &row))
        })
        .await
    }

    /// Every token; with `valid`, only those that are valid, or are not.
    pub async fn registration_tokens(
        &self,
        valid: Option<bool>,
    ) -> Result<Vec<RegistrationToken>, Error> {
        let now = self.now();
        self.read(move |s| {
            let mut tokens = Vec::new();
            for row in s.scan(REGISTRATION_TOKENS, .., Order::Forward) {
                let (token, row) = row?;
                if valid.is_none_or(|valid| valid == is_valid(&row, now)) {
                    tokens.push(RegistrationToken::of(token, &row));
                }
            }
            Ok(tokens)
        })
        .await
    }
}
