//! A server for one test, and people who use it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::config::Config;
use base::{OsRandom, SystemClock};
use peers::OwnKey;
use peers::loopback::Network;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use ruma::ServerName;
use serde_json::{Value, json};
use store::memory::Memory;
use tempfile::TempDir;
use web::Listeners;

use crate::wire::{Ground, Wired, wire};

/// A request that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
pub(crate) struct House {
    pub(crate) url: String,
    pub(crate) wired: Wired,
    pub(crate) client: Client,
    _data: TempDir,
}

impl House {
    /// A server called `localhost` where anybody may register, without rate limits.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// The same, with other choices.
    pub(crate) async fn start_with(choose: impl FnOnce(&mut Config)) -> Self {
        let data = TempDir::new().unwrap();
        let mut config = Config::default();
        config.listen.addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        config.storage.path = data.path().to_owned();
        config.registration.enabled = true;
        config.registration.open = true;
        config.registration.guests = true;
        config.passwords.memory = base::config::ByteSize::from_kib(8);
        config.passwords.passes = 1;
        config.limits.rates = false;
        choose(&mut config);
        let name = ServerName::parse(&config.server_name).unwrap();
        let random = OsRandom::shared();
        let key = OwnKey::load_or_create(data.path(), &name, &*random).unwrap();
        let listeners = Listeners::bind(&config.listen, &config.tls).await.unwrap();
        let address = listeners.addresses()[0];
        let ground = Ground {
            key,
            engine: Arc::new(Memory::new()),
            transport: Network::new().transport(&name),
            clock: SystemClock::shared(),
            random,
        };
        let wired = wire(&config, ground).unwrap();
        wired.start();
        listeners.serve(&wired.everything().into_router(), &wired.supervisor);
        let client = Client::builder().timeout(PATIENCE).build().unwrap();
        Self {
            url: format!("http://{address}"),
            wired,
            client,
            _data: data,
        }
    }

    /// A request that has not been sent.
    pub(crate) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A new account, signed in.
    pub(crate) async fn register(&self, name: &str) -> Person<'_> {
        let body = json!({ "username": name, "password": "a good password", "auth": { "type": "m.login.dummy" } });
        let reply = self
            .ask(Method::POST, "/_matrix/client/v3/register")
            .json(&body)
            .send()
            .await
            .unwrap();
        let (status, told) = read(reply).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        let text = |key: &str| told[key].as_str().unwrap().to_owned();
        Person {
            house: self,
            user_id: text("user_id"),
            token: text("access_token"),
        }
    }
}

/// Somebody who is signed in.
pub(crate) struct Person<'a> {
    pub(crate) house: &'a House,
    pub(crate) user_id: String,
    pub(crate) token: String,
}

impl Person<'_> {
    /// A request in their name.
    pub(crate) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.house.ask(method, path).bearer_auth(&self.token)
    }

    /// A request that must succeed.
    pub(crate) async fn get(&self, path: &str) -> Value {
        done(self.ask(Method::GET, path)).await
    }

    /// A request with a body that must succeed.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        done(self.ask(Method::POST, path).json(&body)).await
    }

    /// A request with a body that must succeed.
    pub(crate) async fn put(&self, path: &str, body: Value) -> Value {
        done(self.ask(Method::PUT, path).json(&body)).await
    }

    /// A room of their own.
    pub(crate) async fn create_room(&self, body: Value) -> String {
        let told = self.post("/_matrix/client/v3/createRoom", body).await;
        told["room_id"].as_str().unwrap().to_owned()
    }
}

async fn done(request: RequestBuilder) -> Value {
    let (status, told) = read(request.send().await.unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    told
}

/// The status and the JSON of an answer.
pub(crate) async fn read(reply: Response) -> (StatusCode, Value) {
    let (status, bytes) = (reply.status(), reply.bytes().await.unwrap());
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}
