//! Taking one-time keys of people's devices.

use std::collections::BTreeMap;

use serde_json::Value;
use users::Identity;
use users::one_time_keys::{ClaimedKeys, Wanted};

use crate::House;
use crate::error::Result;
use crate::query_keys::unreachable;

/// What was claimed.
#[derive(Debug, Default)]
pub struct Claimed {
    /// The keys, by user, by device.
    pub keys: ClaimedKeys,
    /// The servers that could not be asked.
    pub failures: BTreeMap<String, Value>,
}

/// Takes one key of each device asked for.
pub async fn claim_keys(house: &House, _who: &Identity, wanted: Vec<Wanted>) -> Result<Claimed> {
    let failures = unreachable(house, wanted.iter().map(|wanted| &wanted.user));
    let (local, _): (Vec<_>, Vec<_>) = wanted
        .into_iter()
        .partition(|wanted| house.is_local(&wanted.user));
    Ok(Claimed {
        keys: house.users.claim_keys(local).await?,
        failures,
    })
}
