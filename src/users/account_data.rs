//! Account data: what clients keep with the account, or with the account and a room; tags and the list of ignored users
//! among it (CS "Client Config", "Room Tagging", "Ignoring Users").
//!
//! An index by position tells a sync what has changed. What was deleted stays as an empty row, so that a client that was
//! away hears of it (MSC3391).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use ruma::{OwnedUserId, RoomId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::rows::users::{AccountData as Row, DataKey};
use store::tables::{ACCOUNT_DATA, ACCOUNT_DATA_LOG};
use store::{Change, Order, Pos, RoomNo, Snapshot, Tx, UserNo};

use crate::cached::{Cached, Changing};
use crate::{Error, Users, What, push_rules};

/// Where the read marker stands; the server writes it.
pub const FULLY_READ: &str = "m.fully_read";
/// Where the push rules stand; the server writes them.
pub const PUSH_RULES: &str = "m.push_rules";
/// Where the ignored users stand.
pub const IGNORED_USERS: &str = "m.ignored_user_list";
/// Where a room's tags stand.
pub const TAGS: &str = "m.tag";
/// Settings of one device, which go with it (MSC3890).
const OF_DEVICE: &str = "org.matrix.msc3890.local_notification_settings.";

/// A piece of account data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The room that it is about, or none.
    pub room: Option<RoomNo>,
    /// Its type.
    pub kind: String,
    /// Its content, as JSON; `{}` if it was deleted.
    pub content: String,
    /// When it last changed.
    pub pos: Pos,
    /// Whether it was deleted.
    pub deleted: bool,
}

/// The content of a piece of account data, as JSON. Push rules that nobody has changed are those of the specification.
pub fn get(
    s: &Snapshot,
    user: UserNo,
    room: Option<RoomNo>,
    kind: &str,
) -> Result<Option<String>, Error> {
    let row = s.get(ACCOUNT_DATA, &(user, room, kind))?;
    match row.filter(|row| !row.deleted) {
        None if room.is_none() && kind == PUSH_RULES => Ok(Some(push_rules::content(s, user)?)),
        row => Ok(row.map(|row| row.content)),
    }
}

/// When a piece of account data last changed, if ever.
pub fn changed_at(
    s: &Snapshot,
    user: UserNo,
    room: Option<RoomNo>,
    kind: &str,
) -> Result<Option<Pos>, Error> {
    Ok(s.get(ACCOUNT_DATA, &(user, room, kind))?.map(|row| row.pos))
}

/// Everything there is for a room, or for the account as a whole; what was deleted is left out.
pub fn all(s: &Snapshot, user: UserNo, room: Option<RoomNo>) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    for row in s.prefix(ACCOUNT_DATA, &(user, room), Order::Forward) {
        let (
            (_, room, kind),
            Row {
                pos,
                content,
                deleted,
            },
        ) = row?;
        if !deleted {
            pieces.push(Piece {
                room,
                kind,
                content,
                pos,
                deleted,
            });
        }
    }
    if room.is_none() && !pieces.iter().any(|piece| piece.kind == PUSH_RULES) {
        let content = push_rules::content(s, user)?;
        pieces.push(Piece {
            room,
            kind: PUSH_RULES.to_owned(),
            content,
            pos: Pos::ZERO,
            deleted: false,
        });
    }
    Ok(pieces)
}

/// What of a user's account data, for whatever room, last changed in `(after, upto]`, in that order.
pub fn changed(s: &Snapshot, user: UserNo, after: Pos, upto: Pos) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    for row in s.scan(
        ACCOUNT_DATA_LOG,
        (user, after.next())..=(user, upto),
        Order::Forward,
    ) {
        let (_, DataKey { room, kind }) = row?;
        if let Some(Row {
            pos,
            content,
            deleted,
        }) = s.get(ACCOUNT_DATA, &(user, room, kind.as_str()))?
        {
            pieces.push(Piece {
                room,
                kind,
                content,
                pos,
                deleted,
            });
        }
    }
    Ok(pieces)
}

/// What of a user's account data for one room, or for the account as a whole, last changed in `(after, upto]`.
pub fn since(
    s: &Snapshot,
    user: UserNo,
    room: Option<RoomNo>,
    after: Pos,
    upto: Pos,
) -> Result<Vec<Piece>, Error> {
    let mut pieces = changed(s, user, after, upto)?;
    pieces.retain(|piece| piece.room == room);
    Ok(pieces)
}

/// Sets a piece of account data; nothing deletes it.
pub(crate) fn put(
    tx: &mut Tx,
    user: UserNo,
    room: Option<RoomNo>,
    kind: &str,
    content: Option<&str>,
) -> Result<(), Error> {
    let place = (user, room, kind);
    if let Some(before) = tx.get_for_update(ACCOUNT_DATA, &place)? {
        tx.delete(ACCOUNT_DATA_LOG, &(user, before.pos));
    }
    if room.is_none() && matches!(kind, IGNORED_USERS | PUSH_RULES) {
        tx.log(Change::Filter { user });
    }
    let pos = tx.log(Change::AccountData { user, room });
    let row = Row {
        pos,
        content: content.unwrap_or("{}").to_owned(),
        deleted: content.is_none(),
    };
    tx.put(ACCOUNT_DATA, &place, &row)?;
    Ok(tx.put(
        ACCOUNT_DATA_LOG,
        &(user, pos),
        &DataKey {
            room,
            kind: kind.to_owned(),
        },
    )?)
}

/// Removes everything a user has kept.
pub(crate) fn forget(tx: &mut Tx, user: UserNo) -> Result<(), Error> {
    tx.delete_prefix(ACCOUNT_DATA, &(user,));
    tx.delete_prefix(ACCOUNT_DATA_LOG, &(user,));
    Ok(())
}

/// Removes the settings of a device that goes.
pub(crate) fn remove_of_device(tx: &mut Tx, user: UserNo, device: &str) -> Result<(), Error> {
    let kind = format!("{OF_DEVICE}{device}");
    match tx.get(ACCOUNT_DATA, &(user, None::<RoomNo>, kind.as_str()))? {
        Some(row) if !row.deleted => put(tx, user, None, &kind, None),
        _ => Ok(()),
    }
}

/// A room's tags, with whatever clients have noted for each.
pub type Tags = BTreeMap<String, Box<RawValue>>;

#[derive(Default, Serialize, Deserialize)]
struct TagContent {
    #[serde(default)]
    tags: Tags,
}

fn read_tags(s: &Snapshot, user: UserNo, room: RoomNo) -> Result<Tags, Error> {
    let content = get(s, user, Some(room), TAGS)?;
    // A client may have written anything there itself; what is not a list of tags is none.
    Ok(content
        .and_then(|json| serde_json::from_str::<TagContent>(&json).ok())
        .unwrap_or_default()
        .tags)
}

/// Whom users ignore, in memory.
pub(crate) struct HotIgnored(Cached<UserNo, Arc<HashSet<OwnedUserId>>>);

impl HotIgnored {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Cached::new(capacity))
    }

    pub(crate) fn changing(&self, user: UserNo) -> Changing {
        self.0.changing(user)
    }
}

/// Whom a user ignores.
pub fn ignored(s: &Snapshot, user: UserNo) -> Result<HashSet<OwnedUserId>, Error> {
    #[derive(Default, Deserialize)]
    struct Content {
        #[serde(default)]
        ignored_users: BTreeMap<String, serde::de::IgnoredAny>,
    }
    let content = get(s, user, None, IGNORED_USERS)?;
    let content: Content = content
        .and_then(|json| serde_json::from_str(&json).ok())
        .unwrap_or_default();
    Ok(content
        .ignored_users
        .into_keys()
        .filter_map(|user| UserId::parse(user).ok())
        .collect())
}

/// Types that clients may not write themselves.
fn refuse_managed(kind: &str) -> Result<(), Error> {
    if matches!(kind, FULLY_READ | PUSH_RULES) {
        return Err(Error::ServerManaged(kind.to_owned()));
    }
    if kind.is_empty() || kind.len() > 255 {
        return Err(Error::TooLarge("the type"));
    }
    Ok(())
}

fn check_object(content: &RawValue) -> Result<String, Error> {
    let text = content.get().trim();
    if text.starts_with('{') {
        Ok(text.to_owned())
    } else {
        Err(Error::BadJson(
            "account data has to be an object".to_owned(),
        ))
    }
}

impl Users {
    /// The content of a piece of account data.
    pub async fn account_data(
        &self,
        user: &UserId,
        room: Option<&RoomId>,
        kind: &str,
    ) -> Result<Box<RawValue>, Error> {
        let (no, room, kind) = (
            self.local_no(user)?,
            room.map(ToOwned::to_owned),
            kind.to_owned(),
        );
        let content = self
            .read(move |s| match room {
                None => get(s, no, None, &kind),
                Some(room) => match s.room_no(&room)? {
                    Some(room) => get(s, no, Some(room), &kind),
                    None => Ok(None),
                },
            })
            .await?;
        let content = content.ok_or(Error::NotFound(What::AccountData))?;
        RawValue::from_string(content).map_err(|_| Error::Damaged("account data"))
    }

    /// Sets a piece of account data, as a client may. An empty object deletes it (MSC3391).
    pub async fn set_account_data(
        &self,
        user: &UserId,
        room: Option<&RoomId>,
        kind: &str,
        content: &RawValue,
    ) -> Result<(), Error> {
        refuse_managed(kind)?;
        let is_nothing = content.get().trim() == "{}";
        self.write_account_data(user, room, kind, (!is_nothing).then_some(content))
            .await
    }

    /// Deletes a piece of account data, as a client may. That there was none is no error.
    pub async fn delete_account_data(
        &self,
        user: &UserId,
        room: Option<&RoomId>,
        kind: &str,
    ) -> Result<(), Error> {
        refuse_managed(kind)?;
        self.write_account_data(user, room, kind, None).await
    }

    /// Moves the marker of what a user has read in a room.
    pub async fn set_fully_read(
        &self,
        user: &UserId,
        room: &RoomId,
        content: &RawValue,
    ) -> Result<(), Error> {
        self.write_account_data(user, Some(room), FULLY_READ, Some(content))
            .await
    }

    async fn write_account_data(
        &self,
        user: &UserId,
        room: Option<&RoomId>,
        kind: &str,
        content: Option<&RawValue>,
    ) -> Result<(), Error> {
        let content = content.map(check_object).transpose()?;
        self.change_account_data(user, room, kind, move |_, _, _| Ok(content.clone()))
            .await
    }

    /// Replaces a piece of account data by what `decide` makes of the moment.
    async fn change_account_data(
        &self,
        user: &UserId,
        room: Option<&RoomId>,
        kind: &str,
        decide: impl Fn(&Snapshot, UserNo, Option<RoomNo>) -> Result<Option<String>, Error>
        + Send
        + 'static,
    ) -> Result<(), Error> {
        let (no, room, kind, users) = (
            self.local_no(user)?,
            room.map(ToOwned::to_owned),
            kind.to_owned(),
            self.clone(),
        );
        self.in_lane(no, async move {
            let _ignored = (kind == IGNORED_USERS).then(|| users.inner.ignored.changing(no));
            users
                .write(move |tx| {
                    let room = room
                        .as_deref()
                        .map(|room| tx.intern_room(room))
                        .transpose()?;
                    let content = decide(tx, no, room)?;
                    put(tx, no, room, &kind, content.as_deref())
                })
                .await
        })
        .await
    }

    /// A room's tags.
    pub async fn tags(&self, user: &UserId, room: &RoomId) -> Result<Tags, Error> {
        let (no, room) = (self.local_no(user)?, room.to_owned());
        self.read(move |s| match s.room_no(&room)? {
            Some(room) => read_tags(s, no, room),
            None => Ok(Tags::new()),
        })
        .await
    }

    /// Tags a room.
    pub async fn set_tag(
        &self,
        user: &UserId,
        room: &RoomId,
        tag: &str,
        info: Box<RawValue>,
    ) -> Result<(), Error> {
        if tag.is_empty() || tag.len() > 255 {
            return Err(Error::TooLarge("the tag"));
        }
        check_object(&info)?;
        let tag = tag.to_owned();
        self.change_tags(user, room, move |tags| {
            tags.insert(tag.clone(), info.clone());
        })
        .await
    }

    /// Removes a tag from a room. That there was none is no error.
    pub async fn delete_tag(&self, user: &UserId, room: &RoomId, tag: &str) -> Result<(), Error> {
        let tag = tag.to_owned();
        self.change_tags(user, room, move |tags| {
            tags.remove(&tag);
        })
        .await
    }

    /// Gives a room the tags that the user has given to another, unless it has some.
    pub async fn inherit_tags(
        &self,
        user: &UserId,
        from: &RoomId,
        to: &RoomId,
    ) -> Result<(), Error> {
        let tags = self.tags(user, from).await?;
        if tags.is_empty() || !self.tags(user, to).await?.is_empty() {
            return Ok(());
        }
        self.change_tags(user, to, move |now| {
            if now.is_empty() {
                now.clone_from(&tags);
            }
        })
        .await
    }

    async fn change_tags(
        &self,
        user: &UserId,
        room: &RoomId,
        change: impl Fn(&mut Tags) + Send + 'static,
    ) -> Result<(), Error> {
        let decide = move |s: &Snapshot, user, room: Option<RoomNo>| {
            let room = room.ok_or(Error::Bug("tags without a room"))?;
            let mut tags = read_tags(s, user, room)?;
            change(&mut tags);
            let content = serde_json::to_string(&TagContent { tags });
            content
                .map(Some)
                .map_err(|_| Error::Bug("tags that are not JSON"))
        };
        self.change_account_data(user, Some(room), TAGS, decide)
            .await
    }

    /// Whom a user ignores; usually from memory.
    pub fn ignored_by(&self, user: UserNo) -> Result<Arc<HashSet<OwnedUserId>>, Error> {
        if let Some(ignored) = self.inner.ignored.0.get(&user) {
            return Ok(ignored);
        }
        self.inner.ignored.0.load(user, user, || {
            ignored(&self.store().snapshot(), user).map(Arc::new)
        })
    }
}
