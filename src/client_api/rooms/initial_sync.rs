//! `GET /_matrix/client/v3/rooms/{roomId}/initialSync`

use rooms::{Order, Stored, directory};
use ruma::OwnedRoomId;
use ruma::api::client::peeking::get_current_state::v3::Request;
use serde::Serialize;
use serde_json::value::RawValue;
use sync::filter::Events;
use sync::token::Place;
use web::{Guest, JsonBytes, Matrix, Reply};

use super::messages::{Stretch, gather};
use crate::reading::Reading;
use crate::{App, json};

/// How many messages are told.
const MESSAGES: usize = 20;

#[derive(Serialize)]
struct Answer {
    room_id: OwnedRoomId,
    #[serde(skip_serializing_if = "Option::is_none")]
    membership: Option<&'static str>,
    visibility: &'static str,
    messages: Messages,
    state: Vec<Box<RawValue>>,
    account_data: Vec<Datum>,
}

#[derive(Serialize)]
struct Messages {
    chunk: Vec<Box<RawValue>>,
    start: String,
    end: String,
}

#[derive(Serialize)]
struct Datum {
    #[serde(rename = "type")]
    kind: String,
    content: Box<RawValue>,
}

/// A room as it is, with its latest messages, for a look from outside.
pub(crate) async fn get(who: Guest, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    let reader = app.reader(&who)?;
    let sync = app.sync.clone();
    let answer = app.read(move |s| {
        let reading = Reading::enter(s, &sync, &reader, &ask.room_id)?;
        let from = super::messages::latest(&reading)?;
        let stretch = Stretch {
            from,
            to: None,
            order: Order::Backward,
            limit: MESSAGES,
        };
        let mut latest = gather(&reading, &Events::default(), stretch)?;
        latest.events.reverse();
        let messages: Vec<_> = latest.events.iter().map(Stored::no).collect();
        let state: Vec<_> = reading
            .state()?
            .all(s)?
            .into_iter()
            .map(|(_, event)| event)
            .collect();
        let data = users::account_data::all(s, reader.user, Some(reading.room))?
            .into_iter()
            .map(|piece| {
                let content = RawValue::from_string(piece.content).map_err(web::Error::internal)?;
                Ok(Datum {
                    kind: piece.kind,
                    content,
                })
            });
        Ok(Answer {
            membership: reading
                .eyes
                .standing()
                .map(|standing| standing.membership.as_str()),
            visibility: if directory::is_listed(s, reading.room)? {
                "public"
            } else {
                "private"
            },
            messages: Messages {
                chunk: reading.write(&messages)?,
                start: Place(latest.next.unwrap_or(rooms::Pos::ZERO)).to_string(),
                end: Place(from).to_string(),
            },
            state: reading.write(&state)?,
            account_data: data.collect::<Result<_, web::Error>>()?,
            room_id: ask.room_id,
        })
    });
    json::answer(&answer.await?)
}
