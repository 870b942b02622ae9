//! `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}…`: what relates to an event, of all kinds, of one, or of one kind and type.

use rooms::relations::{self, Wanted};
use rooms::{Order, Stored};
use ruma::api::Direction;
use ruma::api::client::relations::{
    get_relating_events, get_relating_events_with_rel_type,
    get_relating_events_with_rel_type_and_event_type,
};
use ruma::{OwnedEventId, OwnedRoomId, UInt};
use serde::Serialize;
use serde_json::value::RawValue;
use sync::token::Place;
use web::{Authed, JsonBytes, Matrix, Reply};

use crate::reading::Reading;
use crate::{App, json};

/// How many events an answer has that asks for no number, and at most.
const SOME: usize = 20;
const MOST: usize = 100;

#[derive(Serialize)]
struct Answer {
    chunk: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recursion_depth: Option<u8>,
}

/// What the three forms have in common.
struct Ask {
    room_id: OwnedRoomId,
    event_id: OwnedEventId,
    rel_type: Option<String>,
    event_type: Option<String>,
    dir: Direction,
    from: Option<String>,
    to: Option<String>,
    limit: Option<UInt>,
    recurse: bool,
}

/// Everything that relates to an event.
pub(crate) async fn get(
    who: Authed,
    Matrix(ask): Matrix<get_relating_events::v1::Request>,
    app: App,
) -> Reply<JsonBytes> {
    let get_relating_events::v1::Request {
        room_id,
        event_id,
        dir,
        from,
        to,
        limit,
        recurse,
        ..
    } = ask;
    related(
        who,
        app,
        Ask {
            room_id,
            event_id,
            rel_type: None,
            event_type: None,
            dir,
            from,
            to,
            limit,
            recurse,
        },
    )
    .await
}

/// What relates to an event in one way.
pub(crate) async fn of_kind(
    who: Authed,
    Matrix(ask): Matrix<get_relating_events_with_rel_type::v1::Request>,
    app: App,
) -> Reply<JsonBytes> {
    let get_relating_events_with_rel_type::v1::Request {
        room_id,
        event_id,
        rel_type,
        dir,
        from,
        to,
        limit,
        recurse,
        ..
    } = ask;
    let rel_type = Some(rel_type.to_string());
    related(
        who,
        app,
        Ask {
            room_id,
            event_id,
            rel_type,
            event_type: None,
            dir,
            from,
            to,
            limit,
            recurse,
        },
    )
    .await
}

/// What relates to an event in one way and is of one type.
pub(crate) async fn of_kind_and_type(
    who: Authed,
    Matrix(ask): Matrix<get_relating_events_with_rel_type_and_event_type::v1::Request>,
    app: App,
) -> Reply<JsonBytes> {
    let get_relating_events_with_rel_type_and_event_type::v1::Request {
        room_id,
        event_id,
        rel_type,
        event_type,
        dir,
        from,
        to,
        limit,
        recurse,
        ..
    } = ask;
    let (rel_type, event_type) = (Some(rel_type.to_string()), Some(event_type.to_string()));
    related(
        who,
        app,
        Ask {
            room_id,
            event_id,
            rel_type,
            event_type,
            dir,
            from,
            to,
            limit,
            recurse,
        },
    )
    .await
}

async fn related(who: Authed, app: App, ask: Ask) -> Reply<JsonBytes> {
    let reader = app.reader(&who)?;
    let sync = app.sync.clone();
    let answer = app.read(move |s| {
        let reading = Reading::enter(s, &sync, &reader, &ask.room_id)?;
        let parent = reading.event(&ask.event_id)?;
        let wanted = Wanted {
            rel_type: ask.rel_type,
            event_type: ask.event_type,
            order: if ask.dir == Direction::Forward {
                Order::Forward
            } else {
                Order::Backward
            },
            from: ask.from.as_deref().map(Reading::place).transpose()?,
            to: ask.to.as_deref().map(Reading::place).transpose()?,
            limit: ask
                .limit
                .map_or(SOME, |limit| {
                    usize::try_from(u64::from(limit)).unwrap_or(MOST)
                })
                .clamp(1, MOST),
            recurse: ask.recurse,
        };
        let page = relations::list(s, &reading.eyes, &parent, &wanted)?;
        let told: Vec<_> = page
            .events
            .iter()
            .filter(|event| !reader.ignores(event))
            .map(Stored::no)
            .collect();
        Ok(Answer {
            chunk: reading.write(&told)?,
            next_batch: page.next.map(|next| Place(next).to_string()),
            prev_batch: ask.from,
            recursion_depth: ask.recurse.then_some(page.depth),
        })
    });
    json::answer(&answer.await?)
}
