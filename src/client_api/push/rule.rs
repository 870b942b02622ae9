//! `/_matrix/client/v3/pushrules/global/{kind}/{ruleId}`

use ruma::api::client::push::{PushRule, delete_pushrule, get_pushrule, set_pushrule};
use web::{Authed, Matrix, Reply};

use super::find;
use crate::App;

/// One rule.
pub(crate) async fn get(
    who: Authed,
    Matrix(ask): Matrix<get_pushrule::v3::Request>,
    app: App,
) -> Reply<get_pushrule::v3::Response> {
    let rules = app.house.users.push_rules_of(who.user_no())?;
    let rule = find(&rules, &ask.kind, &ask.rule_id)?;
    Ok(get_pushrule::v3::Response::new(PushRule::from(rule)))
}

/// Adds a rule or changes the one of this ID.
pub(crate) async fn put(
    who: Authed,
    Matrix(ask): Matrix<set_pushrule::v3::Request>,
    app: App,
) -> Reply<set_pushrule::v3::Response> {
    app.house
        .users
        .set_push_rule(
            &who.user_id,
            ask.rule,
            ask.after.as_deref(),
            ask.before.as_deref(),
        )
        .await?;
    Ok(set_pushrule::v3::Response::new())
}

/// Removes a rule.
pub(crate) async fn delete(
    who: Authed,
    Matrix(ask): Matrix<delete_pushrule::v3::Request>,
    app: App,
) -> Reply<delete_pushrule::v3::Response> {
    app.house
        .users
        .delete_push_rule(&who.user_id, ask.kind, &ask.rule_id)
        .await?;
    Ok(delete_pushrule::v3::Response::new())
}
