//! `GET /_matrix/client/v3/capabilities`

use std::collections::BTreeMap;

use ruma::api::client::discovery::get_capabilities::v3::Request;
use serde_json::json;
use web::{Guest, JsonBytes, Matrix, Reply};

use crate::{App, json};

/// What users of this server can do. The two capabilities that `m.profile_fields` took the place of are told as well, for clients that
/// do not know it.
pub(crate) async fn get(_who: Guest, Matrix(_): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    let versions: BTreeMap<&str, &str> = event::Rules::all()
        .iter()
        .map(|rules| (rules.version, "stable"))
        .collect();
    let enabled = |enabled: bool| json!({ "enabled": enabled });
    json::answer(&json!({ "capabilities": {
        "m.change_password": enabled(true),
        "m.room_versions": { "default": app.house.rooms.default_version(), "available": versions },
        "m.set_displayname": enabled(true),
        "m.set_avatar_url": enabled(true),
        "m.3pid_changes": enabled(false),
        "m.get_login_token": enabled(true),
        "m.profile_fields": enabled(true),
        "uk.tcpip.msc4133.profile_fields": enabled(true),
        "m.forget_forced_upon_leave": enabled(false),
        "m.account_moderation": { "suspend": true, "lock": true },
    } }))
}
