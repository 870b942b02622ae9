//! `GET /_matrix/key/v2/query/{serverName}` and `POST /_matrix/key/v2/query`

use std::collections::BTreeMap;

use peers::KeyQuery;
use ruma::OwnedServerName;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use web::{Error, Json, JsonBytes, Path, Reply};

use crate::App;

/// Most servers that one question may be about.
const SERVERS: usize = 100;
/// Most keys of one server that one question may be about.
const KEYS: usize = 64;

#[derive(Deserialize)]
struct Criteria {
    minimum_valid_until_ts: Option<u64>,
}

#[derive(Deserialize)]
pub(crate) struct Batch {
    server_keys: BTreeMap<OwnedServerName, BTreeMap<String, Criteria>>,
}

#[derive(Serialize)]
struct Answer {
    server_keys: Vec<Box<RawValue>>,
}

/// The keys of one server, all of them, signed by it and by us. They are as new as we can get them, whatever time they should be valid until.
pub(crate) async fn get(Path((server,)): Path<(OwnedServerName,)>, app: App) -> Reply<JsonBytes> {
    answer(&app, BTreeMap::from([(server, KeyQuery::default())])).await
}

/// The keys of several servers, signed by each and by us.
pub(crate) async fn post(Json(ask): Json<Batch>, app: App) -> Reply<JsonBytes> {
    let too_many =
        ask.server_keys.len() > SERVERS || ask.server_keys.values().any(|keys| keys.len() > KEYS);
    if too_many {
        return Err(Error::too_large("These are too many keys for one question"));
    }
    let queries = ask.server_keys.into_iter().map(|(server, keys)| {
        let keys = keys
            .into_iter()
            .map(|(key, ask)| (key, ask.minimum_valid_until_ts));
        (
            server,
            KeyQuery {
                keys: keys.collect(),
            },
        )
    });
    answer(&app, queries.collect()).await
}

async fn answer(app: &App, queries: BTreeMap<OwnedServerName, KeyQuery>) -> Reply<JsonBytes> {
    let server_keys = app.house.peers.keys().as_notary(queries).await?;
    JsonBytes::of(&Answer { server_keys })
}
