//! The list of endpoints: what is mounted where, and the way of a request from its arrival to its handler.

use std::any::Any;
use std::future::Future;
use std::iter::repeat_n;
use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use base::supervise::Panicked;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::USER_AGENT;
use http::{Method, Request, request};
use tracing::Instrument;

use crate::auth::{self, Need};
use crate::body;
use crate::errors::Error;
use crate::handler::{Endpoint, Handler};
use crate::limits::Class;
use crate::part::Incoming;
use crate::site::{Site, Web};
use crate::trace::Trace;
use crate::{cors, from_server, health};

/// A list of endpoints.
pub struct Routes<A> {
    router: Router<A>,
    list: Vec<(Method, &'static str)>,
}

/// What is known of an endpoint before any request comes.
#[derive(Clone, Copy)]
struct Rules {
    path: &'static str,
    arity: usize,
    need: Need,
    class: Class,
    streams: bool,
    waits: bool,
}

impl<A: Site> Routes<A> {
    /// No endpoints.
    #[must_use]
    pub fn new() -> Self {
        Self {
            router: Router::new(),
            list: Vec::new(),
        }
    }

    /// Serves an endpoint at every path it has or had.
    #[must_use]
    pub fn mount<P, H: Handler<A, P>>(self, handler: H) -> Self {
        self.mount_limited(Class::Any, handler)
    }

    /// As [`Self::mount`], with a rate limit of its own.
    #[must_use]
    pub fn mount_limited<P, H: Handler<A, P>>(self, class: Class, handler: H) -> Self {
        const { names_one(H::NAMES) };
        let Some(endpoint) = H::endpoint() else {
            return self;
        };
        self.add(&endpoint, &endpoint.paths, class, false, handler)
    }

    /// As [`Self::mount`], for a handler that waits for news: it runs only as long as the client is there, and should end soon when the server stops.
    #[must_use]
    pub fn mount_waiting<P, H: Handler<A, P>>(self, handler: H) -> Self {
        const { names_one(H::NAMES) };
        let Some(endpoint) = H::endpoint() else {
            return self;
        };
        self.add(&endpoint, &endpoint.paths, Class::Any, true, handler)
    }

    /// Serves an endpoint at further paths, which may lack arguments at their end: those are empty.
    #[must_use]
    pub fn also<P, H: Handler<A, P>>(self, paths: &[&'static str], handler: H) -> Self {
        self.also_limited(Class::Any, paths, handler)
    }

    /// As [`Self::also`], with a rate limit of its own.
    #[must_use]
    pub fn also_limited<P, H: Handler<A, P>>(
        self,
        class: Class,
        paths: &[&'static str],
        handler: H,
    ) -> Self {
        const { names_one(H::NAMES) };
        let Some(endpoint) = H::endpoint() else {
            return self;
        };
        self.add(&endpoint, paths, class, false, handler)
    }

    /// Serves an endpoint that ruma does not know. What it needs of a token, its parts say.
    #[must_use]
    pub fn route<P, H: Handler<A, P>>(
        self,
        method: Method,
        path: &'static str,
        handler: H,
    ) -> Self {
        self.route_limited(Class::Any, method, path, handler)
    }

    /// As [`Self::route`], with a rate limit of its own.
    #[must_use]
    pub fn route_limited<P, H: Handler<A, P>>(
        self,
        class: Class,
        method: Method,
        path: &'static str,
        handler: H,
    ) -> Self {
        let endpoint = Endpoint {
            method,
            paths: vec![path],
            need: Need::Nothing,
        };
        self.add(&endpoint, &endpoint.paths, class, false, handler)
    }

    /// As [`Self::route`], for a handler that waits for news.
    #[must_use]
    pub fn route_waiting<P, H: Handler<A, P>>(
        self,
        method: Method,
        path: &'static str,
        handler: H,
    ) -> Self {
        let endpoint = Endpoint {
            method,
            paths: vec![path],
            need: Need::Nothing,
        };
        self.add(&endpoint, &endpoint.paths, Class::Any, true, handler)
    }

    /// Both lists in one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.list.extend(other.list);
        self
    }

    /// Every method and path, in the order they were mounted.
    #[must_use]
    pub fn list(&self) -> &[(Method, &'static str)] {
        &self.list
    }

    /// The list with what its handlers hold, to be served together with others.
    #[must_use]
    pub fn with(self, site: A) -> Served {
        Served {
            web: site.web().clone(),
            router: self.router.with_state(site),
        }
    }

    /// The router, ready to serve this list alone.
    pub fn into_router(self, site: A) -> Router {
        self.with(site).into_router()
    }

    fn add<P, H: Handler<A, P>>(
        mut self,
        endpoint: &Endpoint,
        paths: &[&'static str],
        class: Class,
        waits: bool,
        handler: H,
    ) -> Self {
        let need = endpoint.need.max(H::NEED);
        let Ok(filter) = MethodFilter::try_from(endpoint.method.clone()) else {
            return self;
        };
        for (path, handler) in paths.iter().copied().zip(repeat_n(handler, paths.len())) {
            let rules = Rules {
                path,
                arity: endpoint.arity(),
                need,
                class,
                streams: H::STREAMS,
                waits,
            };
            let service = move |State(site): State<A>, request: Request<Body>| {
                handle(handler.clone(), site, request, rules)
            };
            self.router = self.router.route(path, on(filter, service));
            self.list.push((endpoint.method.clone(), path));
        }
        self
    }
}

/// Lists of endpoints, each with what its handlers hold.
pub struct Served {
    web: Web,
    router: Router,
}

impl Served {
    /// Both in one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            web: self.web,
            router: self.router.merge(other.router),
        }
    }

    /// The router, ready to serve: unknown paths and methods answer as the specification says, and everything has CORS headers.
    pub fn into_router(self) -> Router {
        let health = health::routes::<Web>().router.with_state(self.web);
        self.router
            .merge(health)
            .fallback(unknown_path)
            .method_not_allowed_fallback(unknown_method)
    }
}

/// Checked as the endpoint is compiled.
const fn names_one(names: usize) {
    assert!(
        names == 1,
        "one part of the handler must be Matrix<Request>, which names the endpoint"
    );
}

impl<A: Site> Default for Routes<A> {
    fn default() -> Self {
        Self::new()
    }
}

async fn unknown_path(request: Request<Body>) -> Response {
    cors::preflight(request.method())
        .unwrap_or_else(|| dressed(Error::unrecognized("There is no such endpoint")))
}

async fn unknown_method(request: Request<Body>) -> Response {
    cors::preflight(request.method()).unwrap_or_else(|| dressed(Error::method_not_allowed()))
}

fn dressed(error: Error) -> Response {
    cors::dress(error.into_response())
}

/// A request's way. The generic part is as thin as it can be: it is compiled once per endpoint.
async fn handle<A: Site, P, H: Handler<A, P>>(
    handler: H,
    site: A,
    request: Request<Body>,
    rules: Rules,
) -> Response {
    let trace = Trace::begin(site.web(), request.method(), rules.path);
    let answer = match receive(site.web(), request, rules).await {
        Ok(mut incoming) => {
            let place = incoming.place.take();
            match take(&handler, incoming, &site, rules) {
                Ok(work) => {
                    // Whoever asked has their place for as long as their request is worked on.
                    let work = work.inspect(move |_| drop(place));
                    run(site.web(), work, &trace, rules).await
                }
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    cors::dress(trace.end(site.web(), answer))
}

/// Everything before the handler: who asks, whether they may ask so often, and what.
async fn receive(web: &Web, request: Request<Body>, rules: Rules) -> Result<Incoming, Error> {
    let (mut parts, body) = request.into_parts();
    let inner = &web.inner;
    let address = inner.limits.address(&parts);
    if rules.need == Need::Server {
        let args = arguments(&mut parts).await?;
        let (origin, place, body) = from_server::admit(web, &parts, body, address).await?;
        return Ok(Incoming {
            parts,
            args,
            arity: rules.arity,
            who: None,
            origin: Some(origin),
            place: Some(place),
            address,
            body,
            stream: None,
        });
    }
    let who = match auth::admit(&inner.users, &parts, rules.need).await {
        Ok(who) => who,
        Err(error) => {
            // Guessing tokens counts as well.
            inner.limits.check(Class::Any, None, address)?;
            return Err(error);
        }
    };
    inner.limits.check(
        rules.class,
        who.as_deref().map(|who| &*who.user_id),
        address,
    )?;
    if let Some(who) = &who {
        let agent = parts
            .headers
            .get(USER_AGENT)
            .and_then(|agent| agent.to_str().ok());
        inner.users.note_seen(who, address, agent);
    }
    let args = if rules.path.contains('{') {
        arguments(&mut parts).await?
    } else {
        None
    };
    let (body, stream) = if rules.streams {
        (Bytes::new(), Some(body))
    } else {
        let (most, time) = (
            inner.config.body.in_memory(),
            inner.config.body_time.duration(),
        );
        (body::read(body, &parts.method, most, time).await?, None)
    };
    Ok(Incoming {
        parts,
        args,
        arity: rules.arity,
        who,
        origin: None,
        place: None,
        address,
        body,
        stream,
    })
}

async fn arguments(parts: &mut request::Parts) -> Result<Option<RawPathParams>, Error> {
    match RawPathParams::from_request_parts(parts, &()).await {
        Ok(args) => Ok(Some(args)),
        Err(_) => Err(Error::invalid_param("The path is not valid UTF-8")),
    }
}

/// Takes the handler's parts out of the request. Typed requests are read by code that is not ours, and has been seen to panic over input.
fn take<A: Site, P, H: Handler<A, P>>(
    handler: &H,
    mut incoming: Incoming,
    site: &A,
    rules: Rules,
) -> Result<H::Work, Error> {
    catch_unwind(AssertUnwindSafe(|| handler.call(&mut incoming, site)))
        .unwrap_or_else(|panic| Err(unreadable(panic, rules)))
}

fn unreadable(panic: Box<dyn Any + Send>, rules: Rules) -> Error {
    tracing::warn!(
        path = rules.path,
        "reading a request {}",
        Panicked::from(panic)
    );
    Error::bad_json("The request cannot be understood")
}

/// A handler that waits belongs to its connection; any other runs to its end.
async fn run(
    web: &Web,
    work: impl Future<Output = Result<Response, Error>> + Send + 'static,
    trace: &Trace,
    rules: Rules,
) -> Result<Response, Error> {
    let work = work.instrument(trace.span());
    let outcome = if rules.waits {
        AssertUnwindSafe(work)
            .catch_unwind()
            .await
            .map_err(Panicked::from)
    } else {
        web.inner.tasks.run(work).await
    };
    outcome.unwrap_or_else(|panicked| {
        Err(Error::internal(format_args!(
            "the handler of {} {panicked}",
            rules.path
        )))
    })
}
