//! How an account comes to be: its name, password, first session and the use of a registration token are one batch, so
//! that of two people who want the same name or the last use of a token, one gets it and the other hears so.

use base::{Secret, random};
use ruma::{OwnedUserId, UserId};
use store::Tx;
use store::rows::users::Account;
use store::tables::{ACCOUNTS, PASSWORDS, PROFILES};

use crate::sessions::{NewSession, Tokens};
use crate::{Error, Users, accounts, profile, registration_tokens};

/// An account to be created. Whether somebody may register at all, and whether the name is free for people, has been judged.
#[derive(Debug, Clone, Default)]
pub struct Registration {
    /// The wanted name; without one, a random name.
    pub username: Option<String>,
    /// The password; without one, nobody can log in with a password.
    pub password: Option<Secret>,
    /// Whether it is a guest's account.
    pub guest: bool,
    /// Whether its owner administers this server.
    pub admin: bool,
    /// The registration token that pays for it.
    pub token: Option<String>,
    /// The application service that creates it.
    pub appservice: Option<String>,
    /// The display name to begin with.
    pub display_name: Option<String>,
    /// What to log in with at once.
    pub session: Option<NewSession>,
}

/// What has been created.
#[derive(Debug, Clone)]
pub struct Registered {
    /// The user.
    pub user_id: OwnedUserId,
    /// Their tokens, if they wanted to be logged in.
    pub tokens: Option<Tokens>,
}

impl Users {
    /// Creates an account.
    ///
    /// # Errors
    /// If the name is taken or not a name, the password too weak, or the registration token not valid.
    pub async fn register(&self, wanted: Registration) -> Result<Registered, Error> {
        let user = match &wanted.username {
            Some(name) => self.available(name).await?,
            None => self.random_name(wanted.guest)?,
        };
        let hash = match wanted.password.clone() {
            Some(password) => Some(self.hash_password(password).await?),
            None => None,
        };
        match wanted.token.clone() {
            // Many may share a token; they take turns, lest they all but one fail again and again.
            Some(token) => {
                let users = self.clone();
                self.inner
                    .token_lanes
                    .run(token, async move { users.create(user, wanted, hash).await })
                    .await
            }
            None => self.create(user, wanted, hash).await,
        }
    }

    async fn create(
        &self,
        user: OwnedUserId,
        wanted: Registration,
        hash: Option<String>,
    ) -> Result<Registered, Error> {
        let now = self.now();
        let session = match &wanted.session {
            Some(session) => {
                let device = self.device_for(session.device_id.clone())?;
                Some((
                    self.fresh(session.refreshable),
                    device,
                    session.display_name.clone(),
                ))
            }
            None => None,
        };
        let row = Account {
            created: now,
            guest: wanted.guest,
            admin: wanted.admin,
            appservice: wanted.appservice.clone(),
            ..Account::default()
        };
        let (name, token, user_id, opened) = (
            wanted.display_name,
            wanted.token,
            user.clone(),
            session.clone(),
        );
        self.write(move |tx| {
            let no = create(tx, &user, &row, hash.as_deref(), name.as_deref())?;
            if let Some(token) = &token {
                registration_tokens::spend(tx, token, now)?;
            }
            if let Some((fresh, device, name)) = &opened {
                fresh.write(tx, no, device, name.as_deref(), now)?;
            }
            Ok(())
        })
        .await?;
        let tokens = session.map(|(fresh, device, _)| fresh.into_tokens(user_id.clone(), device));
        Ok(Registered { user_id, tokens })
    }

    /// A name for somebody who has not chosen one.
    fn random_name(&self, guest: bool) -> Result<OwnedUserId, Error> {
        let word = random::token(&*self.inner.random, 12).to_ascii_lowercase();
        let name = if guest { format!("guest-{word}") } else { word };
        accounts::user_id(&name, &self.inner.server_name)
    }
}

fn create(
    tx: &mut Tx,
    user: &UserId,
    row: &Account,
    hash: Option<&str>,
    name: Option<&str>,
) -> Result<store::UserNo, Error> {
    let no = tx.intern_user(user)?;
    if tx.get_for_update(ACCOUNTS, &no)?.is_some() {
        return Err(Error::UserInUse);
    }
    tx.put(ACCOUNTS, &no, row)?;
    if let Some(hash) = hash {
        tx.put(PASSWORDS, &no, hash)?;
    }
    if let Some(name) = name {
        let value = store::Json::of(name).map_err(|_| Error::Bug("a name that is not JSON"))?;
        tx.put(PROFILES, &(no, profile::DISPLAYNAME), &value)?;
    }
    Ok(no)
}
