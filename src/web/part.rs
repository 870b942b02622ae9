//! The parts of a request that handlers ask for.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::RawPathParams;
use bytes::Bytes;
use http::{HeaderMap, Method, Uri, request};

use ruma::OwnedServerName;
use serde::de::DeserializeOwned;
use users::Identity;

use crate::auth::{self, Authed, Guest, Locked, Need};
use crate::errors::Error;
use crate::from_server::Place;
use crate::handler::Endpoint;
use crate::site::Site;

/// A request on its way to its handler.
pub struct Incoming {
    pub(crate) parts: request::Parts,
    pub(crate) args: Option<RawPathParams>,
    /// How many arguments the endpoint's path has; what a shorter path lacks at its end is empty.
    pub(crate) arity: usize,
    pub(crate) who: Option<Arc<Identity>>,
    /// The server that signed the request.
    pub(crate) origin: Option<OwnedServerName>,
    /// That server's place among the requests under way.
    pub(crate) place: Option<Place>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) body: Bytes,
    /// The body, if it has not been read.
    pub(crate) stream: Option<Body>,
}

impl Incoming {
    /// The arguments in the path, decoded, in order.
    pub(crate) fn args(&self) -> Vec<&str> {
        let mut args: Vec<&str> = self.args.iter().flatten().map(|(_, value)| value).collect();
        args.resize(args.len().max(self.arity), "");
        args
    }
}

/// Something that a handler can ask for in its arguments.
pub trait Part<A>: Sized + Send {
    /// What it must know about who asks.
    const NEED: Need = Need::Nothing;
    /// Whether it names the endpoint.
    const NAMES: bool = false;
    /// Whether it reads the body as it arrives, instead of having it read before.
    const STREAMS: bool = false;

    /// The endpoint that it names.
    fn endpoint() -> Option<Endpoint> {
        None
    }

    /// Takes it out of the request.
    ///
    /// # Errors
    /// If the request does not have it.
    fn take(incoming: &mut Incoming, site: &A) -> Result<Self, Error>;
}

impl<A: Site> Part<A> for A {
    fn take(_: &mut Incoming, site: &A) -> Result<Self, Error> {
        Ok(site.clone())
    }
}

impl<A> Part<A> for Authed {
    const NEED: Need = Need::Token;

    fn take(incoming: &mut Incoming, _: &A) -> Result<Self, Error> {
        auth::full(incoming.who.clone())
    }
}

impl<A> Part<A> for Guest {
    const NEED: Need = Need::Token;

    fn take(incoming: &mut Incoming, _: &A) -> Result<Self, Error> {
        auth::unlocked(incoming.who.clone())
    }
}

impl<A> Part<A> for Locked {
    const NEED: Need = Need::Token;

    fn take(incoming: &mut Incoming, _: &A) -> Result<Self, Error> {
        incoming
            .who
            .clone()
            .map(Locked)
            .ok_or_else(Error::missing_token)
    }
}

impl<A> Part<A> for Option<Authed> {
    const NEED: Need = Need::Optional;

    fn take(incoming: &mut Incoming, _: &A) -> Result<Self, Error> {
        let Some(who) = incoming.who.clone() else {
            return Ok(None);
        };
        auth::full(Some(who)).map(Some)
    }
}

impl<A> Part<A> for Option<Guest> {
    const NEED: Need = Need::Optional;

    fn take(incoming: &mut Incoming, _: &A) -> Result<Self, Error> {
        let Some(who) = incoming.who.clone() else {
            return Ok(None);
        };
        auth::unlocked(Some(who)).map(Some)
    }
}

/// The arguments in the path of an endpoint that ruma does not type, in order, each read as what it is.
#[derive(Clone, Debug)]
pub struct Path<T>(pub T);

/// What the arguments of a path can be read as.
pub trait FromArgs: Sized {
    /// Reads them; nothing if they are something else, or too few.
    fn from_args(args: &[&str]) -> Option<Self>;
}

impl<T: FromStr> FromArgs for (T,) {
    fn from_args(args: &[&str]) -> Option<Self> {
        let [first, ..] = args else { return None };
        Some((first.parse().ok()?,))
    }
}

impl<T: FromStr, U: FromStr> FromArgs for (T, U) {
    fn from_args(args: &[&str]) -> Option<Self> {
        let [first, second, ..] = args else {
            return None;
        };
        Some((first.parse().ok()?, second.parse().ok()?))
    }
}

impl<A, T: FromArgs + Send> Part<A> for Path<T> {
    fn take(incoming: &mut Incoming, _: &A) -> Result<Self, Error> {
        T::from_args(&incoming.args())
            .map(Self)
            .ok_or_else(|| Error::invalid_param("An identifier in the path is not well-formed"))
    }
}

/// The query of an endpoint that ruma does not type.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<A, T: DeserializeOwned + Send> Part<A> for Query<T> {
    fn take(incoming: &mut Incoming, _: &A) -> Result<Self, Error> {
        let query = incoming.parts.uri.query().unwrap_or_default();
        serde_html_form::from_str(query).map(Self).map_err(|error| {
            let why = error.to_string();
            if why.starts_with("missing field") {
                Error::missing_param(why)
            } else {
                Error::invalid_param(why)
            }
        })
    }
}

/// The request as it came, for what typed requests leave out.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The client's address, unless it came through a Unix socket that did not say.
    pub address: Option<IpAddr>,
    /// The method.
    pub method: Method,
    /// Path and query, not decoded.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// The arguments in the path, decoded, in order.
    pub args: Vec<String>,
    /// The body, byte for byte.
    pub body: Bytes,
}

impl Asked {
    /// The query, not decoded.
    #[must_use]
    pub fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }

    /// The first value of a query parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs: Vec<(String, String)> = serde_html_form::from_str(self.query()).ok()?;
        pairs
            .into_iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl<A> Part<A> for Asked {
    fn take(incoming: &mut Incoming, _: &A) -> Result<Self, Error> {
        Ok(Self {
            address: incoming.address,
            method: incoming.parts.method.clone(),
            uri: incoming.parts.uri.clone(),
            headers: incoming.parts.headers.clone(),
            args: incoming.args().into_iter().map(str::to_owned).collect(),
            body: incoming.body.clone(),
        })
    }
}
