//! Other servers that ask: a signed request is believed to come from whom it names (SS "Request Authentication"), and one server has only so
//! many requests under way. Whether that server may have what it asks for is decided where rooms are read.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request;
use peers::VerifyRequest;
use ruma::{OwnedServerName, ServerName};

use crate::body;
use crate::errors::Error;
use crate::limits::Class;
use crate::part::{Incoming, Part};
use crate::site::Web;

/// The largest body of a request between servers, in bytes: 50 events of 64 KiB, and as many EDUs as go with them.
const BODY: usize = 10 << 20;
/// How many requests of one server are worked on at once.
const AT_ONCE: usize = 64;
/// How many `Authorization` headers are looked at: servers send one per key of theirs.
const HEADERS: usize = 4;

/// The other server that asks.
#[derive(Clone, Debug)]
pub struct FromServer(pub OwnedServerName);

impl<A> Part<A> for FromServer {
    const NEED: crate::Need = crate::Need::Server;

    fn take(incoming: &mut Incoming, _: &A) -> Result<Self, Error> {
        incoming.origin.clone().map(Self).ok_or_else(missing)
    }
}

fn missing() -> Error {
    Error::unauthorized("The request must be signed by a server (X-Matrix)")
}

/// The requests of other servers that are under way.
#[derive(Default)]
pub(crate) struct Visitors(Mutex<HashMap<OwnedServerName, usize>>);

/// One request's place among them, given back when it is done.
pub(crate) struct Place {
    visitors: Arc<Visitors>,
    server: OwnedServerName,
}

impl Visitors {
    fn lock(&self) -> MutexGuard<'_, HashMap<OwnedServerName, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, server: &ServerName) -> Result<Place, Error> {
        let mut inside = self.lock();
        let count = inside.entry(server.to_owned()).or_default();
        if *count >= AT_ONCE {
            return Err(Error::limit_exceeded(std::time::Duration::from_secs(1)));
        }
        *count += 1;
        Ok(Place {
            visitors: Arc::clone(self),
            server: server.to_owned(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.visitors.lock();
        if let Some(count) = inside.get_mut(&self.server) {
            *count -= 1;
            if *count == 0 {
                inside.remove(&self.server);
            }
        }
    }
}

/// Reads the body, as the signature is over it as well, finds out which server signed, and gives it a place.
pub(crate) async fn admit(
    web: &Web,
    parts: &request::Parts,
    body: Body,
    address: Option<IpAddr>,
) -> Result<(OwnedServerName, Place, Bytes), Error> {
    let inner = &web.inner;
    let signed: Vec<&str> = parts
        .headers
        .get_all(AUTHORIZATION)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .filter(|header| is_x_matrix(header))
        .take(HEADERS)
        .collect();
    if signed.is_empty() {
        inner.limits.check(Class::Any, None, address)?;
        return Err(missing());
    }
    let time = inner.config.body_time.duration();
    let body = body::read(body, &parts.method, BODY, time).await?;
    let origin = match verify(web, parts, &body, &signed).await {
        Ok(origin) => origin,
        Err(error) => {
            // Guessing counts as well.
            inner.limits.check(Class::Any, None, address)?;
            return Err(error);
        }
    };
    inner.limits.check_server(&origin)?;
    let place = inner.visitors.enter(&origin)?;
    Ok((origin, place, body))
}

fn is_x_matrix(header: &str) -> bool {
    header
        .split_once(' ')
        .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("x-matrix"))
}

async fn verify(
    web: &Web,
    parts: &request::Parts,
    body: &[u8],
    signed: &[&str],
) -> Result<OwnedServerName, Error> {
    let path_and_query = parts
        .uri
        .path_and_query()
        .map_or("/", |path_and_query| path_and_query.as_str());
    let mut last = missing();
    for authorization in signed {
        let request = VerifyRequest {
            method: parts.method.as_str(),
            path_and_query,
            body: (!body.is_empty()).then_some(body),
            authorization,
        };
        match web.inner.peers.verify_request(request).await {
            Ok(origin) => return Ok(origin),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}
