//! Profiles: display name, avatar, and whatever else users tell about themselves (CS "Profiles"). Telling rooms of a change
//! is for `actions`.

use std::collections::BTreeMap;
use std::sync::Arc;

use ruma::UserId;
use serde_json::value::RawValue;
use store::tables::{ACCOUNTS, PROFILES};
use store::{Change, Json, Order, Snapshot, Tx, UserNo};

use crate::cached::{Cached, Changing};
use crate::{Error, Users, What};

/// The display name's field.
pub const DISPLAYNAME: &str = "displayname";
/// The avatar's field.
pub const AVATAR_URL: &str = "avatar_url";
/// The time zone's field.
pub const TIME_ZONE: &str = "m.tz";

const KEY_LIMIT: usize = 255;
const PROFILE_LIMIT: usize = 64 * 1024;
const NAME_LIMIT: usize = 256;
const URL_LIMIT: usize = 1000;

/// What rooms are told of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Basics {
    /// The display name.
    pub displayname: Option<String>,
    /// The avatar's URL.
    pub avatar_url: Option<String>,
}

/// Names and avatars in memory.
pub(crate) struct Hot(Cached<UserNo, Arc<Basics>>);

impl Hot {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Cached::new(capacity))
    }

    pub(crate) fn changing(&self, user: UserNo) -> Changing {
        self.0.changing(user)
    }
}

/// A field of a user's profile.
pub fn get(s: &Snapshot, user: UserNo, field: &str) -> Result<Option<Json>, Error> {
    Ok(s.get(PROFILES, &(user, field))?)
}

/// A user's whole profile.
pub fn all(s: &Snapshot, user: UserNo) -> Result<BTreeMap<String, Json>, Error> {
    let rows = s.prefix(PROFILES, &(user,), Order::Forward);
    rows.map(|row| {
        row.map(|((_, field), value)| (field, value))
            .map_err(Error::from)
    })
    .collect()
}

/// A user's name and avatar.
pub fn basics(s: &Snapshot, user: UserNo) -> Result<Basics, Error> {
    let text = |field| -> Result<Option<String>, Error> {
        Ok(get(s, user, field)?.and_then(|json| json.parse().ok()))
    };
    Ok(Basics {
        displayname: text(DISPLAYNAME)?,
        avatar_url: text(AVATAR_URL)?,
    })
}

/// Removes a profile.
pub(crate) fn forget(tx: &mut Tx, user: UserNo) {
    tx.delete_prefix(PROFILES, &(user,));
    tx.log(Change::Profile { user });
}

fn check_key(field: &str) -> Result<(), Error> {
    if field.is_empty() {
        return Err(Error::InvalidParam(
            "a profile field needs a name".to_owned(),
        ));
    }
    if field.len() > KEY_LIMIT {
        return Err(Error::KeyTooLarge);
    }
    Ok(())
}

/// Checks a value, and says whether there is anything to keep: an empty name or avatar is none.
fn check_value(field: &str, value: &RawValue) -> Result<bool, Error> {
    let limit = match field {
        DISPLAYNAME => NAME_LIMIT,
        AVATAR_URL | TIME_ZONE => URL_LIMIT,
        _ => {
            return if value.get().len() > PROFILE_LIMIT {
                Err(Error::ProfileTooLarge)
            } else {
                Ok(true)
            };
        }
    };
    let wrong = |_| Error::InvalidParam(format!("{field} has to be text"));
    let Some(text) = serde_json::from_str::<Option<String>>(value.get()).map_err(wrong)? else {
        return Ok(false);
    };
    if text.len() > limit {
        return Err(Error::InvalidParam(format!(
            "{field} may have at most {limit} bytes"
        )));
    }
    Ok(!text.is_empty())
}

/// Writes a field, or removes it. Says whether something changed.
fn put(tx: &mut Tx, user: UserNo, field: &str, value: Option<&str>) -> Result<bool, Error> {
    if tx
        .get_for_update(ACCOUNTS, &user)?
        .is_none_or(|account| account.deactivated.is_some())
    {
        return Err(Error::NotFound(What::User));
    }
    let before = tx.get_for_update(PROFILES, &(user, field))?;
    if before.as_deref() == value {
        return Ok(false);
    }
    match value {
        Some(value) => {
            let others = all(tx, user)?
                .into_iter()
                .filter(|(other, _)| other != field);
            // Per field: quotes, colon and comma.
            let size: usize = others
                .map(|(other, value)| other.len() + value.len() + 4)
                .sum();
            if size + field.len() + value.len() + 6 > PROFILE_LIMIT {
                return Err(Error::ProfileTooLarge);
            }
            tx.put(PROFILES, &(user, field), value)?;
        }
        None => tx.delete(PROFILES, &(user, field)),
    }
    tx.log(Change::Profile { user });
    Ok(true)
}

impl Users {
    /// A user's whole profile, as far as it is kept here.
    pub async fn profile(&self, user: &UserId) -> Result<BTreeMap<String, Box<RawValue>>, Error> {
        let no = self.with_account(user).await?;
        let fields = self.read(move |s| all(s, no)).await?;
        fields
            .into_iter()
            .map(|(field, value)| Ok((field, raw(value)?)))
            .collect()
    }

    /// A field of a user's profile.
    pub async fn profile_field(&self, user: &UserId, field: &str) -> Result<Box<RawValue>, Error> {
        check_key(field)?;
        let no = self.with_account(user).await?;
        let field = field.to_owned();
        raw(self
            .read(move |s| get(s, no, &field))
            .await?
            .ok_or(Error::NotFound(What::ProfileField))?)
    }

    /// A user's name and avatar; usually from memory.
    pub fn profile_basics(&self, user: &UserId) -> Result<Arc<Basics>, Error> {
        let Some(no) = self.store().snapshot().user_no(user)? else {
            return Ok(Arc::default());
        };
        if let Some(basics) = self.inner.profiles.0.get(&no) {
            return Ok(basics);
        }
        self.inner.profiles.0.load(no, no, || {
            basics(&self.store().snapshot(), no).map(Arc::new)
        })
    }

    /// Sets a field of a user's profile. Says whether something changed.
    pub async fn set_profile_field(
        &self,
        user: &UserId,
        field: &str,
        value: &RawValue,
    ) -> Result<bool, Error> {
        check_key(field)?;
        let value = check_value(field, value)?.then(|| value.get().trim().to_owned());
        self.change_profile(user, field, value).await
    }

    /// Removes a field of a user's profile. Says whether something changed.
    pub async fn delete_profile_field(&self, user: &UserId, field: &str) -> Result<bool, Error> {
        check_key(field)?;
        self.change_profile(user, field, None).await
    }

    async fn change_profile(
        &self,
        user: &UserId,
        field: &str,
        value: Option<String>,
    ) -> Result<bool, Error> {
        let (no, field, users) = (self.local_no(user)?, field.to_owned(), self.clone());
        self.in_lane(no, async move {
            let _profile = users.inner.profiles.changing(no);
            users
                .write(move |tx| put(tx, no, &field, value.as_deref()))
                .await
        })
        .await
    }

    /// The number of a user who has an account here, deactivated or not, unless they asked to be forgotten.
    async fn with_account(&self, user: &UserId) -> Result<UserNo, Error> {
        let no = self.local_no(user)?;
        self.read(move |s| match s.get(ACCOUNTS, &no)? {
            Some(account) if !account.erased => Ok(no),
            _ => Err(Error::NotFound(What::User)),
        })
        .await
    }
}

fn raw(json: Json) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(json.into_boxed_str().into()).map_err(|_| Error::Damaged("profile"))
}
