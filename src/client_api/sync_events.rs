//! `GET /_matrix/client/v3/sync`

use std::time::Duration;

use ruma::api::client::sync::sync_events::v3::Request;
use sync::{Dialect, Params};
use web::{Asked, Guest, JsonBytes, Matrix, Reply};

use crate::App;

/// What is new since the last answer; waits for something if there is nothing.
pub(crate) async fn get(
    who: Guest,
    asked: Asked,
    Matrix(ask): Matrix<Request>,
    app: App,
) -> Reply<JsonBytes> {
    let is_on = |name| asked.parameter(name).is_some_and(|value| value == "true");
    let dialect = match (
        ask.use_state_after,
        is_on("org.matrix.msc4222.use_state_after"),
    ) {
        (_, true) => Dialect::UnstableStateAfter,
        (true, false) => Dialect::StateAfter,
        (false, false) => Dialect::State,
    };
    let params = Params {
        since: ask.since,
        // As it came: `sync` keeps filters it has read.
        filter: asked.parameter("filter"),
        full_state: ask.full_state,
        set_presence: Some(ask.set_presence),
        timeout: ask.timeout.unwrap_or(Duration::ZERO),
        dialect,
    };
    Ok(JsonBytes::from(app.sync.classic(&who, params).await?))
}
