//! `/_matrix/client/v3/rooms/{roomId}/state…`: one piece of state, with its content or whole, and all of it.
//!
//! An empty state key may be left out, with the slash before it or without: `web` mounts all three spellings.

use actions::set_state::NewState;
use rooms::delayed::Later;
use ruma::api::client::state::get_state_event_for_key::v3::StateEventFormat;
use ruma::api::client::state::{get_state_event_for_key, get_state_events, send_state_event};
use web::{Asked, Guest, JsonBytes, Matrix, Reply};

use super::delayed::{self, Delayable};
use super::send::Sent;
use crate::reading::Reading;
use crate::{App, json};

/// `PUT /rooms/{roomId}/state/{eventType}/{stateKey}`: now, or later.
pub(crate) async fn put(
    who: Guest,
    asked: Asked,
    Matrix(Delayable(ask)): Matrix<Delayable<send_state_event::v3::Request>>,
    app: App,
) -> Reply<JsonBytes> {
    if let Some(delay) = delayed::asked_for(&asked)? {
        let later = Later {
            room_id: ask.room_id,
            sender: who.user_id.clone(),
            event_type: ask.event_type.to_string(),
            state_key: Some(ask.state_key),
            content: ask.body.into_json(),
            delay,
            txn: None,
        };
        return delayed::put_off(&who, later, &app).await;
    }
    let state = NewState {
        room_id: ask.room_id,
        event_type: ask.event_type.to_string(),
        state_key: ask.state_key,
        content: ask.body.into_json(),
    };
    let event_id = actions::set_state(&app.house, &who, state).await?;
    json::answer(&Sent { event_id })
}

/// `GET /rooms/{roomId}/state/{eventType}/{stateKey}`: the content, or with `format=event` the whole event.
pub(crate) async fn get(
    who: Guest,
    Matrix(ask): Matrix<get_state_event_for_key::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    let reader = app.reader(&who)?;
    let sync = app.sync.clone();
    let found = app.read(move |s| {
        let reading = Reading::open(s, &sync, &reader, &ask.room_id)?;
        let event = reading
            .state()?
            .get(s, &ask.event_type.to_string(), &ask.state_key)?
            .ok_or(rooms::Error::NoSuchState)?;
        match ask.format {
            StateEventFormat::Event => Ok(reading
                .write(&[event.no()])?
                .pop()
                .map(|event| event.get().to_owned())),
            _ => Ok(Some(event.content_str().to_owned())),
        }
    });
    let text = found.await?.ok_or(rooms::Error::NoSuchState)?;
    Ok(JsonBytes::from(text))
}

/// `GET /rooms/{roomId}/state`: all of it.
pub(crate) async fn all(
    who: Guest,
    Matrix(ask): Matrix<get_state_events::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    let reader = app.reader(&who)?;
    let sync = app.sync.clone();
    let written = app.read(move |s| {
        let reading = Reading::open(s, &sync, &reader, &ask.room_id)?;
        let events: Vec<_> = reading
            .state()?
            .all(s)?
            .into_iter()
            .map(|(_, event)| event)
            .collect();
        reading.write(&events)
    });
    json::answer(&written.await?)
}
