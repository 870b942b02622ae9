//! One-time keys, each given to one person only, and the keys to fall back to when there are none left (CS "One-time and
//! fallback keys").
//!
//! A claim deletes the key in the batch that answers it, under the assertion that it is still there: no crash and no race
//! gives a key twice. Claims under way note in memory which keys they have in hand, so that a hundred at once each take
//! another key instead of all trying the first.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ruma::{CanonicalJsonObject, DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use serde_json::value::RawValue;
use store::rows::users::FallbackKey;
use store::tables::{FALLBACK_KEYS, ONE_TIME_KEYS};
use store::{Change, Order, Pos, Snapshot, Tx, UserNo};

use crate::cached::{Cached, Changing};
use crate::{Error, Users, device_keys, signed_json};

/// Largest single key.
const KEY_LIMIT: usize = 4096;
/// Most one-time keys of one upload, and of one algorithm of a device.
const MOST: usize = 500;
/// Most algorithms that a device can have fallback keys for.
const MOST_FALLBACK: usize = 8;

/// A key, looked at.
pub(crate) struct Checked {
    algorithm: String,
    key_id: String,
    json: String,
}

fn check_one(id: &str, json: &RawValue) -> Result<Checked, Error> {
    let bad = || Error::BadJson(format!("{id} is not the name of a key: algorithm:id"));
    let (algorithm, key_id) = id.split_once(':').ok_or_else(bad)?;
    if algorithm.is_empty() || key_id.is_empty() || id.len() > 255 {
        return Err(bad());
    }
    if json.get().len() > KEY_LIMIT {
        return Err(Error::TooLarge("a one-time key"));
    }
    let wrong = |what: &str| Err(Error::BadJson(format!("the one-time key {id} {what}")));
    let canonical = if algorithm == "curve25519" {
        match serde_json::from_str::<String>(json.get()) {
            Ok(key) if signed_json::is_base64_of(&key, 32) => json.get().trim().to_owned(),
            _ => return wrong("is not 32 bytes of base64"),
        }
    } else {
        let object: CanonicalJsonObject = signed_json::parse(json.get())?;
        device_keys::check_signatures_shape(&object)?;
        match signed_json::text(&object, "key") {
            Some(key) if algorithm != "signed_curve25519" || signed_json::is_base64_of(key, 32) => {
            }
            _ => return wrong("has no key of 32 bytes of base64"),
        }
        signed_json::write(&object)?
    };
    Ok(Checked {
        algorithm: algorithm.to_owned(),
        key_id: key_id.to_owned(),
        json: canonical,
    })
}

/// Checks the names and shapes of one-time keys.
pub(crate) fn check(keys: &BTreeMap<String, Box<RawValue>>) -> Result<Vec<Checked>, Error> {
    if keys.len() > MOST {
        return Err(Error::TooMany("one-time keys"));
    }
    keys.iter().map(|(id, json)| check_one(id, json)).collect()
}

/// Checks fallback keys: one per algorithm.
pub(crate) fn check_fallback(
    keys: &BTreeMap<String, Box<RawValue>>,
) -> Result<Vec<Checked>, Error> {
    if keys.len() > MOST_FALLBACK {
        return Err(Error::TooMany("fallback keys"));
    }
    let checked: Vec<Checked> = keys
        .iter()
        .map(|(id, json)| check_one(id, json))
        .collect::<Result<_, _>>()?;
    let algorithms: HashSet<&str> = checked.iter().map(|key| key.algorithm.as_str()).collect();
    if algorithms.len() < checked.len() {
        return Err(Error::InvalidParam(
            "there can be one fallback key per algorithm".to_owned(),
        ));
    }
    Ok(checked)
}

/// Writes keys that were checked, and says how many one-time keys there are then.
pub(crate) fn put(
    tx: &mut Tx,
    user: UserNo,
    device: &str,
    one_time: &[Checked],
    fallback: &[Checked],
) -> Result<BTreeMap<String, u64>, Error> {
    let mut counts = BTreeMap::new();
    let mut there: HashMap<(String, String), Pos> = HashMap::new();
    for place in tx
        .prefix(ONE_TIME_KEYS, &(user, device), Order::Forward)
        .keys()
    {
        let (_, _, algorithm, pos, key_id) = place?;
        match counts.get_mut(&algorithm) {
            Some(count) => *count += 1,
            None => drop(counts.insert(algorithm.clone(), 1)),
        }
        there.insert((algorithm, key_id), pos);
    }
    let mut pos = None;
    for key in one_time {
        if let Some(at) = there.get(&(key.algorithm.clone(), key.key_id.clone())) {
            let place = (
                user,
                device,
                key.algorithm.as_str(),
                *at,
                key.key_id.as_str(),
            );
            if tx
                .get(ONE_TIME_KEYS, &place)?
                .is_some_and(|same| same.as_str() == key.json)
            {
                continue;
            }
            return Err(Error::KeyExists(format!(
                "{}:{}",
                key.algorithm, key.key_id
            )));
        }
        let at = *pos.get_or_insert_with(|| {
            tx.log(Change::OneTimeKeys {
                user,
                device: device.to_owned(),
            })
        });
        let count = counts.entry(key.algorithm.clone()).or_insert(0);
        *count += 1;
        if *count > MOST as u64 {
            return Err(Error::TooMany("one-time keys"));
        }
        tx.put(
            ONE_TIME_KEYS,
            &(
                user,
                device,
                key.algorithm.as_str(),
                at,
                key.key_id.as_str(),
            ),
            key.json.as_str(),
        )?;
    }
    for key in fallback {
        let place = (user, device, key.algorithm.as_str());
        let before = tx.get_for_update(FALLBACK_KEYS, &place)?;
        if before.is_some_and(|before| before.key_id == key.key_id && before.json == key.json) {
            continue;
        }
        pos.get_or_insert_with(|| {
            tx.log(Change::OneTimeKeys {
                user,
                device: device.to_owned(),
            })
        });
        let row = FallbackKey {
            key_id: key.key_id.clone(),
            json: key.json.clone(),
            used: false,
        };
        tx.put(FALLBACK_KEYS, &place, &row)?;
    }
    Ok(counts)
}

/// How many one-time keys of each algorithm a device has.
pub fn counts(s: &Snapshot, user: UserNo, device: &str) -> Result<BTreeMap<String, u64>, Error> {
    let mut counts = BTreeMap::new();
    for key in s
        .prefix(ONE_TIME_KEYS, &(user, device), Order::Forward)
        .keys()
    {
        *counts.entry(key?.2).or_insert(0) += 1;
    }
    Ok(counts)
}

/// Of which algorithms a device has a fallback key that nobody has been given.
pub fn unused_fallback_types(
    s: &Snapshot,
    user: UserNo,
    device: &str,
) -> Result<Vec<String>, Error> {
    let mut types = Vec::new();
    for row in s.prefix(FALLBACK_KEYS, &(user, device), Order::Forward) {
        let ((_, _, algorithm), key) = row?;
        if !key.used {
            types.push(algorithm);
        }
    }
    Ok(types)
}

/// What a sync says of a device's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// How many one-time keys there are, by algorithm.
    pub one_time: BTreeMap<String, u64>,
    /// Algorithms with a fallback key that nobody has been given.
    pub unused_fallback: Vec<String>,
}

/// Key counts in memory, since every sync says them.
pub(crate) struct Counts(Cached<(UserNo, String), Arc<KeyCounts>>);

impl Counts {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Cached::new(capacity))
    }

    pub(crate) fn changing(&self, user: UserNo) -> Changing {
        self.0.changing(user)
    }
}

/// A key somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Whose.
    pub user: OwnedUserId,
    /// Of which device.
    pub device: OwnedDeviceId,
    /// Of which algorithm.
    pub algorithm: String,
}

/// Keys by `algorithm:id`, by device, by user.
pub type ClaimedKeys =
    BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, BTreeMap<String, Box<RawValue>>>>;

type Place = (UserNo, String, String, Pos, String);

/// Keys that claims under way have in hand.
#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashSet<Place>>>);

impl InFlight {
    fn lock(&self) -> MutexGuard<'_, HashSet<Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys that one claim has in hand.
struct InHand {
    all: InFlight,
    mine: Vec<Place>,
}

impl InHand {
    /// Takes a key, unless somebody else has it in hand.
    fn take(&mut self, place: &Place) -> bool {
        let free = self.all.lock().insert(place.clone());
        if free {
            self.mine.push(place.clone());
        }
        free
    }

    /// Lets go of everything, to choose anew.
    fn release(&mut self) {
        let mut all = self.all.lock();
        for place in self.mine.drain(..) {
            all.remove(&place);
        }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.release();
    }
}

/// Chooses and takes one key.
fn claim_one(
    tx: &mut Tx,
    hand: &mut InHand,
    user: UserNo,
    device: &str,
    algorithm: &str,
) -> Result<Option<(String, String)>, Error> {
    let mut chosen = None;
    for row in tx.prefix(ONE_TIME_KEYS, &(user, device, algorithm), Order::Forward) {
        let (place, json) = row?;
        if hand.take(&place) {
            chosen = Some((place, json));
            break;
        }
    }
    if let Some((place, json)) = chosen {
        tx.expect(ONE_TIME_KEYS, &place, Some(&json))?;
        tx.delete(ONE_TIME_KEYS, &place);
        tx.log(Change::OneTimeKeys {
            user,
            device: device.to_owned(),
        });
        return Ok(Some((place.4, json.as_str().to_owned())));
    }
    let place = (user, device, algorithm);
    let Some(mut fallback) = tx.get(FALLBACK_KEYS, &place)? else {
        return Ok(None);
    };
    if !fallback.used {
        tx.expect(FALLBACK_KEYS, &place, Some(&fallback))?;
        fallback.used = true;
        tx.put(FALLBACK_KEYS, &place, &fallback)?;
        tx.log(Change::OneTimeKeys {
            user,
            device: device.to_owned(),
        });
    }
    Ok(Some((fallback.key_id, fallback.json)))
}

impl Users {
    /// Takes one key for each device asked for, of users of this server. Devices without keys are left out.
    pub async fn claim_keys(&self, wanted: Vec<Wanted>) -> Result<ClaimedKeys, Error> {
        let mut numbered = Vec::with_capacity(wanted.len());
        let snapshot = self.store().snapshot();
        for one in wanted.into_iter().filter(|one| self.is_local(&one.user)) {
            if let Some(no) = snapshot.user_no(&one.user)? {
                numbered.push((no, one));
            }
        }
        if numbered.is_empty() {
            return Ok(ClaimedKeys::new());
        }
        drop(snapshot);
        let _counts: Vec<Changing> = numbered
            .iter()
            .map(|(no, _)| self.inner.counts.changing(*no))
            .collect();
        let mut hand = InHand {
            all: self.inner.claims.clone(),
            mine: Vec::new(),
        };
        let (keys, _) = self
            .inner
            .store
            .write::<_, Error>(move |tx| {
                hand.release();
                let mut keys = ClaimedKeys::new();
                for (no, one) in &numbered {
                    let Some((id, json)) =
                        claim_one(tx, &mut hand, *no, one.device.as_str(), &one.algorithm)?
                    else {
                        continue;
                    };
                    let json =
                        RawValue::from_string(json).map_err(|_| Error::Damaged("one-time key"))?;
                    let of_user = keys.entry(one.user.clone()).or_default();
                    let of_device: &mut BTreeMap<_, _> =
                        of_user.entry(one.device.clone()).or_default();
                    of_device.insert(format!("{}:{id}", one.algorithm), json);
                }
                Ok(keys)
            })
            .await?;
        Ok(keys)
    }

    /// What a sync says of a device's keys; usually from memory.
    pub fn key_counts(&self, user: UserNo, device: &DeviceId) -> Result<Arc<KeyCounts>, Error> {
        let key = (user, device.as_str().to_owned());
        if let Some(counts) = self.inner.counts.0.get(&key) {
            return Ok(counts);
        }
        self.inner.counts.0.load(user, key, || {
            let s = self.store().snapshot();
            let (one_time, unused_fallback) = (
                counts(&s, user, device.as_str())?,
                unused_fallback_types(&s, user, device.as_str())?,
            );
            Ok(Arc::new(KeyCounts {
                one_time,
                unused_fallback,
            }))
        })
    }

    /// How many one-time keys of each algorithm a device has.
    pub async fn one_time_counts(
        &self,
        user: &UserId,
        device: &DeviceId,
    ) -> Result<BTreeMap<String, u64>, Error> {
        self.one_time_counts_of(self.local_no(user)?, device.as_str().to_owned())
            .await
    }

    pub(crate) async fn one_time_counts_of(
        &self,
        user: UserNo,
        device: String,
    ) -> Result<BTreeMap<String, u64>, Error> {
        self.read(move |s| counts(s, user, &device)).await
    }
}
