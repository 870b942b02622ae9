//! `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event`

use rooms::{Order, context};
use ruma::MilliSecondsSinceUnixEpoch;
use ruma::api::Direction;
use ruma::api::client::room::get_event_by_timestamp::v1::{Request, Response};
use web::{Authed, Matrix, Reply};

use crate::App;
use crate::reading::Reading;

/// The event nearest to a moment.
pub(crate) async fn get(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    let reader = app.reader(&who)?;
    let sync = app.sync.clone();
    let found = app.read(move |s| {
        let reading = Reading::enter(s, &sync, &reader, &ask.room_id)?;
        let order = if ask.dir == Direction::Forward {
            Order::Forward
        } else {
            Order::Backward
        };
        let event = context::nearest(s, &reading.eyes, reading.room, ask.ts.get().into(), order)?;
        let event = event.ok_or(rooms::Error::NoSuchEvent)?;
        Ok((event.owned_event_id()?, event.origin_server_ts()))
    });
    let (event_id, ts) = found.await?;
    let ts = ts.try_into().map_err(web::Error::internal)?;
    Ok(Response::new(event_id, MilliSecondsSinceUnixEpoch(ts)))
}
