//! E-mail addresses and telephone numbers of accounts. That somebody owns one has been proved elsewhere before it gets here.

use ruma::{OwnedUserId, UserId};
use store::rows::users::Threepid as Row;
use store::tables::{THREEPID_OWNERS, THREEPIDS};
use store::{Order, Snapshot, UserNo};

use crate::{Error, Users, What};

const LIMIT: usize = 500;
/// Most addresses of one account.
const MOST: usize = 50;

/// An address of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threepid {
    /// `email` or `msisdn`.
    pub medium: String,
    /// The address, in the form in which it is compared.
    pub address: String,
    /// When its owner proved that it is theirs, in milliseconds since 1970.
    pub validated: u64,
    /// When it was added.
    pub added: u64,
}

/// The addresses of a user.
pub fn list(s: &Snapshot, user: UserNo) -> Result<Vec<Threepid>, Error> {
    let rows = s.prefix(THREEPIDS, &(user,), Order::Forward);
    rows.map(|row| {
        let ((_, medium, address), Row { validated, added }) = row?;
        Ok(Threepid {
            medium,
            address,
            validated,
            added,
        })
    })
    .collect()
}

/// The form in which addresses are compared (appendices, "Common identifiers").
fn compared(medium: &str, address: &str) -> Result<String, Error> {
    if address.is_empty() || address.len() > LIMIT || address.chars().any(char::is_control) {
        return Err(Error::InvalidParam("this is not an address".to_owned()));
    }
    match medium {
        "email" => Ok(address.to_lowercase()),
        "msisdn" if address.bytes().all(|byte| byte.is_ascii_digit()) => Ok(address.to_owned()),
        _ => Err(Error::InvalidParam(
            "the medium has to be email, or msisdn with digits only".to_owned(),
        )),
    }
}

impl Users {
    /// The addresses of a user.
    pub async fn threepids(&self, user: &UserId) -> Result<Vec<Threepid>, Error> {
        let no = self.local_no(user)?;
        self.read(move |s| list(s, no)).await
    }

    /// Adds an address that its owner has proved to be theirs at `validated`.
    ///
    /// # Errors
    /// If it belongs to another account.
    pub async fn add_threepid(
        &self,
        user: &UserId,
        medium: &str,
        address: &str,
        validated: u64,
    ) -> Result<(), Error> {
        let (no, medium, address) = (
            self.local_no(user)?,
            medium.to_owned(),
            compared(medium, address)?,
        );
        let row = Row {
            validated,
            added: self.now(),
        };
        self.write(move |tx| {
            let place = (medium.as_str(), address.as_str());
            if tx
                .get_for_update(THREEPID_OWNERS, &place)?
                .is_some_and(|owner| owner != no)
            {
                return Err(Error::InvalidParam(
                    "this address belongs to another account".to_owned(),
                ));
            }
            if tx.prefix(THREEPIDS, &(no,), Order::Forward).keys().count() >= MOST {
                return Err(Error::TooMany("addresses"));
            }
            tx.put(THREEPID_OWNERS, &place, &no)?;
            Ok(tx.put(THREEPIDS, &(no, medium.as_str(), address.as_str()), &row)?)
        })
        .await
    }

    /// Removes an address.
    pub async fn delete_threepid(
        &self,
        user: &UserId,
        medium: &str,
        address: &str,
    ) -> Result<(), Error> {
        let (no, medium, address) = (
            self.local_no(user)?,
            medium.to_owned(),
            compared(medium, address)?,
        );
        self.write(move |tx| {
            let owner = tx.get_for_update(THREEPID_OWNERS, &(medium.as_str(), address.as_str()))?;
            if owner != Some(no) {
                return Err(Error::NotFound(What::Threepid));
            }
            tx.delete(THREEPID_OWNERS, &(medium.as_str(), address.as_str()));
            tx.delete(THREEPIDS, &(no, medium.as_str(), address.as_str()));
            Ok(())
        })
        .await
    }

    /// Whose address this is.
    pub async fn threepid_owner(
        &self,
        medium: &str,
        address: &str,
    ) -> Result<Option<OwnedUserId>, Error> {
        let place = (medium.to_owned(), compared(medium, address)?);
        self.read(move |s| {
            s.get(THREEPID_OWNERS, &place)?
                .map(|no| s.user_id(no).map_err(Error::from))
                .transpose()
        })
        .await
    }
}
