//! `GET /_matrix/client/v3/rooms/{roomId}/messages`

use rooms::state::At;
use rooms::{Order, Pos, Stored, timeline};
use ruma::api::Direction;
use ruma::api::client::filter::LazyLoadOptions;
use ruma::api::client::message::get_message_events::v3::Request;
use serde::Serialize;
use serde_json::value::RawValue;
use sync::filter::Events;
use sync::token::Place;
use web::{Guest, JsonBytes, Matrix, Reply};

use crate::reading::{Reading, Result};
use crate::{App, json};

/// How many events one answer has at most.
const MOST: usize = 1000;
/// How many events are looked at for one answer. What a filter leaves out costs as much as what it lets through.
const MOST_LOOKED_AT: usize = 5000;
/// How many events are read at a time, at least.
const STRIDE: usize = 16;

#[derive(Serialize)]
struct Answer {
    chunk: Vec<Box<RawValue>>,
    start: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    state: Vec<Box<RawValue>>,
}

/// A stretch of a room's history, in either direction.
pub(crate) async fn get(who: Guest, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    let reader = app.reader(&who)?;
    let sync = app.sync.clone();
    let answer = app.read(move |s| {
        let reading = Reading::enter(s, &sync, &reader, &ask.room_id)?;
        page(&reading, ask)
    });
    json::answer(&answer.await?)
}

fn page(reading: &Reading<'_>, ask: Request) -> Result<Answer> {
    let order = if ask.dir == Direction::Forward {
        Order::Forward
    } else {
        Order::Backward
    };
    let from = match &ask.from {
        Some(token) => Reading::place(token)?,
        None if order == Order::Forward => Pos::ZERO,
        None => latest(reading)?,
    };
    let to = ask.to.as_deref().map(Reading::place).transpose()?;
    let lazy = !matches!(ask.filter.lazy_load_options, LazyLoadOptions::Disabled);
    let limit = usize::try_from(u64::from(ask.limit))
        .unwrap_or(MOST)
        .min(MOST);
    let filter = Events::from(ask.filter);

    let stretch = if filter.has_room(&ask.room_id) {
        gather(
            reading,
            &filter,
            Stretch {
                from,
                to,
                order,
                limit,
            },
        )?
    } else {
        Gathered {
            events: Vec::new(),
            next: None,
        }
    };
    let state = match stretch.events.first() {
        Some(first) if lazy => reading.senders(&At::after(first), &stretch.events)?,
        _ => Vec::new(),
    };
    let numbers: Vec<_> = stretch.events.iter().map(Stored::no).collect();
    Ok(Answer {
        chunk: reading.write(&numbers)?,
        start: ask.from.unwrap_or_else(|| Place(from).to_string()),
        end: stretch.next.map(|next| Place(next).to_string()),
        state: reading.write(&state)?,
    })
}

/// Where history ends for this reader.
pub(super) fn latest(reading: &Reading<'_>) -> Result<Pos> {
    let left = reading
        .eyes
        .standing()
        .filter(|standing| !standing.is_joined())
        .and_then(|standing| standing.left_at);
    match left {
        Some(left) if !reading.eyes.is_peekable()? => Ok(left),
        _ => Ok(reading.s.head()),
    }
}

/// Which part of a timeline to look through.
#[derive(Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) from: Pos,
    pub(crate) to: Option<Pos>,
    pub(crate) order: Order,
    pub(crate) limit: usize,
}

/// What was found in it.
pub(crate) struct Gathered {
    pub(crate) events: Vec<Stored>,
    /// Where to go on; none if the timeline ends there.
    pub(crate) next: Option<Pos>,
}

/// Looks through a stretch until there are enough events that may be told.
pub(crate) fn gather(reading: &Reading<'_>, filter: &Events, stretch: Stretch) -> Result<Gathered> {
    let Stretch {
        mut from,
        to,
        order,
        limit,
    } = stretch;
    let mut events = Vec::with_capacity(limit.min(128));
    let mut looked_at = 0;
    if limit == 0 {
        return Ok(Gathered {
            events,
            next: Some(from),
        });
    }
    loop {
        let page = timeline::page(
            reading.s,
            reading.room,
            from,
            to,
            order,
            (limit - events.len()).max(STRIDE),
        )?;
        looked_at += page.events.len();
        let last = page.events.len();
        for (number, event) in page.events.into_iter().enumerate() {
            let behind = event.pos().map(|pos| {
                if order == Order::Forward {
                    pos
                } else {
                    pos.previous()
                }
            });
            if reading.tells(&event, filter)? {
                events.push(event);
            }
            if events.len() == limit {
                let next = if number + 1 == last {
                    page.next
                } else {
                    behind
                };
                return Ok(Gathered { events, next });
            }
        }
        match page.next {
            Some(next) if looked_at < MOST_LOOKED_AT => from = next,
            next => return Ok(Gathered { events, next }),
        }
    }
}
