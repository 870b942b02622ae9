//! `GET /_matrix/client/v3/pushrules/` and `GET /_matrix/client/v3/pushrules/global/`

use ruma::api::client::push::{get_pushrules_all, get_pushrules_global_scope};
use ruma::push::Ruleset;
use serde::Serialize;
use web::{Guest, JsonBytes, Matrix, Reply};

use crate::{App, json};

#[derive(Serialize)]
struct Answer<'r> {
    global: &'r Ruleset,
}

/// All rules of the user, by scope.
pub(crate) async fn get(
    who: Guest,
    Matrix(_): Matrix<get_pushrules_all::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    json::answer(&Answer {
        global: &*app.house.users.push_rules_of(who.user_no())?,
    })
}

/// All rules of the user in the one scope that there is.
pub(crate) async fn global(
    who: Guest,
    Matrix(_): Matrix<get_pushrules_global_scope::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    json::answer(&*app.house.users.push_rules_of(who.user_no())?)
}
