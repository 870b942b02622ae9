//! `GET /_matrix/federation/v1/query/profile`

use std::collections::BTreeMap;

use ruma::OwnedUserId;
use serde::Deserialize;
use web::{FromServer, JsonBytes, Query, Reply};

use crate::App;

#[derive(Deserialize)]
pub(crate) struct Ask {
    user_id: OwnedUserId,
    field: Option<String>,
}

/// What a user of ours tells about themselves, or one field of it. A field that is not set is left out.
pub(crate) async fn get(_: FromServer, Query(ask): Query<Ask>, app: App) -> Reply<JsonBytes> {
    app.ours(&ask.user_id)?;
    let mut profile = app.house.users.profile(&ask.user_id).await?;
    if let Some(field) = ask.field {
        let value = profile.remove(&field);
        profile = value
            .map(|value| (field, value))
            .into_iter()
            .collect::<BTreeMap<_, _>>();
    }
    JsonBytes::of(&profile)
}
