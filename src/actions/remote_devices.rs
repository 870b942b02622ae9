//! The devices of other servers' users (SS "Device Management"). Of those who share a room with somebody here, their server tells us of changes, so
//! their lists are fetched once, kept, and fetched anew only when a change was missed. Of all others, keys are asked for each time.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};
use peers::{Ask, Patience};
use rooms::{Membership, members};
use ruma::{OwnedDeviceId, OwnedServerName, OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use users::key_queries::{self, UserKeys};
use users::remote_devices::{Freshness, RemoteChange, RemoteDevice, RemoteList};

use crate::House;
use crate::error::Result;

/// How many questions one request asks at once.
const AT_ONCE: usize = 16;
/// How many lists one request fetches. What is left is fetched by the next one.
const MOST: usize = 1000;
/// The longest list of one user's devices, in bytes.
const LONGEST_LIST: usize = 8 << 20;

type Devices = BTreeMap<OwnedDeviceId, Box<RawValue>>;
type Asked = BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>;

/// What was asked of other servers.
#[derive(Default)]
pub(crate) struct Fetched {
    /// The keys of those whose lists are not kept.
    pub(crate) told: BTreeMap<OwnedUserId, UserKeys>,
    /// The servers that could not be asked.
    pub(crate) failures: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct KeysAnswer {
    device_keys: BTreeMap<OwnedUserId, Devices>,
    #[serde(default)]
    master_keys: BTreeMap<OwnedUserId, Box<RawValue>>,
    #[serde(default)]
    self_signing_keys: BTreeMap<OwnedUserId, Box<RawValue>>,
}

#[derive(Deserialize)]
struct DevicesAnswer {
    stream_id: u64,
    devices: Vec<DeviceAnswer>,
    master_key: Option<Box<RawValue>>,
    self_signing_key: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct DeviceAnswer {
    device_id: OwnedDeviceId,
    keys: Option<Box<RawValue>>,
    device_display_name: Option<String>,
}

/// What a client is told of a server that could not be asked.
pub(crate) fn failure(error: &peers::Error) -> Value {
    json!({ "message": error.to_string() })
}

/// Brings up to date what is known of those among these users who are not ours, and asks for the keys of those of whom nothing is kept.
pub(crate) async fn fetch(house: &House, wanted: &Asked) -> Result<Fetched> {
    let remote: Vec<OwnedUserId> = wanted
        .keys()
        .filter(|user| !house.is_local(user))
        .cloned()
        .collect();
    let mut fetched = Fetched::default();
    if remote.is_empty() {
        return Ok(fetched);
    }
    let tracked = tracked(house, remote.clone()).await?;
    let known = house
        .users
        .device_list_freshness(tracked.iter().map(|user| &**user))
        .await?;
    let stale = known
        .into_iter()
        .filter(|(_, freshness)| *freshness != Freshness::Fresh);
    let stale: Vec<OwnedUserId> = stale.map(|(user, _)| user).take(MOST).collect();
    let refreshed: Vec<_> = stream::iter(stale)
        .map(async |user| {
            let done = refresh(house, &user).await;
            (user, done)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for (user, done) in refreshed {
        match done {
            Err(crate::Error::Peers(error)) => {
                let server = user.server_name().to_string();
                fetched.failures.insert(server, failure(&error));
            }
            done => done?,
        }
    }
    let untracked = remote.into_iter().filter(|user| !tracked.contains(user));
    ask_for(house, untracked, wanted, &mut fetched).await;
    Ok(fetched)
}

/// Those users whose servers tell us of changes: they are in a room that we know.
async fn tracked(house: &House, users: Vec<OwnedUserId>) -> Result<BTreeSet<OwnedUserId>> {
    let tracked = house.rooms.store().read(move |s| {
        let mut tracked = BTreeSet::new();
        for user in users {
            if let Some(no) = s.user_no(&user)?
                && !members::rooms_with(s, no, Membership::Join)?.is_empty()
            {
                tracked.insert(user);
            }
        }
        Ok::<_, rooms::Error>(tracked)
    });
    Ok(tracked.await?)
}

/// Whether changes of this user's devices are any business of ours.
async fn is_tracked(house: &House, user: &UserId) -> Result<bool> {
    Ok(!tracked(house, vec![user.to_owned()]).await?.is_empty())
}

/// Asks the servers of users for their keys, and passes on what they say of them.
async fn ask_for(
    house: &House,
    users: impl Iterator<Item = OwnedUserId>,
    wanted: &Asked,
    fetched: &mut Fetched,
) {
    let mut servers: BTreeMap<OwnedServerName, Asked> = BTreeMap::new();
    for user in users {
        if let Some(devices) = wanted.get(&user) {
            let server = servers.entry(user.server_name().to_owned()).or_default();
            server.insert(user, devices.clone());
        }
    }
    let answers: Vec<_> = stream::iter(servers)
        .map(async |(server, asked)| {
            let path = peers::path(&["_matrix", "federation", "v1", "user", "keys", "query"]);
            let ask = Ask::post(path, json!({ "device_keys": asked }).to_string())
                .patience(Patience::quick().bytes(LONGEST_LIST));
            let answer = house.peers.ask_json::<KeysAnswer>(&server, ask).await;
            (server, asked, answer)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for (server, asked, answer) in answers {
        match answer {
            Ok(mut answer) => {
                for (user, devices) in asked {
                    let keys = of_user(&mut answer, &user);
                    let keys = key_queries::well_formed(&user, &devices, keys);
                    fetched.told.insert(user, keys);
                }
            }
            Err(error) => drop(fetched.failures.insert(server.to_string(), failure(&error))),
        }
    }
}

fn of_user(answer: &mut KeysAnswer, user: &UserId) -> UserKeys {
    UserKeys {
        device_keys: answer.device_keys.remove(user).unwrap_or_default(),
        master: answer.master_keys.remove(user),
        self_signing: answer.self_signing_keys.remove(user),
        user_signing: None,
    }
}

/// Fetches a user's device list, unless somebody else has just done so.
async fn refresh(house: &House, user: &OwnedUserId) -> Result<()> {
    let work = {
        let (house, user) = (house.clone(), user.clone());
        async move {
            let known = house.users.device_list_freshness([&*user]).await?;
            if known.get(&user) == Some(&Freshness::Fresh) {
                return Ok(());
            }
            let path = peers::path(&[
                "_matrix",
                "federation",
                "v1",
                "user",
                "devices",
                user.as_str(),
            ]);
            let ask = Ask::get(path).patience(Patience::quick().bytes(LONGEST_LIST));
            let answer: DevicesAnswer = house.peers.ask_json(user.server_name(), ask).await?;
            let devices = answer.devices.into_iter().map(|device| RemoteDevice {
                device_id: device.device_id,
                keys: device.keys,
                display_name: device.device_display_name,
            });
            let list = RemoteList {
                stream_id: answer.stream_id,
                devices: devices.collect(),
                master: answer.master_key,
                self_signing: answer.self_signing_key,
            };
            Ok(house.users.store_remote_devices(&user, list).await?)
        }
    };
    house.device_lists.run(user.clone(), work).await
}

/// Takes a change of a device list that another server announced. If changes before it were missed, the whole list is fetched, after the answer.
pub async fn changed(house: &House, user: &UserId, change: RemoteChange) -> Result<()> {
    if !is_tracked(house, user).await? {
        return Ok(());
    }
    if house.users.apply_remote_change(user, change).await? == Freshness::Stale {
        let (house, user) = (house.clone(), user.to_owned());
        let tasks = house.tasks.clone();
        tasks.spawn("fetching a device list", async move {
            // Whoever needs the list asks again, should this fail.
            if let Err(error) = refresh(&house, &user).await {
                tracing::debug!(%user, %error, "a device list could not be fetched");
            }
        });
    }
    Ok(())
}

/// Takes new cross-signing keys that another server announced.
pub async fn signing_keys_changed(
    house: &House,
    user: &UserId,
    master: Option<Box<RawValue>>,
    self_signing: Option<Box<RawValue>>,
) -> Result<()> {
    if !is_tracked(house, user).await? {
        return Ok(());
    }
    Ok(house
        .users
        .apply_remote_signing_keys(user, master, self_signing)
        .await?)
}
