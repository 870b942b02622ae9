//! `GET /_matrix/federation/v1/event/{eventId}`

use rooms::answers;
use ruma::OwnedEventId;
use web::{FromServer, JsonBytes, Path, Reply};

use crate::App;

/// One event.
pub(crate) async fn get(
    FromServer(origin): FromServer,
    Path((event_id,)): Path<(OwnedEventId,)>,
    app: App,
) -> Reply<JsonBytes> {
    let event = app.read(move |s| Ok(answers::event(s, &origin, &event_id)?));
    Ok(super::transaction(&app, &[event.await?]))
}
