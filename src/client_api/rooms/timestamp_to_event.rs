//! `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event`

use std::sync::Arc;

use rooms::dag::gaps;
use rooms::{Order, Pos, Stored, context};
use ruma::MilliSecondsSinceUnixEpoch;
use ruma::api::Direction;
use ruma::api::client::room::get_event_by_timestamp::v1::{Request, Response};
use web::{Authed, Matrix, Reply};

use crate::App;
use crate::reading::{Reading, Result};

/// The event nearest to a moment.
pub(crate) async fn get(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<Response> {
    let reader = app.reader(&who)?;
    let sync = app.sync.clone();
    let rooms = app.house.rooms.clone();
    let order = if ask.dir == Direction::Forward {
        Order::Forward
    } else {
        Order::Backward
    };
    let (room_id, ts) = (ask.room_id.clone(), u64::from(ask.ts.get()));
    let reader = Arc::new(reader);
    let read = async || {
        let (sync, reader, room_id) = (sync.clone(), Arc::clone(&reader), room_id.clone());
        let found = app.read(move |s| {
            let reading = Reading::enter(s, &sync, &reader, &room_id)?;
            let event = context::nearest(s, &reading.eyes, reading.room, ts, order)?;
            let hole = hole_on_the_way(&reading, event.as_ref(), order)?;
            let found = match event {
                Some(event) => Some((event.owned_event_id()?, event.origin_server_ts())),
                None => None,
            };
            Ok((found, hole))
        });
        found.await
    };
    let (mut found, hole) = read().await?;
    if hole && rooms.ask_moment(&room_id, ts, order).await?.is_some() {
        (found, _) = read().await?;
    }
    let (event_id, ts) = found.ok_or(rooms::Error::NoSuchEvent)?;
    let ts = ts.try_into().map_err(web::Error::internal)?;
    Ok(Response::new(event_id, MilliSecondsSinceUnixEpoch(ts)))
}

/// Whether an event nearer to the moment may be with other servers.
fn hole_on_the_way(reading: &Reading<'_>, found: Option<&Stored>, order: Order) -> Result<bool> {
    let pos = found.and_then(Stored::pos);
    let (after, upto) = match (pos, order) {
        (None, _) => (Pos::ZERO, Pos::MAX),
        (Some(pos), Order::Forward) => (Pos::ZERO, pos),
        (Some(pos), Order::Backward) => (pos, Pos::MAX),
    };
    Ok(gaps::last_within(reading.s, reading.room, after, upto)?.is_some())
}
