//! `/_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled`

use ruma::api::client::push::{get_pushrule_enabled, set_pushrule_enabled};
use web::{Authed, Matrix, Reply};

use super::find;
use crate::App;

/// Is the rule on?
pub(crate) async fn get(
    who: Authed,
    Matrix(ask): Matrix<get_pushrule_enabled::v3::Request>,
    app: App,
) -> Reply<get_pushrule_enabled::v3::Response> {
    let rules = app.house.users.push_rules_of(who.user_no())?;
    let enabled = find(&rules, &ask.kind, &ask.rule_id)?.enabled();
    Ok(get_pushrule_enabled::v3::Response::new(enabled))
}

/// Switches the rule on or off.
pub(crate) async fn put(
    who: Authed,
    Matrix(ask): Matrix<set_pushrule_enabled::v3::Request>,
    app: App,
) -> Reply<set_pushrule_enabled::v3::Response> {
    app.house
        .users
        .enable_push_rule(&who.user_id, ask.kind, &ask.rule_id, ask.enabled)
        .await?;
    Ok(set_pushrule_enabled::v3::Response::new())
}
