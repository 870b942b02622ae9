//! `GET /_matrix/client/v3/admin/whois/{userId}`

use std::collections::BTreeMap;

use ruma::OwnedUserId;
use ruma::api::client::admin::get_user_info::v3::Request;
use serde::Serialize;
use web::{Authed, JsonBytes, Matrix, Reply};

use crate::{App, json};

#[derive(Serialize)]
struct Answer {
    user_id: OwnedUserId,
    devices: BTreeMap<String, Device>,
}

#[derive(Serialize)]
struct Device {
    sessions: [Session; 1],
}

#[derive(Serialize)]
struct Session {
    connections: [Connection; 1],
}

#[derive(Serialize)]
struct Connection {
    ip: Option<String>,
    last_seen: Option<u64>,
    user_agent: Option<String>,
}

/// From where a user was last seen, for administrators and for the user.
pub(crate) async fn get(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    if who.user_id != ask.user_id {
        actions::accounts::inspect(&app.house, &who, &ask.user_id).await?;
    }
    let devices = app
        .house
        .users
        .devices(&ask.user_id)
        .await?
        .into_iter()
        .map(|device| {
            let connection = Connection {
                ip: device.last_address,
                last_seen: device.last_seen,
                user_agent: device.user_agent,
            };
            (
                device.device_id.to_string(),
                Device {
                    sessions: [Session {
                        connections: [connection],
                    }],
                },
            )
        });
    json::answer(&Answer {
        devices: devices.collect(),
        user_id: ask.user_id,
    })
}
