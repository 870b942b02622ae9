//! Cross-signing: the three keys by which a user vouches for their own devices and for other people (CS "Cross-signing").

use std::collections::{BTreeMap, BTreeSet};

use ruma::{CanonicalJsonObject, CanonicalJsonValue, OwnedUserId, UserId};
use serde_json::value::RawValue;
use store::rows::users::DeviceKeys;
use store::tables::{CROSS_SIGNING, DEVICE_KEYS, DEVICES, FOREIGN_SIGNATURES, SIGNED_LOG};
use store::{Change, Json, Order, Pos, Snapshot, Tx, UserNo};

use crate::{Error, Refusal, Users, What, device_keys, device_lists, signed_json};

const LIMIT: usize = 16 * 1024;
/// Most keys whose signatures one request may carry.
const MOST_SIGNED: usize = 1000;

/// What a cross-signing key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Usage {
    /// It signs the other two.
    Master = 0,
    /// It signs the user's devices.
    SelfSigning = 1,
    /// It signs other users' master keys.
    UserSigning = 2,
}

impl Usage {
    const ALL: [Self; 3] = [Self::Master, Self::SelfSigning, Self::UserSigning];

    fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::SelfSigning => "self_signing",
            Self::UserSigning => "user_signing",
        }
    }
}

/// Keys to be uploaded.
#[derive(Debug, Clone, Default)]
pub struct SigningKeys {
    /// The master key.
    pub master: Option<Box<RawValue>>,
    /// The self-signing key.
    pub self_signing: Option<Box<RawValue>>,
    /// The user-signing key.
    pub user_signing: Option<Box<RawValue>>,
}

impl SigningKeys {
    fn get(&self, usage: Usage) -> Option<&RawValue> {
        match usage {
            Usage::Master => self.master.as_deref(),
            Usage::SelfSigning => self.self_signing.as_deref(),
            Usage::UserSigning => self.user_signing.as_deref(),
        }
    }
}

/// A cross-signing key, looked at.
struct SigningKey {
    object: CanonicalJsonObject,
    /// The key as base64, which is its name, too.
    public: String,
}

impl SigningKey {
    fn id(&self) -> String {
        format!("ed25519:{}", self.public)
    }

    fn stored(json: &str) -> Result<Self, Error> {
        let object = signed_json::parse(json).map_err(|_| Error::Damaged("cross-signing key"))?;
        let public = public_key(&object).ok_or(Error::Damaged("cross-signing key"))?;
        Ok(Self { object, public })
    }
}

/// The one key that a cross-signing key object holds, if its name is right.
fn public_key(object: &CanonicalJsonObject) -> Option<String> {
    let mut keys = signed_json::object(object, "keys")?.iter();
    let (Some((id, CanonicalJsonValue::String(public))), None) = (keys.next(), keys.next()) else {
        return None;
    };
    (id.strip_prefix("ed25519:") == Some(public) && signed_json::is_base64_of(public, 32))
        .then(|| public.clone())
}

/// Checks the shape of a cross-signing key.
pub(crate) fn check_shape(
    json: &str,
    user: &UserId,
    usage: Usage,
) -> Result<CanonicalJsonObject, Error> {
    if json.len() > LIMIT {
        return Err(Error::TooLarge("the cross-signing key"));
    }
    let mut object = signed_json::parse(json)?;
    object.remove("unsigned");
    if signed_json::text(&object, "user_id") != Some(user.as_str()) {
        return Err(Error::InvalidParam(
            "the cross-signing key names another user".to_owned(),
        ));
    }
    let fits = |value: &CanonicalJsonValue| value.as_str() == Some(usage.name());
    match object.get("usage") {
        Some(CanonicalJsonValue::Array(usages)) if usages.iter().any(fits) => {}
        _ => {
            return Err(Error::InvalidParam(format!(
                "the key's usage is not {}",
                usage.name()
            )));
        }
    }
    if public_key(&object).is_none() {
        return Err(Error::InvalidParam(
            "a cross-signing key holds one Ed25519 key, which is its name".to_owned(),
        ));
    }
    device_keys::check_signatures_shape(&object)?;
    Ok(object)
}

fn checked(json: &RawValue, user: &UserId, usage: Usage) -> Result<SigningKey, Error> {
    let object = check_shape(json.get(), user, usage)?;
    let public = public_key(&object).ok_or(Error::Bug("a key that was there"))?;
    Ok(SigningKey { object, public })
}

/// A user's cross-signing key.
pub fn get(s: &Snapshot, user: UserNo, usage: Usage) -> Result<Option<Json>, Error> {
    Ok(s.get(CROSS_SIGNING, &(user, usage as u8))?)
}

fn stored(s: &Snapshot, user: UserNo, usage: Usage) -> Result<Option<SigningKey>, Error> {
    get(s, user, usage)?
        .map(|json| SigningKey::stored(&json))
        .transpose()
}

/// Whose keys a user has signed after a position; nobody else hears of that.
pub fn signed_after(s: &Snapshot, signer: UserNo, after: Pos) -> Result<Vec<UserNo>, Error> {
    let rows = s.prefix_range(
        SIGNED_LOG,
        &(signer,),
        (signer, after.next())..,
        Order::Forward,
    );
    rows.map(|row| row.map(|(_, target)| target).map_err(Error::from))
        .collect()
}

/// Whether these keys are those that are stored, so that uploading them changes nothing.
fn changes_nothing(
    s: &Snapshot,
    user: UserNo,
    user_id: &UserId,
    keys: &SigningKeys,
) -> Result<bool, Error> {
    for usage in Usage::ALL {
        let Some(new) = keys.get(usage) else { continue };
        let new = checked(new, user_id, usage)?;
        if stored(s, user, usage)?.is_none_or(|old| old.public != new.public) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Checks new keys against each other and against what is stored, and writes them.
fn replace(tx: &mut Tx, no: UserNo, user: &UserId, keys: &SigningKeys) -> Result<(), Error> {
    let new = |usage| {
        keys.get(usage)
            .map(|json| checked(json, user, usage))
            .transpose()
    };
    let (new_master, old_master) = (new(Usage::Master)?, stored(tx, no, Usage::Master)?);
    // Whatever was decided rests on this key.
    tx.get_for_update(CROSS_SIGNING, &(no, Usage::Master as u8))?;
    let master = new_master
        .as_ref()
        .or(old_master.as_ref())
        .ok_or(Error::MissingParam("master_key"))?;
    let is_new = old_master
        .as_ref()
        .is_none_or(|old| old.public != master.public);
    let mut changed = false;
    for usage in Usage::ALL {
        match new(usage)? {
            Some(key) => {
                if usage != Usage::Master {
                    signed_json::check(&key.object, user.as_str(), &master.id(), &master.public)?;
                }
                changed |= put(tx, no, user, usage, key)?;
            }
            // A key that another master key vouched for is worth nothing under this one.
            None if is_new && usage != Usage::Master => {
                tx.delete(CROSS_SIGNING, &(no, usage as u8));
            }
            None => {}
        }
    }
    if changed {
        device_lists::note(tx, no, &[device_lists::SIGNING_KEYS])?;
    }
    Ok(())
}

/// Writes one key. The same key keeps the signatures that it had.
fn put(
    tx: &mut Tx,
    no: UserNo,
    user: &UserId,
    usage: Usage,
    mut key: SigningKey,
) -> Result<bool, Error> {
    if tx.contains(DEVICES, &(no, key.public.as_str()))? {
        return Err(Error::Forbidden(Refusal::KeyIsDevice));
    }
    let old = stored(tx, no, usage)?;
    match &old {
        Some(old) if old.public == key.public => merge(&mut key.object, &old.object, user),
        Some(old) => tx.delete_prefix(FOREIGN_SIGNATURES, &(no, old.public.as_str())),
        None => {}
    }
    if old.is_some_and(|old| old.object == key.object) {
        return Ok(false);
    }
    tx.put(
        CROSS_SIGNING,
        &(no, usage as u8),
        signed_json::write(&key.object)?.as_str(),
    )?;
    Ok(true)
}

/// Adds the signatures by `user` that `from` has.
fn merge(into: &mut CanonicalJsonObject, from: &CanonicalJsonObject, user: &UserId) {
    let Some(from) = signed_json::object(from, "signatures")
        .and_then(|users| signed_json::object(users, user.as_str()))
    else {
        return;
    };
    for (key, signature) in from {
        if let CanonicalJsonValue::String(signature) = signature {
            add_signature(into, user.as_str(), key, signature);
        }
    }
}

/// Adds a signature to an object.
pub(crate) fn add_signature(
    object: &mut CanonicalJsonObject,
    user: &str,
    key: &str,
    signature: &str,
) {
    let empty = || CanonicalJsonValue::Object(CanonicalJsonObject::new());
    let users = object.entry("signatures".to_owned()).or_insert_with(empty);
    let CanonicalJsonValue::Object(users) = users else {
        return;
    };
    if let CanonicalJsonValue::Object(keys) = users.entry(user.to_owned()).or_insert_with(empty) {
        keys.insert(
            key.to_owned(),
            CanonicalJsonValue::String(signature.to_owned()),
        );
    }
}

/// Signed objects by key id by user, as they are uploaded.
pub type SignedObjects = BTreeMap<OwnedUserId, BTreeMap<String, Box<RawValue>>>;

/// What went wrong with which key.
pub type SignatureFailures = BTreeMap<OwnedUserId, BTreeMap<String, Error>>;

/// The signatures that one request adds.
struct Signing<'a> {
    signer: UserNo,
    signer_id: &'a UserId,
    /// The devices whose keys got signatures, and what stands for the master key.
    changed: BTreeSet<String>,
}

impl Signing<'_> {
    /// Takes one object that is to be signed.
    fn one(
        &mut self,
        tx: &mut Tx,
        target: &UserId,
        key_id: &str,
        json: &RawValue,
    ) -> Result<(), Error> {
        if json.get().len() > LIMIT {
            return Err(Error::TooLarge("the signed object"));
        }
        let signed = signed_json::parse(json.get())?;
        let no = tx.user_no(target)?.ok_or(Error::NotFound(What::Key))?;
        if no != self.signer {
            return self.other(tx, no, key_id, &signed);
        }
        if tx.contains(DEVICE_KEYS, &(no, key_id))? {
            self.own_device(tx, key_id, &signed)
        } else {
            self.own_master(tx, key_id, &signed)
        }
    }

    /// The user's self-signing key vouches for one of their devices.
    fn own_device(
        &mut self,
        tx: &mut Tx,
        device: &str,
        signed: &CanonicalJsonObject,
    ) -> Result<(), Error> {
        let row = tx
            .get_for_update(DEVICE_KEYS, &(self.signer, device))?
            .ok_or(Error::NotFound(What::Key))?;
        let mut keys = signed_json::parse(&row.json)?;
        same(&keys, signed)?;
        let signer =
            stored(tx, self.signer, Usage::SelfSigning)?.ok_or(Error::NotFound(What::Key))?;
        signed_json::check(
            signed,
            self.signer_id.as_str(),
            &signer.id(),
            &signer.public,
        )?;
        self.add(&mut keys, signed, &signer.id());
        let row = DeviceKeys {
            json: signed_json::write(&keys)?,
            ..row
        };
        tx.put(DEVICE_KEYS, &(self.signer, device), &row)?;
        self.changed.insert(device.to_owned());
        Ok(())
    }

    /// A device of the user vouches for their master key.
    fn own_master(
        &mut self,
        tx: &mut Tx,
        key_id: &str,
        signed: &CanonicalJsonObject,
    ) -> Result<(), Error> {
        let place = (self.signer, Usage::Master as u8);
        let json = tx
            .get_for_update(CROSS_SIGNING, &place)?
            .ok_or(Error::NotFound(What::Key))?;
        let mut master = SigningKey::stored(&json)?;
        if master.public != key_id {
            return Err(Error::NotFound(What::Key));
        }
        same(&master.object, signed)?;
        let by_us = signed_json::object(signed, "signatures")
            .and_then(|users| signed_json::object(users, self.signer_id.as_str()));
        let mut added = false;
        for id in by_us.into_iter().flat_map(CanonicalJsonObject::keys) {
            let Some(device) = id
                .strip_prefix("ed25519:")
                .filter(|device| *device != master.public)
            else {
                continue;
            };
            let row = tx
                .get(DEVICE_KEYS, &(self.signer, device))?
                .ok_or(Error::NotFound(What::Device))?;
            let keys = signed_json::parse(&row.json)?;
            let key =
                signed_json::object(&keys, "keys").and_then(|named| signed_json::text(named, id));
            signed_json::check(
                signed,
                self.signer_id.as_str(),
                id,
                key.ok_or(Error::NotFound(What::Key))?,
            )?;
            self.add(&mut master.object, signed, id);
            added = true;
        }
        if !added {
            return Err(Error::InvalidSignature(
                "no device of this user has signed the key".to_owned(),
            ));
        }
        tx.put(
            CROSS_SIGNING,
            &place,
            signed_json::write(&master.object)?.as_str(),
        )?;
        self.changed.insert(device_lists::SIGNING_KEYS.to_owned());
        Ok(())
    }

    /// The user vouches for somebody else.
    fn other(
        &self,
        tx: &mut Tx,
        target: UserNo,
        key_id: &str,
        signed: &CanonicalJsonObject,
    ) -> Result<(), Error> {
        let master = stored(tx, target, Usage::Master)?.filter(|master| master.public == key_id);
        let master = master.ok_or(Error::NotFound(What::Key))?;
        same(&master.object, signed)?;
        let signer =
            stored(tx, self.signer, Usage::UserSigning)?.ok_or(Error::NotFound(What::Key))?;
        signed_json::check(
            signed,
            self.signer_id.as_str(),
            &signer.id(),
            &signer.public,
        )?;
        let signature = signed_json::signature(signed, self.signer_id.as_str(), &signer.id());
        let signature = signature.ok_or(Error::Bug("a signature that was checked"))?;
        tx.put(
            FOREIGN_SIGNATURES,
            &(target, key_id, self.signer, signer.id()),
            signature,
        )?;
        // Only the signer's other devices have to hear of it: it rings their bell like account data does.
        let pos = tx.log(Change::AccountData {
            user: self.signer,
            room: None,
        });
        Ok(tx.put(SIGNED_LOG, &(self.signer, pos), &target)?)
    }

    fn add(&self, into: &mut CanonicalJsonObject, signed: &CanonicalJsonObject, key_id: &str) {
        if let Some(signature) = signed_json::signature(signed, self.signer_id.as_str(), key_id) {
            add_signature(into, self.signer_id.as_str(), key_id, signature);
        }
    }
}

/// What is signed has to be what is stored.
fn same(stored: &CanonicalJsonObject, signed: &CanonicalJsonObject) -> Result<(), Error> {
    if signed_json::signed_bytes(stored)? == signed_json::signed_bytes(signed)? {
        Ok(())
    } else {
        Err(Error::InvalidSignature(
            "the signed key is not the one that is stored".to_owned(),
        ))
    }
}

impl Users {
    /// Whether a user may upload these keys without proving again who they are: they have no master key yet, or the
    /// keys are those that they have.
    pub async fn may_upload_signing_keys(
        &self,
        user: &UserId,
        keys: &SigningKeys,
    ) -> Result<bool, Error> {
        let (no, user, keys) = (self.local_no(user)?, user.to_owned(), keys.clone());
        self.read(move |s| {
            Ok(get(s, no, Usage::Master)?.is_none() || changes_nothing(s, no, &user, &keys)?)
        })
        .await
    }

    /// Stores cross-signing keys. Whether the user has proved who they are has been judged.
    ///
    /// # Errors
    /// If a key is not well-formed, or a signature does not verify; then nothing is stored.
    pub async fn upload_signing_keys(&self, user: &UserId, keys: SigningKeys) -> Result<(), Error> {
        let (no, user) = (self.local_no(user)?, user.to_owned());
        self.write(move |tx| replace(tx, no, &user, &keys)).await
    }

    /// Adds a user's signatures to their own keys and to others'. What is wrong with some of them does not stop the rest.
    pub async fn upload_signatures(
        &self,
        user: &UserId,
        signed: SignedObjects,
    ) -> Result<SignatureFailures, Error> {
        if signed.values().map(BTreeMap::len).sum::<usize>() > MOST_SIGNED {
            return Err(Error::TooMany("signed keys"));
        }
        let (no, user) = (self.local_no(user)?, user.to_owned());
        self.write(move |tx| {
            let mut signing = Signing {
                signer: no,
                signer_id: &user,
                changed: BTreeSet::new(),
            };
            let mut failures = SignatureFailures::new();
            for (target, keys) in &signed {
                for (key_id, json) in keys {
                    match signing.one(tx, target, key_id, json) {
                        Ok(()) => {}
                        Err(Error::Store(error)) => return Err(error.into()),
                        Err(error) => {
                            failures
                                .entry(target.clone())
                                .or_default()
                                .insert(key_id.clone(), error);
                        }
                    }
                }
            }
            if !signing.changed.is_empty() {
                let changed: Vec<&str> = signing.changed.iter().map(String::as_str).collect();
                device_lists::note(tx, no, &changed)?;
            }
            Ok(failures)
        })
        .await
    }

    /// Whether a user has cross-signing keys.
    pub async fn has_cross_signing(&self, user: &UserId) -> Result<bool, Error> {
        let no = self.local_no(user)?;
        self.read(move |s| Ok(get(s, no, Usage::Master)?.is_some()))
            .await
    }
}
