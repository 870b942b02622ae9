//! A network of servers in one process, for tests: requests go to closures, and the way between two servers can be cut, slowed, doubled and reordered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use ruma::{OwnedServerName, ServerName};
use tokio::sync::oneshot;

use crate::Peers;
use crate::error::{Error, Result};
use crate::trace::Step;
use crate::transport::{Body, Transport};

/// How many requests the network remembers.
const REMEMBERED: usize = 100_000;

/// What answers requests.
pub type Handler = Arc<dyn Fn(Request<Bytes>) -> BoxFuture<'static, Response<Bytes>> + Send + Sync>;

/// A network. Clones are the same one.
#[derive(Clone, Default)]
pub struct Network {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    servers: HashMap<OwnedServerName, Handler>,
    links: HashMap<(OwnedServerName, OwnedServerName), Link>,
    seen: VecDeque<Seen>,
}

/// The way from one server to another.
#[derive(Default)]
struct Link {
    cut: bool,
    delay: Duration,
    copies: usize,
    /// Requests that are held back, while they are.
    held: Option<Vec<oneshot::Sender<()>>>,
}

/// A request that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Who sent it.
    pub from: OwnedServerName,
    /// Who got it.
    pub to: OwnedServerName,
    /// The HTTP method.
    pub method: String,
    /// Path and query.
    pub path_and_query: String,
    /// The body.
    pub body: Bytes,
}

impl Network {
    /// A network without servers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a server that is answered for by `handler`, or puts another handler in its place.
    pub fn join<F, Fut>(&self, server: &ServerName, handler: F)
    where
        F: Fn(Request<Bytes>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Bytes>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        self.state().servers.insert(server.to_owned(), handler);
    }

    /// Adds the server of `peers`, which answers questions for its keys by itself; everything else goes to `handler`.
    pub fn join_as<F, Fut>(&self, peers: &Peers, handler: F)
    where
        F: Fn(Request<Bytes>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Bytes>> + Send + 'static,
    {
        let (keys, handler) = (peers.keys().clone(), Arc::new(handler));
        self.join(peers.server_name(), move |request| {
            let (keys, handler) = (keys.clone(), handler.clone());
            async move {
                if request.uri().path() == "/_matrix/key/v2/server" {
                    return match keys.own_document() {
                        Ok(document) => Response::new(document.into()),
                        Err(error) => {
                            refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
                        }
                    };
                }
                handler(request).await
            }
        });
    }

    /// Removes a server: it can no longer be reached by anybody.
    pub fn leave(&self, server: &ServerName) {
        self.state().servers.remove(server);
    }

    /// The network as `from` sees it.
    #[must_use]
    pub fn transport(&self, from: &ServerName) -> Arc<dyn Transport> {
        Arc::new(Seat {
            network: self.clone(),
            from: from.to_owned(),
        })
    }

    /// Cuts both ways between two servers.
    pub fn cut(&self, one: &ServerName, other: &ServerName) {
        self.both(one, other, |link| link.cut = true);
    }

    /// Mends both ways between two servers; what was delayed, doubled or held on them is no longer.
    pub fn heal(&self, one: &ServerName, other: &ServerName) {
        self.both(one, other, |link| *link = Link::default());
    }

    /// Lets every request from one server to another travel for a while.
    pub fn delay(&self, from: &ServerName, to: &ServerName, delay: Duration) {
        self.one_way(from, to, |link| link.delay = delay);
    }

    /// Delivers every request from one server to another so many times more; the sender gets the last answer.
    pub fn duplicate(&self, from: &ServerName, to: &ServerName, copies: usize) {
        self.one_way(from, to, |link| link.copies = copies);
    }

    /// Holds back requests from one server to another until they are released.
    pub fn hold(&self, from: &ServerName, to: &ServerName) {
        self.one_way(from, to, |link| {
            link.held.get_or_insert_default();
        });
    }

    /// How many requests are held back.
    #[must_use]
    pub fn held(&self, from: &ServerName, to: &ServerName) -> usize {
        let link = (from.to_owned(), to.to_owned());
        let state = self.state();
        let held = state.links.get(&link).and_then(|link| link.held.as_ref());
        held.map_or(0, Vec::len)
    }

    /// Lets go what is held back, the last one first if `reversed`, and holds back nothing more.
    pub fn release(&self, from: &ServerName, to: &ServerName, reversed: bool) {
        let mut held = Vec::new();
        self.one_way(from, to, |link| held = link.held.take().unwrap_or_default());
        if reversed {
            held.reverse();
        }
        for request in held {
            // Its sender may have lost patience.
            let _ = request.send(());
        }
    }

    /// The requests that arrived since the last call, in order.
    #[must_use]
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state().seen).into()
    }

    fn one_way(&self, from: &ServerName, to: &ServerName, change: impl FnOnce(&mut Link)) {
        let mut state = self.state();
        change(
            state
                .links
                .entry((from.to_owned(), to.to_owned()))
                .or_default(),
        );
    }

    fn both(&self, one: &ServerName, other: &ServerName, change: impl Fn(&mut Link)) {
        self.one_way(one, other, &change);
        self.one_way(other, one, &change);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.state().servers.keys()).finish()
    }
}

/// An answer that says no, as Matrix servers do.
#[must_use]
pub fn refusal(status: StatusCode, error: &str) -> Response<Bytes> {
    let body = serde_json::json!({ "errcode": UNKNOWN, "error": error });
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response
}

/// What servers answer when they have no better word.
const UNKNOWN: &str = concat!("M", "_UNKNOWN");

fn unreachable(server: &ServerName, why: &str) -> Error {
    Error::Unreachable {
        server: server.to_owned(),
        why: why.to_owned(),
    }
}

/// One server's view of the network.
struct Seat {
    network: Network,
    from: OwnedServerName,
}

impl Seat {
    /// Waits as long as the way to `to` demands, and says how often the request arrives.
    async fn travel(&self, to: &ServerName) -> Result<usize> {
        let (delay, held) = {
            let mut state = self.network.state();
            let link = state
                .links
                .entry((self.from.clone(), to.to_owned()))
                .or_default();
            let held = link.held.as_mut().map(|held| {
                let (release, released) = oneshot::channel();
                held.push(release);
                released
            });
            (link.delay, held)
        };
        if let Some(released) = held {
            released
                .await
                .map_err(|_| unreachable(to, "the way was cut"))?;
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.copies(to)
    }

    /// How often a request arrives, unless the way is cut.
    fn copies(&self, to: &ServerName) -> Result<usize> {
        let state = self.network.state();
        match state.links.get(&(self.from.clone(), to.to_owned())) {
            Some(link) if link.cut => Err(unreachable(to, "the way is cut")),
            link => Ok(1 + link.map_or(0, |link| link.copies)),
        }
    }

    fn arrive(&self, to: &ServerName, request: &Request<Bytes>) -> Result<Handler> {
        let mut state = self.network.state();
        let handler = state.servers.get(to).cloned();
        if handler.is_some() {
            if state.seen.len() == REMEMBERED {
                state.seen.pop_front();
            }
            state.seen.push_back(Seen {
                from: self.from.clone(),
                to: to.to_owned(),
                method: request.method().to_string(),
                path_and_query: request.uri().to_string(),
                body: request.body().clone(),
            });
        }
        handler.ok_or_else(|| unreachable(to, "there is no such server"))
    }
}

impl Transport for Seat {
    fn send<'a>(
        &'a self,
        server: &'a ServerName,
        request: Request<Bytes>,
    ) -> BoxFuture<'a, Result<Response<Body>>> {
        Box::pin(async move {
            let copies = self.travel(server).await?;
            for _ in 1..copies {
                let handler = self.arrive(server, &request)?;
                handler(request.clone()).await;
            }
            let answer = self.arrive(server, &request)?(request).await;
            // The way back may have been cut meanwhile: the request arrived, the answer does not.
            self.copies(server)?;
            Ok(answer.map(Body::whole))
        })
    }

    fn explain<'a>(&'a self, server: &'a ServerName) -> BoxFuture<'a, Vec<Step>> {
        let known = self.network.state().servers.contains_key(server);
        let step = if known {
            Step::good(format!("{server} is part of this network."))
        } else {
            Step::failed(format!("{server} is no part of this network."))
        };
        Box::pin(async move { vec![step] })
    }
}
