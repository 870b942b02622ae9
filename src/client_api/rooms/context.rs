//! `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}`

use rooms::state::At;
use rooms::{Order, Stored};
use ruma::api::client::context::get_context::v3::Request;
use ruma::api::client::filter::LazyLoadOptions;
use serde::Serialize;
use serde_json::value::RawValue;
use sync::filter::Events;
use sync::token::Place;
use web::{Guest, JsonBytes, Matrix, Reply};

use super::messages::{Gathered, Stretch, gather};
use crate::reading::{Reading, Result};
use crate::{App, json};

/// How many events stand around the one asked for at most.
const MOST: usize = 100;

#[derive(Serialize)]
pub(crate) struct Context {
    pub(crate) start: String,
    pub(crate) end: String,
    pub(crate) events_before: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<Box<RawValue>>,
    pub(crate) events_after: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<Vec<Box<RawValue>>>,
}

/// An event, and what was said around it.
pub(crate) async fn get(who: Guest, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    let reader = app.reader(&who)?;
    let sync = app.sync.clone();
    let answer = app.read(move |s| {
        let reading = Reading::enter(s, &sync, &reader, &ask.room_id)?;
        let event = reading.event(&ask.event_id)?;
        let lazy = !matches!(ask.filter.lazy_load_options, LazyLoadOptions::Disabled);
        let limit = usize::try_from(u64::from(ask.limit))
            .unwrap_or(MOST)
            .min(MOST);
        let filter = Events::from(ask.filter);
        let around = around(&reading, &event, &filter, (limit / 2, limit - limit / 2))?;
        let state = state(&reading, &event, &around, &filter, lazy)?;
        let mut context = around.written(&reading)?;
        context.event = reading.write(&[event.no()])?.pop();
        context.state = Some(state);
        Ok(context)
    });
    json::answer(&answer.await?)
}

/// What was said before and after an event.
pub(crate) struct Around {
    before: Gathered,
    after: Gathered,
    at: rooms::Pos,
}

impl Around {
    /// In the form that clients get.
    pub(crate) fn written(&self, reading: &Reading<'_>) -> Result<Context> {
        let write =
            |events: &[Stored]| reading.write(&events.iter().map(Stored::no).collect::<Vec<_>>());
        // The far ends: where going on backwards, or forwards, begins.
        let earliest = self
            .before
            .events
            .last()
            .and_then(Stored::pos)
            .unwrap_or(self.at)
            .previous();
        let latest = self
            .after
            .events
            .last()
            .and_then(Stored::pos)
            .unwrap_or(self.at);
        Ok(Context {
            start: Place(self.before.next.unwrap_or(earliest)).to_string(),
            end: Place(self.after.next.unwrap_or(latest)).to_string(),
            events_before: write(&self.before.events)?,
            event: None,
            events_after: write(&self.after.events)?,
            state: None,
        })
    }

    /// Whoever speaks in it.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Stored> {
        self.before.events.iter().chain(&self.after.events)
    }
}

/// Finds what was said around an event: so many before, so many after.
pub(crate) fn around(
    reading: &Reading<'_>,
    event: &Stored,
    filter: &Events,
    (before, after): (usize, usize),
) -> Result<Around> {
    let at = event.pos().ok_or(rooms::Error::NoSuchEvent)?;
    let back = Stretch {
        from: at.previous(),
        to: None,
        order: Order::Backward,
        limit: before,
    };
    let forth = Stretch {
        from: at,
        to: None,
        order: Order::Forward,
        limit: after,
    };
    Ok(Around {
        before: gather(reading, filter, back)?,
        after: gather(reading, filter, forth)?,
        at,
    })
}

/// The state at the last event of the answer; with lazy loading, of the members only those who speak in it.
fn state(
    reading: &Reading<'_>,
    event: &Stored,
    around: &Around,
    filter: &Events,
    lazy: bool,
) -> Result<Vec<Box<RawValue>>> {
    let at = At::after(around.after.events.last().unwrap_or(event));
    let mut events = reading.state_events(&at, filter, lazy)?;
    if lazy {
        let speakers: Vec<Stored> = std::iter::once(event)
            .chain(around.events())
            .cloned()
            .collect();
        events.extend(reading.senders(&at, &speakers)?);
    }
    reading.write(&events)
}
