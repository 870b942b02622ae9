//! Taking one-time keys of people's devices.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use peers::{Ask, Patience};
use ruma::{OwnedDeviceId, OwnedServerName, OwnedUserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use users::Identity;
use users::one_time_keys::{ClaimedKeys, Wanted};

use crate::House;
use crate::error::Result;
use crate::remote_devices::failure;

/// The longest key that is passed on.
const LONGEST_KEY: usize = 4096;

/// What was claimed.
#[derive(Debug, Default)]
pub struct Claimed {
    /// The keys, by user, by device.
    pub keys: ClaimedKeys,
    /// The servers that could not be asked.
    pub failures: BTreeMap<String, Value>,
}

/// What is asked of one server: an algorithm by device, by user.
type Asked = BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, String>>;

#[derive(Deserialize)]
struct Answer {
    one_time_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, BTreeMap<String, Box<RawValue>>>>,
}

/// Takes one key of each device asked for, wherever the device is.
pub async fn claim_keys(house: &House, _who: &Identity, wanted: Vec<Wanted>) -> Result<Claimed> {
    let (local, elsewhere): (Vec<_>, Vec<_>) = wanted
        .into_iter()
        .partition(|wanted| house.is_local(&wanted.user));
    let mut servers: BTreeMap<OwnedServerName, Asked> = BTreeMap::new();
    for wanted in elsewhere {
        let server = servers
            .entry(wanted.user.server_name().to_owned())
            .or_default();
        let devices = server.entry(wanted.user).or_default();
        devices.insert(wanted.device, wanted.algorithm);
    }
    let asking = servers.into_iter().map(async |(server, asked)| {
        let answer = claim_of(house, &server, &asked).await;
        (server, answer)
    });
    let (here, answers) = (house.users.claim_keys(local).await?, join_all(asking).await);
    let mut claimed = Claimed {
        keys: here,
        failures: BTreeMap::new(),
    };
    for (server, answer) in answers {
        match answer {
            Ok(keys) => claimed.keys.extend(keys),
            Err(error) => drop(claimed.failures.insert(server.to_string(), failure(&error))),
        }
    }
    Ok(claimed)
}

/// A message is about to be sent that needs these keys, so that even a server is asked that has failed lately.
async fn claim_of(
    house: &House,
    server: &OwnedServerName,
    asked: &Asked,
) -> Result<ClaimedKeys, peers::Error> {
    let path = peers::path(&["_matrix", "federation", "v1", "user", "keys", "claim"]);
    let ask = Ask::post(path, json!({ "one_time_keys": asked }).to_string())
        .patience(Patience::quick().bytes(4 << 20))
        .insisting();
    let answer: Answer = house.peers.ask_json(server, ask).await?;
    let mut keys = answer.one_time_keys;
    // What was not asked for is nothing that this server may speak of.
    keys.retain(|user, devices| {
        let Some(wanted) = asked.get(user) else {
            return false;
        };
        devices.retain(|device, keys| {
            let Some(algorithm) = wanted.get(device) else {
                return false;
            };
            keys.retain(|id, key| {
                let kind = id.split_once(':').map(|(kind, _)| kind);
                kind == Some(algorithm.as_str()) && key.get().len() <= LONGEST_KEY
            });
            !keys.is_empty()
        });
        !devices.is_empty()
    });
    Ok(keys)
}
