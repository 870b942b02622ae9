//! `/_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions`

use ruma::api::client::push::{get_pushrule_actions, set_pushrule_actions};
use web::{Authed, Matrix, Reply};

use super::find;
use crate::App;

/// What the rule does.
pub(crate) async fn get(
    who: Authed,
    Matrix(ask): Matrix<get_pushrule_actions::v3::Request>,
    app: App,
) -> Reply<get_pushrule_actions::v3::Response> {
    let rules = app.house.users.push_rules_of(who.user_no())?;
    let actions = find(&rules, &ask.kind, &ask.rule_id)?.actions().to_vec();
    Ok(get_pushrule_actions::v3::Response::new(actions))
}

/// Changes what the rule does.
pub(crate) async fn put(
    who: Authed,
    Matrix(ask): Matrix<set_pushrule_actions::v3::Request>,
    app: App,
) -> Reply<set_pushrule_actions::v3::Response> {
    app.house
        .users
        .set_push_rule_actions(&who.user_id, ask.kind, &ask.rule_id, ask.actions)
        .await?;
    Ok(set_pushrule_actions::v3::Response::new())
}
