//! The list of public rooms of another server.

use bytes::Bytes;
use peers::{Ask, Patience};
use ruma::ServerName;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::House;
use crate::error::{Error, Result};

/// The keys of a question that are passed on.
const KEYS: [&str; 3] = ["filter", "limit", "since"];

/// A page of another server's list, as that server says it: one JSON object.
///
/// # Errors
/// If it cannot be asked, or answers something else.
pub async fn public_rooms_of(house: &House, server: &ServerName, query: Value) -> Result<Bytes> {
    let query: Map<String, Value> = match query {
        Value::Object(query) => query
            .into_iter()
            .filter(|(key, value)| KEYS.contains(&key.as_str()) && !value.is_null())
            .collect(),
        _ => Map::new(),
    };
    let path = peers::path(&["_matrix", "federation", "v1", "publicRooms"]);
    let ask = Ask::post(path, Value::Object(query).to_string())
        .patience(Patience::quick().bytes(4 << 20));
    let page: Box<RawValue> = house.peers.ask_json(server, ask).await?;
    if page.get().trim_start().starts_with('{') {
        Ok(Bytes::from(Box::<str>::from(page).into_string()))
    } else {
        Err(Error::Peers(peers::Error::Malformed {
            server: server.to_owned(),
            why: "it is no object".to_owned(),
        }))
    }
}
