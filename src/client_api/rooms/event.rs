//! `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}`

use ruma::api::client::room::get_room_event::v3::Request;
use web::{Guest, JsonBytes, Matrix, Reply};

use crate::reading::Reading;
use crate::{App, json};

/// One event. What the user may not see does not exist.
pub(crate) async fn get(who: Guest, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    let reader = app.reader(&who)?;
    let sync = app.sync.clone();
    let written = app.read(move |s| {
        let hidden = |_| web::Error::from(rooms::Error::NoSuchEvent);
        let reading = Reading::open(s, &sync, &reader, &ask.room_id).map_err(hidden)?;
        let event = reading.event(&ask.event_id)?;
        reading.write(&[event.no()])
    });
    json::answer(&written.await?.pop().ok_or(rooms::Error::NoSuchEvent)?)
}
