//! Accounts: names, whether they exist, and what moderators do to them. How one comes to be is in `registration.rs`.

use ruma::{OwnedUserId, UserId};
use store::rows::users::Account as Row;
use store::tables::{ACCOUNTS, PASSWORDS, THREEPID_OWNERS, THREEPIDS};
use store::{Order, Snapshot, Tx, UserNo};

use crate::{Error, Users, What, account_data, dehydrated, devices, known, profile, pushers};

/// An account, as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// When it was created, in milliseconds since 1970.
    pub created: u64,
    /// Whether it belongs to a guest.
    pub guest: bool,
    /// Whether its owner administers this server.
    pub admin: bool,
    /// When it was deactivated.
    pub deactivated: Option<u64>,
    /// Whether its owner asked to be forgotten.
    pub erased: bool,
    /// Whether it can do nothing but log out.
    pub locked: bool,
    /// Whether it can only read.
    pub suspended: bool,
    /// The application service that owns it.
    pub appservice: Option<String>,
}

impl From<Row> for Account {
    fn from(row: Row) -> Self {
        let Row {
            created,
            guest,
            admin,
            deactivated,
            erased,
            locked,
            suspended,
            appservice,
        } = row;
        Self {
            created,
            guest,
            admin,
            deactivated,
            erased,
            locked,
            suspended,
            appservice,
        }
    }
}

/// What somebody may change about an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Whether its owner administers this server.
    Admin(bool),
    /// Whether it can do nothing but log out.
    Locked(bool),
    /// Whether it can only read.
    Suspended(bool),
}

/// The user id that a wanted name stands for. Capitals become small letters, so that nobody can pose as somebody else.
///
/// # Errors
/// If the name does not follow the grammar (appendices, "User Identifiers").
pub fn user_id(wanted: &str, server_name: &ruma::ServerName) -> Result<OwnedUserId, Error> {
    let localpart = wanted.to_ascii_lowercase();
    if localpart.is_empty() {
        return Err(Error::InvalidUsername("it is empty"));
    }
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._=-/+".contains(&byte);
    if !localpart.bytes().all(allowed) {
        return Err(Error::InvalidUsername(
            "it may contain only a to z, 0 to 9 and the characters . _ = - / +",
        ));
    }
    let id = format!("@{localpart}:{server_name}");
    if id.len() > 255 {
        return Err(Error::InvalidUsername("it is too long"));
    }
    UserId::parse(id.as_str()).map_err(|_| Error::InvalidUsername("it is not a user id"))
}

/// The user whom somebody means who logs in: by their name alone, or by their whole id.
///
/// # Errors
/// If it is neither, or the id of another server's user.
pub fn login_id(written: &str, server_name: &ruma::ServerName) -> Result<OwnedUserId, Error> {
    let written = written.trim();
    let Some(id) = written.strip_prefix('@') else {
        return user_id(written, server_name);
    };
    match id.split_once(':') {
        Some((name, server)) if server == server_name => user_id(name, server_name),
        Some(_) => Err(Error::InvalidUsername("it belongs to another server")),
        None => user_id(id, server_name),
    }
}

/// The account of a user, if they have one here.
pub fn get(snapshot: &Snapshot, user: UserNo) -> Result<Option<Account>, Error> {
    Ok(snapshot.get(ACCOUNTS, &user)?.map(Account::from))
}

/// Every account, in the order in which they were first heard of, after one and up to so many.
pub fn list(
    snapshot: &Snapshot,
    after: Option<UserNo>,
    max: usize,
) -> Result<Vec<(UserNo, OwnedUserId, Account)>, Error> {
    let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
    let rows = snapshot
        .scan(ACCOUNTS, (from, std::ops::Bound::Unbounded), Order::Forward)
        .take(max);
    rows.map(|row| {
        let (user, account) = row?;
        Ok((user, snapshot.user_id(user)?, account.into()))
    })
    .collect()
}

impl Users {
    /// The account of a user, if they have one here.
    pub async fn account(&self, user: &UserId) -> Result<Option<Account>, Error> {
        let user = user.to_owned();
        self.read(move |s| match s.user_no(&user)? {
            Some(no) => get(s, no),
            None => Ok(None),
        })
        .await
    }

    /// Whether a user has an account here that has not been deactivated.
    pub async fn is_active(&self, user: &UserId) -> Result<bool, Error> {
        Ok(self
            .account(user)
            .await?
            .is_some_and(|account| account.deactivated.is_none()))
    }

    /// The user id that a wanted name would give, if nobody has it.
    pub async fn available(&self, wanted: &str) -> Result<OwnedUserId, Error> {
        let user = user_id(wanted, &self.inner.server_name)?;
        match self.account(&user).await? {
            Some(_) => Err(Error::UserInUse),
            None => Ok(user),
        }
    }

    /// Every account, up to `max` of them after one.
    pub async fn accounts(
        &self,
        after: Option<&UserId>,
        max: usize,
    ) -> Result<Vec<(OwnedUserId, Account)>, Error> {
        let after = after.map(ToOwned::to_owned);
        self.read(move |s| {
            let after = after.map(|user| known(s, &user)).transpose()?;
            Ok(list(s, after, max)?
                .into_iter()
                .map(|(_, user, account)| (user, account))
                .collect())
        })
        .await
    }

    /// Changes what an account may do.
    pub async fn mark(&self, user: &UserId, mark: Mark) -> Result<(), Error> {
        self.change_account(user, move |account| match mark {
            Mark::Admin(admin) => account.admin = admin,
            Mark::Locked(locked) => account.locked = locked,
            Mark::Suspended(suspended) => account.suspended = suspended,
        })
        .await
    }

    /// Ends an account for ever: its sessions, devices and keys go, its name stays taken. With `erase`, its profile goes,
    /// too, and others are to forget what it said. Leaving its rooms is for the caller, before. Doing it twice is no error.
    pub async fn deactivate(&self, user: &UserId, erase: bool) -> Result<(), Error> {
        let (no, user, now) = (self.local_no(user)?, user.to_owned(), self.now());
        let users = self.clone();
        self.in_lane(no, async move {
            let _sessions = users.inner.sessions.changing(no);
            let _rules = users.inner.rules.changing(no);
            let _ignored = users.inner.ignored.changing(no);
            let _profile = users.inner.profiles.changing(no);
            users
                .write(move |tx| {
                    let mut account = tx
                        .get_for_update(ACCOUNTS, &no)?
                        .ok_or(Error::NotFound(What::User))?;
                    account.deactivated = account.deactivated.or(Some(now));
                    account.erased |= erase;
                    account.admin = false;
                    tx.put(ACCOUNTS, &no, &account)?;
                    forget(tx, no, &user, erase)
                })
                .await
        })
        .await
    }

    /// Gives a deactivated account back to somebody who will set a new password.
    pub async fn reactivate(&self, user: &UserId) -> Result<(), Error> {
        self.change_account(user, |account| {
            account.deactivated = None;
            account.erased = false;
        })
        .await
    }

    async fn change_account(
        &self,
        user: &UserId,
        change: impl Fn(&mut Row) + Send + 'static,
    ) -> Result<(), Error> {
        let no = self.local_no(user)?;
        let users = self.clone();
        self.in_lane(no, async move {
            let _sessions = users.inner.sessions.changing(no);
            users
                .write(move |tx| {
                    let mut account = tx
                        .get_for_update(ACCOUNTS, &no)?
                        .ok_or(Error::NotFound(What::User))?;
                    change(&mut account);
                    Ok(tx.put(ACCOUNTS, &no, &account)?)
                })
                .await
        })
        .await
    }
}

/// Removes what a deactivated account does not need.
fn forget(tx: &mut Tx, no: UserNo, user: &UserId, erase: bool) -> Result<(), Error> {
    tx.delete(PASSWORDS, &no);
    devices::remove_all(tx, no)?;
    dehydrated::forget(tx, no);
    pushers::remove_all(tx, no)?;
    account_data::forget(tx, no)?;
    let threepids: Vec<_> = tx
        .prefix(THREEPIDS, &(no,), Order::Forward)
        .keys()
        .collect::<Result<_, _>>()?;
    for (_, medium, address) in threepids {
        tx.delete(THREEPID_OWNERS, &(medium, address));
    }
    tx.delete_prefix(THREEPIDS, &(no,));
    if erase {
        profile::forget(tx, no);
    }
    tracing::info!(%user, erase, "account deactivated");
    Ok(())
}
