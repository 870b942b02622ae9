//! Events and states of rooms that the asking server is in (SS "Retrieving events", "Backfilling and retrieving missing events"). Who may
//! have what is decided in `rooms::answers`; events are passed on byte for byte.

pub(crate) mod backfill;
pub(crate) mod event;
pub(crate) mod event_auth;
pub(crate) mod missing_events;
pub(crate) mod state;
pub(crate) mod state_ids;
pub(crate) mod timestamp_to_event;

use serde_json::json;
use web::JsonBytes;

use crate::App;

/// Events that come as they would in a transaction: with who answers, and when.
fn transaction(app: &App, pdus: &[String]) -> JsonBytes {
    let origin = json!(app.house.server_name());
    let now = app.web.now().millis();
    JsonBytes::from(format!(
        "{{\"origin\":{origin},\"origin_server_ts\":{now},\"pdus\":[{}]}}",
        pdus.join(",")
    ))
}
