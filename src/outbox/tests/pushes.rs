//! Push gateways: in order, until they have taken it, and no pusher longer than they want it.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use store::rows::users::Push;
use store::{EventNo, Pos, Tx, UserNo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use users::push_queue;
use users::pushers::NewPusher;

use super::house::{House, user};

/// A push gateway on a socket.
#[derive(Clone)]
struct Gateway {
    url: String,
    told: Arc<Mutex<Vec<Value>>>,
    /// What it answers, one after the other, instead of that all is well.
    answers: Arc<Mutex<Vec<(u16, Value)>>>,
    some: Arc<Notify>,
}

impl Gateway {
    async fn open(house: &House) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let gateway = Self {
            url: format!("http://127.0.0.1:{port}/_matrix/push/v1/notify"),
            told: Arc::default(),
            answers: Arc::default(),
            some: Arc::default(),
        };
        let own = gateway.clone();
        house.supervisor.tasks().spawn("gateway", async move {
            while let Ok((stream, _)) = socket.accept().await {
                own.serve(stream).await;
            }
        });
        gateway
    }

    /// Answers one request, and hangs up.
    async fn serve(&self, mut stream: TcpStream) {
        let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
        let body = loop {
            let read = stream.read(&mut piece).await.unwrap();
            bytes.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            assert!(head.starts_with("POST /_matrix/push/v1/notify "), "{head}");
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().to_owned())
            });
            if body.len() >= length.unwrap().parse::<usize>().unwrap() {
                break serde_json::from_str::<Value>(body).unwrap();
            }
        };
        self.told.lock().unwrap().push(body["notification"].clone());
        let scripted = {
            let mut answers = self.answers.lock().unwrap();
            (!answers.is_empty()).then(|| answers.remove(0))
        };
        let (status, answer) = scripted.unwrap_or((200, json!({ "rejected": [] })));
        let answer = answer.to_string();
        let length = answer.len();
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        self.some.notify_one();
    }

    async fn until(&self, count: usize) -> Vec<Value> {
        loop {
            let told = self.told.lock().unwrap().clone();
            if told.len() >= count {
                return told;
            }
            self.some.notified().await;
        }
    }
}

async fn pusher(house: &House, url: &str, format: Value) {
    let json = json!({
        "kind": "http",
        "app_id": "app",
        "pushkey": "key",
        "data": { "url": url, "format": format, "brand": "x" },
    });
    let new = NewPusher {
        app_id: "app".to_owned(),
        pushkey: "key".to_owned(),
        json: serde_json::value::to_raw_value(&json).unwrap(),
        append: false,
        enabled: true,
    };
    let alice = user("@alice:here");
    house
        .users
        .set_pusher(&alice, "A".into(), new)
        .await
        .unwrap();
}

fn alice(house: &House) -> UserNo {
    house.s().user_no(&user("@alice:here")).unwrap().unwrap()
}

async fn queue(house: &House, pos: u64, event: Option<EventNo>, unread: u64) {
    use base::Clock;
    let (alice, queued) = (alice(house), house.clock.now().millis());
    let push = Push {
        event,
        unread,
        highlight: event.is_some(),
        sound: event.map(|_| "default".to_owned()),
        queued,
    };
    let write = move |tx: &mut Tx| push_queue::queue(tx, alice, Pos::new(pos), &push);
    house.store.write::<_, users::Error>(write).await.unwrap();
}

async fn event(house: &House, words: &str) -> EventNo {
    let room = house.room().await;
    let id = house.say(&room, words).await;
    house.s().event_no(&id).unwrap().unwrap()
}

#[tokio::test]
async fn a_gateway_is_told_in_order_and_only_what_the_format_says() {
    let house = House::new();
    house.person("alice", "A").await;
    let gateway = Gateway::open(&house).await;
    pusher(&house, &gateway.url, json!("event_id_only")).await;
    let said = event(&house, "secret words").await;
    house.start();
    queue(&house, 1_000, Some(said), 3).await;
    queue(&house, 1_001, None, 0).await;
    let told = gateway.until(2).await;
    assert_eq!(
        told[0]["event_id"],
        house.s().event_id(said).unwrap().as_str()
    );
    assert_eq!(told[0]["counts"]["unread"], 3);
    assert_eq!(told[0]["prio"], "high");
    let device = &told[0]["devices"][0];
    assert_eq!(device["pushkey"], "key");
    assert_eq!(device["app_id"], "app");
    assert_eq!(
        device["data"],
        json!({ "format": "event_id_only", "brand": "x" })
    );
    assert_eq!(
        device["tweaks"],
        json!({ "sound": "default", "highlight": true })
    );
    assert!(!told[0].to_string().contains("secret"));
    assert_eq!(told[1]["counts"]["unread"], 0, "the badge is cleared");
    assert!(told[1].get("event_id").is_none());
}

#[tokio::test]
async fn without_a_format_the_event_is_told() {
    let house = House::new();
    house.person("alice", "A").await;
    let gateway = Gateway::open(&house).await;
    pusher(&house, &gateway.url, Value::Null).await;
    let said = event(&house, "words").await;
    house.start();
    queue(&house, 1_000, Some(said), 1).await;
    let told = gateway.until(1).await;
    assert_eq!(told[0]["content"]["body"], "words");
    assert_eq!(told[0]["type"], "m.room.message");
    assert_eq!(told[0]["sender"], "@alice:here");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_fails_is_told_again_in_the_same_order() {
    let house = House::new();
    house.person("alice", "A").await;
    let gateway = Gateway::open(&house).await;
    pusher(&house, &gateway.url, json!("event_id_only")).await;
    *gateway.answers.lock().unwrap() = vec![(500, json!({})), (200, json!("nonsense"))];
    let (one, two) = (event(&house, "1").await, event(&house, "2").await);
    house.start();
    queue(&house, 1_000, Some(one), 1).await;
    queue(&house, 1_001, Some(two), 2).await;
    let told = gateway.until(4).await;
    let unread: Vec<u64> = told
        .iter()
        .map(|told| told["counts"]["unread"].as_u64().unwrap())
        .collect();
    assert_eq!(unread, [1, 1, 1, 2]);
}

#[tokio::test]
async fn a_rejected_pusher_is_removed() {
    let house = House::new();
    house.person("alice", "A").await;
    let gateway = Gateway::open(&house).await;
    pusher(&house, &gateway.url, json!("event_id_only")).await;
    *gateway.answers.lock().unwrap() = vec![(200, json!({ "rejected": ["key"] }))];
    let said = event(&house, "1").await;
    queue(&house, 1_000, Some(said), 1).await;
    queue(&house, 1_001, Some(said), 2).await;
    house.start();
    gateway.until(1).await;
    let alice = user("@alice:here");
    while !house.users.pushers(&alice).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(push_queue::places(&house.s(), None).unwrap().is_empty());
    assert_eq!(gateway.told.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_waited_when_the_server_stopped_is_told_when_it_starts() {
    let house = House::new();
    house.person("alice", "A").await;
    let gateway = Gateway::open(&house).await;
    pusher(&house, &gateway.url, json!("event_id_only")).await;
    let said = event(&house, "1").await;
    queue(&house, 1_000, Some(said), 1).await;
    house.start();
    assert_eq!(gateway.until(1).await[0]["counts"]["unread"], 1);
}
