//! `PUT /_matrix/federation/v1/send/{txnId}`: events and EDUs that another server pushes (SS "Transactions").
//!
//! A server sends one transaction after the other and repeats one until it is answered. So the transactions of a server are taken one at a time,
//! the last answers are kept, and a repeated transaction gets the same answer without being carried out again. Should the server die in between, carrying it out
//! again changes nothing: events are known by their IDs, messages to devices by theirs.

mod edus;

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Lanes;
use ruma::{OwnedEventId, OwnedServerName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use web::{Error, FromServer, Json, JsonBytes, Path, Reply};

use crate::App;

/// Most events in one transaction.
const PDUS: usize = 50;
/// Most EDUs in one transaction.
const EDUS: usize = 100;
/// The longest transaction ID that is looked at.
const LONGEST_ID: usize = 255;

/// The transactions under way: one at a time for each server. How many wait is bounded by how many requests a server may have under way.
#[derive(Clone, Default)]
pub(crate) struct Transactions(Arc<Lanes<OwnedServerName>>);

#[derive(Deserialize)]
pub(crate) struct Ask {
    #[serde(default)]
    pdus: Vec<Box<RawValue>>,
    #[serde(default)]
    edus: Vec<Box<RawValue>>,
}

/// What became of an event: nothing to say, or why it was not taken.
#[derive(Default, Serialize)]
struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    pdus: BTreeMap<OwnedEventId, Outcome>,
}

/// Takes what another server pushes.
pub(crate) async fn send(
    FromServer(origin): FromServer,
    Path((txn_id,)): Path<(String,)>,
    Json(ask): Json<Ask>,
    app: App,
) -> Reply<JsonBytes> {
    if txn_id.len() > LONGEST_ID {
        return Err(Error::invalid_param("The transaction ID is too long"));
    }
    if ask.pdus.len() > PDUS || ask.edus.len() > EDUS {
        return Err(Error::too_large(format!(
            "A transaction has at most {PDUS} PDUs and {EDUS} EDUs"
        )));
    }
    let lanes = Arc::clone(&app.transactions.0);
    lanes
        .run(origin.clone(), async move {
            if let Some(known) = app.house.rooms.answered(&origin, &txn_id).await? {
                return Ok(JsonBytes::from(known));
            }
            let answer = carry_out(&app, &origin, ask).await?;
            app.house
                .rooms
                .keep_answer(&origin, &txn_id, answer.clone())
                .await?;
            Ok(JsonBytes::from(answer))
        })
        .await
}

async fn carry_out(app: &App, origin: &OwnedServerName, ask: Ask) -> Result<String, Error> {
    let taken = if ask.pdus.is_empty() {
        Vec::new()
    } else {
        app.house.rooms.receive(origin, ask.pdus).await?
    };
    edus::take(app, origin, &ask.edus).await?;
    let pdus = taken.into_iter().map(|(event_id, result)| {
        let error = result.err();
        (event_id, Outcome { error })
    });
    let answer = Answer {
        pdus: pdus.collect(),
    };
    serde_json::to_string(&answer).map_err(Error::internal)
}
