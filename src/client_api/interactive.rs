//! Interactive authentication at the door: what a client offers as proof is read here, judged by `users`, and what is still missing is told.
//! Specification, "User-Interactive Authentication API".
//!
//! A proof counts for one request only: the same user, device, endpoint and body. Clients write `auth` in more ways than the specification has, so it is
//! read by hand, and typed requests are read without it.

use base::Secret;
use http::Request;
use ruma::api::error::DeserializationError;
use ruma::api::{IncomingRequest, Metadata};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use users::Identity;
use users::uia::{Auth, Challenge, Operation, Outcome, Passed, Proof, Stage};
use web::Asked;

use crate::{App, json};

/// A typed request, read without its `auth`.
#[derive(Debug, Clone)]
pub(crate) struct Unproven<R>(pub(crate) R);

impl<R: Metadata> Metadata for Unproven<R> {
    const METHOD: http::Method = R::METHOD;
    const RATE_LIMITED: bool = R::RATE_LIMITED;
    type Authentication = R::Authentication;
    type PathBuilder = R::PathBuilder;
    const PATH_BUILDER: R::PathBuilder = R::PATH_BUILDER;
}

impl<R: IncomingRequest> IncomingRequest for Unproven<R> {
    type EndpointError = R::EndpointError;
    type OutgoingResponse = R::OutgoingResponse;

    fn try_from_http_request_inner(
        request: Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let (parts, body) = request.into_parts();
        let mut object: Map<String, Value> = if body.is_empty() {
            Map::new()
        } else {
            serde_json::from_slice(body)?
        };
        object.remove("auth");
        let body = serde_json::to_vec(&object)?;
        R::try_from_http_request_inner(Request::from_parts(parts, &body), path_args).map(Self)
    }
}

/// Asks somebody who is signed in to prove with their password that it is still them.
pub(crate) async fn confirm(app: &App, who: &Identity, asked: &Asked) -> Result<(), web::Error> {
    let operation = operation(Some(who), asked)?;
    judge(app, operation, vec![Stage::Password], asked)
        .await
        .map(drop)
}

/// Asks somebody who is not signed in for what one stage demands.
pub(crate) async fn prove(app: &App, asked: &Asked, stage: Stage) -> Result<Passed, web::Error> {
    let operation = operation(None, asked)?;
    judge(app, operation, vec![stage], asked).await
}

async fn judge(
    app: &App,
    operation: Operation,
    flow: Vec<Stage>,
    asked: &Asked,
) -> Result<Passed, web::Error> {
    let users = &app.house.users;
    let mut auth = offered(app, &json::body(&asked.body)?)?;
    if let Some(Proof::RegistrationToken(token)) =
        auth.as_ref().and_then(|auth| auth.proof.as_ref())
        && actions::register::is_configured_token(&app.house, token)
    {
        let session = begin(app, &operation, &flow, auth.take(), asked).await?;
        users.complete_stage(&session, Stage::RegistrationToken)?;
        auth = Some(Auth {
            session: Some(session),
            proof: None,
        });
    }
    match users
        .authorize(operation, &[flow], auth, asked.address)
        .await?
    {
        Outcome::Passed(passed) => Ok(passed),
        Outcome::Challenge(challenge) => Err(told(challenge)),
    }
}

/// The session to go on with, when a stage is judged here and not in `users`.
async fn begin(
    app: &App,
    operation: &Operation,
    flow: &[Stage],
    auth: Option<Auth>,
    asked: &Asked,
) -> Result<String, web::Error> {
    let auth = Auth {
        session: auth.and_then(|auth| auth.session),
        proof: None,
    };
    match app
        .house
        .users
        .authorize(
            operation.clone(),
            &[flow.to_vec()],
            Some(auth),
            asked.address,
        )
        .await?
    {
        Outcome::Challenge(challenge) => Ok(challenge.session),
        Outcome::Passed(_) => Err(web::Error::internal(
            "an authentication passed before its only stage was done",
        )),
    }
}

/// What is about to be done, in so far as a proof is bound to it.
fn operation(who: Option<&Identity>, asked: &Asked) -> Result<Operation, web::Error> {
    let mut body = json::body(&asked.body)?;
    body.remove("auth");
    let body = serde_json::to_vec(&body).map_err(web::Error::internal)?;
    Ok(Operation {
        user: who.map(|who| who.user_id.clone()),
        device: who.map(|who| who.device_id.clone()),
        endpoint: format!("{} {}", asked.method, asked.uri.path()),
        body: Sha256::digest(body).into(),
    })
}

/// `auth` as clients write it.
#[derive(Deserialize)]
struct Written {
    #[serde(rename = "type")]
    stage: Option<String>,
    session: Option<String>,
    identifier: Option<Identifier>,
    /// Where clients of long ago put the name.
    user: Option<String>,
    password: Option<Secret>,
    token: Option<String>,
}

#[derive(Deserialize)]
struct Identifier {
    #[serde(rename = "type")]
    kind: String,
    user: Option<String>,
}

fn offered(app: &App, body: &Map<String, Value>) -> Result<Option<Auth>, web::Error> {
    let Some(auth) = body.get("auth").filter(|auth| !auth.is_null()) else {
        return Ok(None);
    };
    let written = Written::deserialize(auth)
        .map_err(|error| web::Error::bad_json(format!("auth: {error}")))?;
    let session = written.session.clone();
    let proof = match written.stage.clone() {
        Some(stage) => Some(proof(app, &stage, written)?),
        None => None,
    };
    Ok(Some(Auth { session, proof }))
}

fn proof(app: &App, stage: &str, written: Written) -> Result<Proof, web::Error> {
    Ok(match Stage::named(stage) {
        Some(Stage::Password) => {
            let name = match (written.identifier, written.user) {
                (
                    Some(Identifier {
                        kind,
                        user: Some(user),
                    }),
                    _,
                ) if kind == "m.id.user" => user,
                (None, Some(user)) => user,
                (Some(_), _) => {
                    return Err(web::Error::unknown(
                        "this server does not know this kind of identifier",
                    ));
                }
                (None, None) => {
                    return Err(web::Error::missing_param("auth: the identifier is missing"));
                }
            };
            let password = written
                .password
                .ok_or_else(|| web::Error::missing_param("auth: the password is missing"))?;
            Proof::Password {
                user: actions::login::who(&app.house, &name)?,
                password,
            }
        }
        Some(Stage::Dummy) => Proof::Dummy,
        Some(Stage::Terms) => Proof::Terms,
        Some(Stage::RegistrationToken) => Proof::RegistrationToken(
            written
                .token
                .ok_or_else(|| web::Error::missing_param("auth: the token is missing"))?,
        ),
        _ => Proof::Other(stage.to_owned()),
    })
}

/// What the client is told is missing.
fn told(challenge: Challenge) -> web::Error {
    let names = |stages: &[Stage]| stages.iter().map(|stage| stage.name()).collect::<Vec<_>>();
    let flows: Vec<Value> = challenge
        .flows
        .iter()
        .map(|flow| json!({ "stages": names(flow) }))
        .collect();
    let mut told = challenge
        .error
        .map(|error| web::Error::from(error).into_body())
        .unwrap_or_default();
    told.insert("flows".to_owned(), Value::Array(flows));
    told.insert("params".to_owned(), json!({}));
    told.insert("session".to_owned(), json!(challenge.session));
    if !challenge.completed.is_empty() {
        told.insert("completed".to_owned(), json!(names(&challenge.completed)));
    }
    web::Error::interactive(told)
}
