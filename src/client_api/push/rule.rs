//! `/_matrix/client/v3/pushrules/global/{kind}/{ruleId}`

use ruma::api::client::push::{PushRule, delete_pushrule, get_pushrule, set_pushrule};
use ruma::api::error::DeserializationError;
use ruma::api::{IncomingRequest, Metadata};
use serde_json::{Map, Value, json};
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
    Matrix(SetRule(ask)): Matrix<SetRule>,
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

/// The request, in which a rule may lack its conditions: the specification lets it apply to everything then, and the typed request does not.
#[derive(Debug, Clone)]
pub(crate) struct SetRule(set_pushrule::v3::Request);

type Inner = set_pushrule::v3::Request;

impl Metadata for SetRule {
    const METHOD: http::Method = <Inner as Metadata>::METHOD;
    const RATE_LIMITED: bool = <Inner as Metadata>::RATE_LIMITED;
    type Authentication = <Inner as Metadata>::Authentication;
    type PathBuilder = <Inner as Metadata>::PathBuilder;
    const PATH_BUILDER: Self::PathBuilder = <Inner as Metadata>::PATH_BUILDER;
}

impl IncomingRequest for SetRule {
    type EndpointError = <Inner as IncomingRequest>::EndpointError;
    type OutgoingResponse = set_pushrule::v3::Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let (parts, body) = request.into_parts();
        let mut rule: Map<String, Value> = serde_json::from_slice(body)?;
        rule.entry("conditions").or_insert_with(|| json!([]));
        let body = serde_json::to_vec(&rule)?;
        let request = http::Request::from_parts(parts, &*body);
        Inner::try_from_http_request_inner(request, path_args).map(Self)
    }
}
