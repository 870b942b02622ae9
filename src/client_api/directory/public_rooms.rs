//! `GET /_matrix/client/v3/publicRooms` and `POST /_matrix/client/v3/publicRooms`

use rooms::directory::{self, Wanted};
use ruma::api::client::directory::{get_public_rooms, get_public_rooms_filtered};
use ruma::directory::RoomTypeFilter;
use ruma::{OwnedServerName, UInt};
use serde::Serialize;
use web::{Authed, JsonBytes, Matrix, Reply};

use crate::shown_room::ShownRoom;
use crate::{App, json};

/// How many rooms an answer has that asks for no number, and at most.
const SOME: usize = 100;
const MOST: usize = 500;

#[derive(Serialize)]
struct Answer {
    chunk: Vec<ShownRoom>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
    total_room_count_estimate: usize,
}

/// The listed rooms.
pub(crate) async fn get(
    Matrix(ask): Matrix<get_public_rooms::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    page(&app, ask.server, ask.since, ask.limit, Wanted::default()).await
}

/// The listed rooms that fit.
pub(crate) async fn post(
    _who: Authed,
    Matrix(ask): Matrix<get_public_rooms_filtered::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    // No types at all means no choice among types.
    let room_types = Some(ask.filter.room_types).filter(|types| !types.is_empty());
    let wanted = Wanted {
        term: ask
            .filter
            .generic_search_term
            .filter(|term| !term.is_empty()),
        room_types: room_types.map(|types| types.into_iter().map(named).collect()),
        ..Wanted::default()
    };
    page(&app, ask.server, ask.since, ask.limit, wanted).await
}

fn named(filter: RoomTypeFilter) -> Option<String> {
    match filter {
        RoomTypeFilter::Default => None,
        other => other.as_str().map(str::to_owned),
    }
}

async fn page(
    app: &App,
    server: Option<OwnedServerName>,
    since: Option<String>,
    limit: Option<UInt>,
    mut wanted: Wanted,
) -> Reply<JsonBytes> {
    if server.is_some_and(|server| server != app.house.server_name()) {
        return Err(web::Error::not_found(
            "the list of that server cannot be asked for from here",
        ));
    }
    let bad = || web::Error::invalid_param("since is not a token of this server");
    wanted.skip = since
        .filter(|since| !since.is_empty())
        .map_or(Ok(0), |since| since.parse().map_err(|_| bad()))?;
    wanted.limit = limit
        .map_or(SOME, |limit| {
            usize::try_from(u64::from(limit)).unwrap_or(MOST)
        })
        .min(MOST);
    let answer = app.read(move |s| {
        let page = directory::list(s, &wanted)?;
        let shown = page.rooms.len();
        let chunk = page
            .rooms
            .into_iter()
            .map(|(room, summary)| Ok(ShownRoom::of(s.room_id(room)?, summary)));
        Ok(Answer {
            chunk: chunk.collect::<Result<_, web::Error>>()?,
            next_batch: (page.more > 0 && shown > 0).then(|| (wanted.skip + shown).to_string()),
            prev_batch: (wanted.skip > 0)
                .then(|| wanted.skip.saturating_sub(wanted.limit).to_string()),
            total_room_count_estimate: page.total,
        })
    });
    json::answer(&answer.await?)
}
