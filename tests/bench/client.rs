//! A client without any cleverness: JSON over HTTP.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// A number that was not used before.
pub(crate) fn fresh() -> u64 {
    SERIAL.fetch_add(1, Ordering::Relaxed)
}

/// One signed-in user.
#[derive(Clone)]
pub(crate) struct User {
    http: Client,
    url: String,
    token: String,
    pub(crate) id: String,
    pub(crate) device: String,
}

impl User {
    pub(crate) async fn register(url: &str) -> Self {
        let http = Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .build()
            .unwrap();
        Self::register_with(http, url).await
    }

    /// Registers on a connection pool that is shared with others.
    pub(crate) async fn register_with(http: Client, url: &str) -> Self {
        let body = json!({"username": format!("user{}", fresh()), "password": "a password nobody guesses", "auth": {"type": "m.login.dummy"}});
        let reply = http
            .post(format!("{url}/_matrix/client/v3/register"))
            .json(&body)
            .send()
            .await
            .unwrap();
        let reply: Value = reply.json().await.unwrap();
        let text = |key: &str| {
            reply[key]
                .as_str()
                .unwrap_or_else(|| panic!("{reply}"))
                .to_owned()
        };
        Self {
            http,
            url: url.to_owned(),
            token: text("access_token"),
            id: text("user_id"),
            device: text("device_id"),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        answer(self.request(Method::GET, &format!("/_matrix/client{path}"))).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        answer(
            self.request(Method::POST, &format!("/_matrix/client{path}"))
                .json(body),
        )
        .await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Value {
        answer(
            self.request(Method::PUT, &format!("/_matrix/client{path}"))
                .json(body),
        )
        .await
    }

    pub(crate) async fn create_room(&self) -> String {
        let made = self
            .post(
                "/v3/createRoom",
                &json!({"preset": "public_chat", "name": "A room"}),
            )
            .await;
        made["room_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn send(&self, room: &str, body: &str) -> String {
        let path = format!("/v3/rooms/{room}/send/m.room.message/{}", fresh());
        let sent = self
            .put(&path, &json!({"msgtype": "m.text", "body": body}))
            .await;
        sent["event_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn sync(&self, since: Option<&str>, timeout: u64) -> Value {
        match since {
            Some(since) => {
                self.get(&format!("/v3/sync?since={since}&timeout={timeout}"))
                    .await
            }
            None => self.get("/v3/sync").await,
        }
    }

    /// Where this user's syncs stand now.
    pub(crate) async fn position(&self) -> String {
        self.sync(None, 0).await["next_batch"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

async fn answer(request: RequestBuilder) -> Value {
    let reply = request.send().await.unwrap();
    let status = reply.status();
    let text = reply.text().await.unwrap();
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).unwrap()
}
