//! The whole door over a store in memory: what a client would notice, without a network.

mod accounts;
mod encryption;
mod rooms;
mod sliding;
mod strangers;

use ::rooms::Rooms;
use ::sync::Sync;
use ::users::{Settings, Users};
use actions::{Choices, House};
use axum::Router;
use axum::body::Body;
use base::config::{
    LimitsConfig, ListenConfig, MediaConfig, RegistrationConfig, RoomsConfig, WellKnownConfig,
};
use base::{ManualClock, SeededRandom, Supervisor};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use peers::Peers;
use peers::loopback::Network;
use ruma::server_name;
use serde_json::{Value, json};
use store::Store;
use tower::ServiceExt;

use crate::{App, routes};

/// A server, and everything it needs to live.
pub(crate) struct Server {
    router: Router,
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
        assert_eq!(
            (self.status.as_u16(), self.body["errcode"].as_str()),
            (status, Some(code)),
            "{}",
            self.body
        );
    }
}

impl Server {
    /// A server on which anybody can register.
    pub(crate) fn open() -> Self {
        Self::with(RegistrationConfig {
            enabled: true,
            open: true,
            guests: true,
            ..RegistrationConfig::default()
        })
    }

    pub(crate) fn with(registration: RegistrationConfig) -> Self {
        let clock = ManualClock::plausible().shared();
        let random = SeededRandom::new(7).shared();
        let files = tempfile::tempdir().unwrap();
        let store = Store::memory();
        let name = server_name!("localhost");
        let peers = Peers::for_tests(name, &Network::new());
        let settings = Settings {
            password_memory_kib: 8,
            password_passes: 1,
            ..Settings::default()
        };
        let users = Users::new(settings, name, store.clone(), clock.clone(), random.clone());
        let rooms = Rooms::new(
            &RoomsConfig::default(),
            store.clone(),
            peers.clone(),
            clock.clone(),
            random.clone(),
        );
        let media = media::Media::open(
            MediaConfig::default(),
            files.path().to_owned(),
            peers.clone(),
            store.clone(),
            clock.clone(),
            random.clone(),
        );
        let supervisor = Supervisor::new(clock.clone());
        let sync = Sync::new(store, rooms.clone(), users.clone(), clock.clone(), &random);
        sync.start(&supervisor);
        let choices = Choices {
            registration,
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
        let router = routes().into_router(App { house, sync, web });
        Self {
            router,
            supervisor,
            _files: files,
        }
    }

    /// Sends a request; the path begins behind `/_matrix/client` unless it is a whole one.
    pub(crate) async fn ask(&self, method: Method, path: &str, token: &str, body: &Value) -> Told {
        let path = if path.starts_with("/_matrix") {
            path.to_owned()
        } else {
            format!("/_matrix/client{path}")
        };
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        let response = self
            .router
            .clone()
            .oneshot(request.body(body).unwrap())
            .await
            .unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Told {
            status,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
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

    pub(crate) async fn delete(&self, path: &str, token: &str, body: Value) -> Told {
        self.ask(Method::DELETE, path, token, &body).await
    }

    /// Registers somebody and answers their token.
    pub(crate) async fn register(&self, name: &str) -> String {
        let ask = json!({ "username": name, "password": "correct horse", "auth": { "type": "m.login.dummy" } });
        let told = self.post("/v3/register", "", ask).await.ok();
        assert_eq!(told["user_id"], format!("@{name}:localhost"));
        told["access_token"].as_str().unwrap().to_owned()
    }

    /// Makes a room and answers its ID.
    pub(crate) async fn room(&self, token: &str, ask: Value) -> String {
        let told = self.post("/v3/createRoom", token, ask).await.ok();
        told["room_id"].as_str().unwrap().to_owned()
    }

    /// Says something and answers the event's ID.
    pub(crate) async fn say(&self, token: &str, room: &str, txn: &str, text: &str) -> String {
        let path = format!("/v3/rooms/{room}/send/m.room.message/{txn}");
        let told = self
            .put(&path, token, json!({ "msgtype": "m.text", "body": text }))
            .await
            .ok();
        told["event_id"].as_str().unwrap().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.supervisor.stop();
    }
}
