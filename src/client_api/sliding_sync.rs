//! `POST /_matrix/client/unstable/org.matrix.simplified_msc3575/sync` (MSC4186)

use std::time::Duration;

use ruma::api::client::sync::sync_events::v5::Request;
use sync::SlidingParams;
use web::{Asked, Guest, JsonBytes, Matrix, Reply};

use crate::App;

/// What is new in the rooms that a client shows, since the last answer; waits for something if there is nothing.
pub(crate) async fn post(
    who: Guest,
    asked: Asked,
    Matrix(ask): Matrix<Request>,
    app: App,
) -> Reply<JsonBytes> {
    let params = params(asked, ask);
    Ok(JsonBytes::from(app.sync.sliding(&who, params).await?))
}

/// What is asked, and nothing else of the request: whoever waits keeps it for long.
fn params(asked: Asked, ask: Request) -> SlidingParams {
    SlidingParams {
        pos: ask.pos,
        timeout: ask.timeout.unwrap_or(Duration::ZERO),
        set_presence: Some(ask.set_presence),
        // As it came: it may name filters that the typed request leaves out.
        body: asked.body.into(),
    }
}
