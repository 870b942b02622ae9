//! Servers that know each other, and people who use them.

use ::media::Media;
use ::peers::loopback::Network;
use ::peers::{Ask, Peers};
use ::rooms::Rooms;
use ::sync::Sync;
use ::users::{Settings, Sweeper, Users};
use actions::{Choices, House};
use axum::Router;
use axum::body::Body;
use base::config::{
    FederationConfig, LimitsConfig, ListenConfig, MediaConfig, RegistrationConfig, RoomsConfig,
    WellKnownConfig,
};
use base::{SeededRandom, Supervisor, SystemClock};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use outbox::Outbox;
use ruma::ServerName;
use serde_json::{Value, json};
use store::Store;
use tower::ServiceExt;

use crate::{App, routes};

/// A server, and everything it needs to live.
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) router: Router,
    pub(crate) house: House,
    supervisor: Supervisor,
    _files: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl Told {
    /// The body of an answer that has to be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// Checks that it was refused so.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) {
        let told = (self.status.as_u16(), self.body["errcode"].as_str());
        assert_eq!(told, (status, Some(code)), "{}", self.body);
    }
}

/// Servers of these names, which reach each other.
pub(crate) fn town<const N: usize>(names: [&str; N]) -> (Network, [Server; N]) {
    let network = Network::new();
    let servers = names.map(|name| Server::open(name, &network));
    (network, servers)
}

impl Server {
    /// A server on which anybody can register.
    pub(crate) fn open(name: &str, network: &Network) -> Self {
        let server_name = ServerName::parse(name).unwrap();
        let (clock, files) = (SystemClock::shared(), tempfile::tempdir().unwrap());
        let random = SeededRandom::new(name.len() as u64).shared();
        let store = Store::memory();
        let peers = Peers::new(::peers::Needs {
            store: store.clone(),
            clock: clock.clone(),
            ..::peers::Needs::for_tests(&server_name, network)
        })
        .unwrap();
        let settings = Settings {
            password_memory_kib: 8,
            password_passes: 1,
            ..Settings::default()
        };
        let users = Users::new(
            settings,
            &server_name,
            store.clone(),
            clock.clone(),
            random.clone(),
        );
        let rooms = Rooms::new(
            &RoomsConfig::default(),
            store.clone(),
            peers.clone(),
            clock.clone(),
            random.clone(),
        );
        let media = Media::open(
            MediaConfig::default(),
            files.path().to_owned(),
            peers.clone(),
            store.clone(),
            clock.clone(),
            random.clone(),
        );
        let supervisor = Supervisor::new(clock.clone());
        let outbox = Outbox::new(outbox::Needs {
            store: store.clone(),
            rooms: rooms.clone(),
            users: users.clone(),
            peers: peers.clone(),
            clock: clock.clone(),
            random: random.clone(),
            config: FederationConfig::default(),
        });
        outbox.unwrap().start(&supervisor);
        let sync = Sync::new(store, rooms.clone(), users.clone(), clock.clone(), &random);
        rooms.start(&supervisor);
        sync.start(&supervisor);
        supervisor.start(Sweeper::new(users.clone()));
        let choices = Choices {
            registration: RegistrationConfig {
                enabled: true,
                open: true,
                ..RegistrationConfig::default()
            },
            well_known: WellKnownConfig::default(),
        };
        let house = House::new(
            rooms,
            users.clone(),
            media.unwrap(),
            peers.clone(),
            supervisor.tasks(),
            choices,
        );
        let web = web::Web::new(web::Needs {
            limits: LimitsConfig {
                rates: false,
                ..LimitsConfig::default()
            },
            listen: ListenConfig::default(),
            users,
            peers,
            supervisor: supervisor.clone(),
            clock,
            ready: Box::new(|| Ok(())),
        });
        let clients = client_api::App {
            house: house.clone(),
            sync,
            web: web.clone(),
        };
        let federation = routes().with(App::new(house.clone(), web));
        let clients = client_api::routes().with(clients);
        let router = clients.and(federation).into_router();
        let answering = router.clone();
        network.join(&server_name, move |request| {
            whole(answering.clone(), request.map(Body::from))
        });
        Self {
            name: name.to_owned(),
            router,
            house,
            supervisor,
            _files: files,
        }
    }

    /// Sends a client's request.
    pub(crate) async fn ask(&self, method: Method, path: &str, token: &str, body: &Value) -> Told {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = match body {
            Value::Null => Body::empty(),
            body => Body::from(body.to_string()),
        };
        let response = whole(self.router.clone(), request.body(body).unwrap()).await;
        Told {
            status: response.status(),
            body: serde_json::from_slice(response.body()).unwrap_or(Value::Null),
        }
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Told {
        self.ask(Method::GET, path, token, &Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> Told {
        self.ask(Method::POST, path, token, &body).await
    }

    pub(crate) async fn put(&self, path: &str, token: &str, body: Value) -> Told {
        self.ask(Method::PUT, path, token, &body).await
    }

    /// Asks another server, signed as this one, and says what it answers.
    pub(crate) async fn ask_server(&self, other: &Self, ask: Ask) -> Told {
        let other = ServerName::parse(&other.name).unwrap();
        match self.house.peers.ask(&other, ask).await {
            Ok(body) => Told {
                status: StatusCode::OK,
                body: serde_json::from_slice(&body).unwrap_or(Value::Null),
            },
            Err(::peers::Error::Answered { status, body, .. }) => Told {
                status: StatusCode::from_u16(status).unwrap(),
                body: serde_json::from_slice(&body).unwrap_or(Value::Null),
            },
            Err(error) => panic!("{error}"),
        }
    }

    /// Registers somebody.
    pub(crate) async fn register(&self, name: &str) -> Person<'_> {
        let ask = json!({ "username": name, "password": "correct horse", "auth": { "type": "m.login.dummy" } });
        let told = self.post("/_matrix/client/v3/register", "", ask).await.ok();
        let text = |key: &str| told[key].as_str().unwrap().to_owned();
        Person {
            server: self,
            id: text("user_id"),
            token: text("access_token"),
            device: text("device_id"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.supervisor.stop();
    }
}

/// Somebody who is signed in.
pub(crate) struct Person<'s> {
    pub(crate) server: &'s Server,
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) device: String,
}

impl Person<'_> {
    /// Paths begin behind `/_matrix/client`.
    pub(crate) async fn get(&self, path: &str) -> Told {
        self.server
            .get(&format!("/_matrix/client{path}"), &self.token)
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Told {
        self.server
            .post(&format!("/_matrix/client{path}"), &self.token, body)
            .await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Told {
        self.server
            .put(&format!("/_matrix/client{path}"), &self.token, body)
            .await
    }
}

async fn whole(router: Router, request: Request<Body>) -> Response<Bytes> {
    let (head, body) = router.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(head, body)
}

/// Sends a request as it is.
pub(crate) async fn send(server: &Server, request: http::request::Builder) -> Told {
    let response = send_bytes(server, request, Vec::new()).await;
    Told {
        status: response.status(),
        body: serde_json::from_slice(response.body()).unwrap_or(Value::Null),
    }
}

/// Sends a request with a body as it is.
pub(crate) async fn send_bytes(
    server: &Server,
    request: http::request::Builder,
    body: Vec<u8>,
) -> Response<Bytes> {
    whole(
        server.router.clone(),
        request.body(Body::from(body)).unwrap(),
    )
    .await
}

/// The keys of somebody's device, signed by it.
pub(crate) fn device_keys(who: &Person<'_>) -> Value {
    let key = event::KeyPair::from_seed(&[3; 32], &who.device).unwrap();
    let mut keys = json!({
        "user_id": who.id, "device_id": who.device, "algorithms": [],
        "keys": { key.id(): key.public().to_base64() },
    });
    let signature = key.sign(keys.to_string().as_bytes());
    keys["signatures"] = json!({ &who.id: { key.id(): signature } });
    keys
}
