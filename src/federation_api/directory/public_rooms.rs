//! `GET /_matrix/federation/v1/publicRooms` and `POST /_matrix/federation/v1/publicRooms`

use rooms::directory::{self, Wanted};
use serde::Deserialize;
use web::{FromServer, Json, JsonBytes, Query, Reply};

use crate::App;

#[derive(Deserialize)]
pub(crate) struct Ask {
    since: Option<String>,
    limit: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filtered {
    since: Option<String>,
    limit: Option<u64>,
    filter: Filter,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Filter {
    generic_search_term: Option<String>,
    room_types: Option<Vec<Option<String>>>,
}

/// The rooms that are listed here.
pub(crate) async fn get(_: FromServer, Query(ask): Query<Ask>, app: App) -> Reply<JsonBytes> {
    page(&app, ask.since, ask.limit, Wanted::default()).await
}

/// The rooms that are listed here and fit.
pub(crate) async fn post(_: FromServer, Json(ask): Json<Filtered>, app: App) -> Reply<JsonBytes> {
    let wanted = Wanted {
        term: ask
            .filter
            .generic_search_term
            .filter(|term| !term.is_empty()),
        // No types at all means no choice among types.
        room_types: ask.filter.room_types.filter(|types| !types.is_empty()),
        ..Wanted::default()
    };
    page(&app, ask.since, ask.limit, wanted).await
}

async fn page(
    app: &App,
    since: Option<String>,
    limit: Option<u64>,
    mut wanted: Wanted,
) -> Reply<JsonBytes> {
    wanted.turn_to(since.as_deref(), limit)?;
    let page = app.read(move |s| Ok(directory::shown(s, &wanted)?)).await?;
    JsonBytes::of(&page)
}
