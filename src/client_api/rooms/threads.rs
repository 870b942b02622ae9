//! `GET /_matrix/client/v1/rooms/{roomId}/threads`

use rooms::Stored;
use rooms::threads::{self, Include};
use ruma::api::client::threads::get_threads::v1::{IncludeThreads, Request};
use serde::Serialize;
use serde_json::value::RawValue;
use sync::token::Place;
use web::{Authed, JsonBytes, Matrix, Reply};

use crate::reading::Reading;
use crate::{App, json};

/// How many threads an answer has that asks for no number, and at most.
const SOME: usize = 20;
const MOST: usize = 100;

#[derive(Serialize)]
struct Answer {
    chunk: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
}

/// The threads of a room, those that were spoken in last first.
pub(crate) async fn get(who: Authed, Matrix(ask): Matrix<Request>, app: App) -> Reply<JsonBytes> {
    let include = match &ask.include {
        IncludeThreads::All => Include::All,
        IncludeThreads::Participated => Include::Participated,
        other => {
            return Err(web::Error::invalid_param(format!(
                "include cannot be {other}"
            )));
        }
    };
    let reader = app.reader(&who)?;
    let sync = app.sync.clone();
    let answer = app.read(move |s| {
        let reading = Reading::enter(s, &sync, &reader, &ask.room_id)?;
        let from = ask.from.as_deref().map(Reading::place).transpose()?;
        let limit = ask
            .limit
            .map_or(SOME, |limit| {
                usize::try_from(u64::from(limit)).unwrap_or(MOST)
            })
            .clamp(1, MOST);
        let page = threads::list(s, &reading.eyes, reading.room, include, from, limit)?;
        let roots: Vec<_> = page
            .roots
            .iter()
            .filter(|root| !reader.ignores(root))
            .map(Stored::no)
            .collect();
        Ok(Answer {
            chunk: reading.write(&roots)?,
            next_batch: page.next.map(|next| Place(next).to_string()),
        })
    });
    json::answer(&answer.await?)
}
