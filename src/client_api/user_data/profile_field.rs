//! `/_matrix/client/v3/profile/{userId}/{keyName}`

use std::collections::BTreeMap;

use ruma::OwnedUserId;
use ruma::api::client::profile::{delete_profile_field, get_profile_field, set_profile_field};
use ruma::api::error::DeserializationError;
use ruma::api::{IncomingRequest, Metadata};
use serde_json::value::RawValue;
use users::profile::DISPLAYNAME;
use web::{Asked, Guest, JsonBytes, Matrix, Reply};

use crate::own::own;
use crate::{App, json};

/// One field of a profile.
pub(crate) async fn get(
    Matrix(ask): Matrix<get_profile_field::v3::Request>,
    app: App,
) -> Reply<JsonBytes> {
    let name = ask.field.to_string();
    let value = actions::profile_field(&app.house, &ask.user_id, &name).await?;
    json::answer(&BTreeMap::from([(name, value)]))
}

/// Sets a field. Guests may only say what they are called.
pub(crate) async fn put(
    who: Guest,
    asked: Asked,
    Matrix(ask): Matrix<SetField>,
    app: App,
) -> Reply<set_profile_field::v3::Response> {
    own(&who, &ask.user_id)?;
    may_change(&who, &ask.field)?;
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&asked.body)
        .map_err(|error| web::Error::bad_json(error.to_string()))?;
    let value = fields
        .get(&ask.field)
        .ok_or_else(|| web::Error::missing_param(format!("{} is missing", ask.field)))?;
    actions::set_profile(&app.house, &who, &ask.field, Some(value)).await?;
    Ok(set_profile_field::v3::Response::new())
}

/// Removes a field.
pub(crate) async fn delete(
    who: Guest,
    Matrix(ask): Matrix<delete_profile_field::v3::Request>,
    app: App,
) -> Reply<delete_profile_field::v3::Response> {
    own(&who, &ask.user_id)?;
    let name = ask.field.to_string();
    may_change(&who, &name)?;
    actions::set_profile(&app.house, &who, &name, None).await?;
    Ok(delete_profile_field::v3::Response::new())
}

fn may_change(who: &users::Identity, field: &str) -> Result<(), web::Error> {
    if who.account.guest && field != DISPLAYNAME {
        Err(actions::Error::GuestsNotAllowed.into())
    } else {
        Ok(())
    }
}

/// The request without its value: clients unset names and avatars by values that the typed request refuses, such as null.
#[derive(Debug, Clone)]
pub(crate) struct SetField {
    user_id: OwnedUserId,
    field: String,
}

impl Metadata for SetField {
    const METHOD: http::Method = <set_profile_field::v3::Request as Metadata>::METHOD;
    const RATE_LIMITED: bool = <set_profile_field::v3::Request as Metadata>::RATE_LIMITED;
    type Authentication = <set_profile_field::v3::Request as Metadata>::Authentication;
    type PathBuilder = <set_profile_field::v3::Request as Metadata>::PathBuilder;
    const PATH_BUILDER: Self::PathBuilder =
        <set_profile_field::v3::Request as Metadata>::PATH_BUILDER;
}

impl IncomingRequest for SetField {
    type EndpointError = <set_profile_field::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = set_profile_field::v3::Response;

    fn try_from_http_request_inner(
        _: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let args = serde::de::value::SeqDeserializer::<_, serde::de::value::Error>::new(
            path_args.iter().copied(),
        );
        let (user_id, field) = serde::Deserialize::deserialize(args)?;
        Ok(Self { user_id, field })
    }
}
