//! What is measured. Each scenario starts a server of its own, so that none inherits another's caches.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::client::{User, fresh};
use crate::server::Server;

type Scenario = fn() -> Pin<Box<dyn Future<Output = ()>>>;

pub(crate) const SCENARIOS: &[(&str, Scenario)] = &[
    ("start-up and memory", || Box::pin(start_up())),
    ("send", || Box::pin(send())),
    ("send in a large room", || Box::pin(send_large())),
    ("delivery", || Box::pin(delivery())),
    ("fan-out", || Box::pin(fan_out())),
    ("sync with nothing new", || Box::pin(idle_sync())),
    ("initial sync", || Box::pin(initial_sync())),
    ("join, create, messages, members", || Box::pin(rooms())),
    ("keys", || Box::pin(keys())),
    ("media", || Box::pin(media())),
    ("login", || Box::pin(login())),
];

/// Runs `operation` `count` times one after the other and prints the row.
async fn row<F: Future>(
    server: &Server,
    name: &str,
    count: usize,
    mut operation: impl FnMut(usize) -> F,
) {
    let mut times = Vec::with_capacity(count);
    let (cpu, began) = (server.cpu(), Instant::now());
    for turn in 0..count {
        let start = Instant::now();
        operation(turn).await;
        times.push(start.elapsed());
    }
    let wall = began.elapsed();
    print_row(
        name,
        (server.cpu() - cpu) / count as f64,
        Some(median(&mut times)),
        Some(count as f64 / wall.as_secs_f64()),
    );
}

fn print_row(name: &str, cpu_seconds: f64, p50: Option<Duration>, rate: Option<f64>) {
    let p50 = p50.map_or(String::new(), |p50| {
        format!("{:.3}", p50.as_secs_f64() * 1e3)
    });
    let rate = rate.map_or(String::new(), |rate| format!("{rate:.0}"));
    println!(
        "{name:<58} {:>12.4} {p50:>12} {rate:>12}",
        cpu_seconds * 1e3
    );
}

fn fact(name: &str, value: &str) {
    println!("{name:<58} {value:>12}");
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// `count` users on one connection pool.
async fn users(server: &Server, count: usize) -> Vec<User> {
    let http = Client::builder()
        .no_proxy()
        .tcp_nodelay(true)
        .build()
        .unwrap();
    let mut made = Vec::new();
    while made.len() < count {
        let batch = (count - made.len()).min(16);
        made.extend(
            join_all((0..batch).map(|_| User::register_with(http.clone(), &server.url))).await,
        );
    }
    made
}

async fn join_everybody(room: &str, members: &[User]) {
    for batch in members.chunks(16) {
        join_all(batch.iter().map(|member| async move {
            member.post(&format!("/v3/join/{room}"), &json!({})).await
        }))
        .await;
    }
}

async fn start_up() {
    let server = Server::start();
    fact(
        "start-up, empty database, ms",
        &server.start_up.as_millis().to_string(),
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    fact("memory, fresh, MiB", &format!("{:.1}", server.memory()));
    let user = User::register(&server.url).await;
    let room = user.create_room().await;
    let before = server.disk();
    for _ in 0..20_000 / 64 {
        join_all((0..64).map(|_| user.send(&room, "A sentence of about forty characters or so.")))
            .await;
    }
    fact(
        "memory, after 20,000 messages, MiB",
        &format!("{:.1}", server.memory()),
    );
    let directory = server.stop();
    let server = Server::start_in(directory);
    fact(
        "disk per message, bytes",
        &((server.disk().saturating_sub(before)) / 20_000).to_string(),
    );
    fact(
        "start-up, 20,000 messages, ms",
        &server.start_up.as_millis().to_string(),
    );
}

async fn send() {
    let server = Server::start();
    let user = User::register(&server.url).await;
    let room = user.create_room().await;
    row(&server, "send, small room, one sender", 2_000, |_| {
        user.send(&room, "Hello")
    })
    .await;

    let senders = users(&server, 64).await;
    let rooms: Vec<String> = join_all(senders.iter().map(User::create_room)).await;
    parallel_sends(&server, "send, 64 senders in 64 rooms", &senders, &rooms).await;
    join_everybody(&room, &senders).await;
    parallel_sends(
        &server,
        "send, 64 senders in one room",
        &senders,
        &vec![room; 64],
    )
    .await;
}

async fn parallel_sends(server: &Server, name: &str, senders: &[User], rooms: &[String]) {
    const EACH: usize = 150;
    let (cpu, began) = (server.cpu(), Instant::now());
    let talk = senders.iter().zip(rooms).map(|(sender, room)| async move {
        let mut times = Vec::new();
        for _ in 0..EACH {
            let start = Instant::now();
            sender.send(room, "Hello").await;
            times.push(start.elapsed());
        }
        times
    });
    let mut times = join_all(talk).await.concat();
    let count = times.len() as f64;
    let rate = count / began.elapsed().as_secs_f64();
    print_row(
        name,
        (server.cpu() - cpu) / count,
        Some(median(&mut times)),
        Some(rate),
    );
}

async fn send_large() {
    let server = Server::start();
    let user = User::register(&server.url).await;
    let room = user.create_room().await;
    let members = users(&server, 2_000).await;
    join_everybody(&room, &members).await;
    row(&server, "send, room of 2,000 members", 2_000, |_| {
        user.send(&room, "Hello")
    })
    .await;
}

/// Time from the moment a message is sent to the moment another user's long poll answers.
async fn delivered(sender: &User, reader: &User, room: &str, since: &mut String) -> Duration {
    let (poll, named) = (reader.clone(), room.to_owned());
    let mut from = since.clone();
    let waiting = tokio::task::spawn_local(async move {
        loop {
            let news = poll.sync(Some(&from), 30_000).await;
            // That somebody is online is news as well.
            if news["rooms"]["join"].get(&named).is_some() {
                return (news, Instant::now());
            }
            from = news["next_batch"].as_str().unwrap().to_owned();
        }
    });
    tokio::time::sleep(Duration::from_millis(5)).await;
    let start = Instant::now();
    sender.send(room, "Hello").await;
    let (news, arrived) = waiting.await.unwrap();
    assert!(
        news["rooms"]["join"][room]["timeline"]["events"][0].is_object(),
        "{news}"
    );
    *since = news["next_batch"].as_str().unwrap().to_owned();
    arrived - start
}

async fn delivery() {
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let server = Server::start();
            let pair = users(&server, 2).await;
            let room = pair[0].create_room().await;
            join_everybody(&room, &pair[1..]).await;
            measure_delivery(&server, "delivery to a long poll", &pair, &room).await;

            let idle = users(&server, 2_000).await;
            let positions = join_all(idle.iter().map(User::position)).await;
            let memory = server.memory();
            for (user, since) in idle.iter().zip(positions) {
                let user = user.clone();
                tokio::task::spawn_local(async move {
                    user.request(
                        Method::GET,
                        &format!("/_matrix/client/v3/sync?since={since}&timeout=120000"),
                    )
                    .send()
                    .await
                });
            }
            tokio::time::sleep(Duration::from_secs(3)).await;
            fact(
                "idle long poll, KiB each",
                &format!("{:.1}", (server.memory() - memory) * 1024.0 / 2_000.0),
            );
            measure_delivery(
                &server,
                "delivery to a long poll, 2,000 others idle",
                &pair,
                &room,
            )
            .await;
        })
        .await;
}

async fn measure_delivery(server: &Server, name: &str, pair: &[User], room: &str) {
    let mut since = pair[1].position().await;
    let mut times = Vec::new();
    let cpu = server.cpu();
    for _ in 0..300 {
        times.push(delivered(&pair[0], &pair[1], room, &mut since).await);
    }
    let used = (server.cpu() - cpu) / times.len() as f64;
    print_row(name, used, Some(median(&mut times)), None);
}

async fn fan_out() {
    const READERS: usize = 500;
    const MESSAGES: usize = 10;
    let server = Server::start();
    let sender = User::register(&server.url).await;
    let room = sender.create_room().await;
    let readers = users(&server, READERS).await;
    join_everybody(&room, &readers).await;
    let mut positions = join_all(readers.iter().map(User::position)).await;
    let cpu = server.cpu();
    for _ in 0..MESSAGES {
        let polls = readers
            .iter()
            .zip(&mut positions)
            .map(|(reader, since)| async move {
                let news = reader.sync(Some(since), 30_000).await;
                *since = news["next_batch"].as_str().unwrap().to_owned();
            });
        let send = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            sender.send(&room, "Hello").await;
        };
        tokio::join!(join_all(polls), send);
    }
    print_row(
        "fan-out to 500 long polls, per recipient",
        (server.cpu() - cpu) / (READERS * MESSAGES) as f64,
        None,
        None,
    );
}

async fn idle_sync() {
    for rooms in [1, 500] {
        let server = Server::start();
        let user = User::register(&server.url).await;
        for _ in 0..rooms {
            user.create_room().await;
        }
        let since = user.position().await;
        row(
            &server,
            &format!("sync with nothing new, {rooms} rooms joined"),
            2_000,
            |_| user.sync(Some(&since), 0),
        )
        .await;
    }
}

async fn initial_sync() {
    const ROOMS: usize = 100;
    let server = Server::start();
    let user = User::register(&server.url).await;
    for _ in 0..ROOMS {
        let room = user.create_room().await;
        for _ in 0..20 {
            user.send(&room, "Hello").await;
        }
    }
    let cpu = server.cpu();
    for _ in 0..20 {
        user.sync(None, 0).await;
    }
    print_row(
        "initial sync, per room of 20 events",
        (server.cpu() - cpu) / (20 * ROOMS) as f64,
        None,
        None,
    );
}

async fn rooms() {
    let server = Server::start();
    let user = User::register(&server.url).await;
    row(&server, "create room", 300, |_| user.create_room()).await;
    let room = user.create_room().await;
    let members = users(&server, 500).await;
    row(&server, "join, first 500 members", members.len(), |n| {
        members[n].post(
            Box::leak(format!("/v3/join/{room}").into_boxed_str()),
            Box::leak(Box::new(json!({}))),
        )
    })
    .await;
    let path = format!("/v3/rooms/{room}/members");
    row(&server, "members of a 500-member room", 200, |_| {
        user.get(&path)
    })
    .await;
    for _ in 0..500 {
        user.send(&room, "Hello").await;
    }
    let path = format!("/v3/rooms/{room}/messages?dir=b&limit=100");
    row(&server, "a /messages page of 100", 300, |_| user.get(&path)).await;
}

async fn keys() {
    let server = Server::start();
    let user = User::register(&server.url).await;
    let claimer = User::register(&server.url).await;
    let upload = |_| {
        let keys: serde_json::Map<String, Value> = (0..50)
            .map(|_| (format!("signed_curve25519:{}", fresh()), json!({"key": "q6Uj3fYq6Uj3fYq6Uj3fYq6Uj3fYq6Uj3fYq6Uj3fYq", "signatures": {&user.id: {format!("ed25519:{}", user.device): "c2ln"}}})))
            .collect();
        let body = json!({ "one_time_keys": keys });
        let user = user.clone();
        async move { user.post("/v3/keys/upload", &body).await }
    };
    row(&server, "upload 50 one-time keys", 40, upload).await;
    let ask = json!({"one_time_keys": {&user.id: {&user.device: "signed_curve25519"}}});
    row(&server, "claim a key", 1_000, |_| {
        claimer.post("/v3/keys/claim", &ask)
    })
    .await;
    let message = json!({"messages": {&user.id: {&user.device: {"algorithm": "m.olm.v1", "ciphertext": "x".repeat(500)}}}});
    row(&server, "send to one device", 1_000, |_| {
        let (claimer, message, path) = (
            claimer.clone(),
            message.clone(),
            format!("/v3/sendToDevice/m.room.encrypted/{}", fresh()),
        );
        async move { claimer.put(&path, &message).await }
    })
    .await;
}

async fn media() {
    let server = Server::start();
    let user = User::register(&server.url).await;
    let bytes = bytes::Bytes::from(
        (0..20 * 1024 * 1024_u32)
            .map(|n| (n ^ (n >> 8)) as u8)
            .collect::<Vec<_>>(),
    );
    let uri = std::cell::RefCell::new(String::new());
    let before = server.memory();
    row(&server, "upload 20 MiB", 10, |_| async {
        let sent = user
            .request(Method::POST, "/_matrix/media/v3/upload")
            .body(bytes.clone())
            .send()
            .await
            .unwrap();
        let sent: Value = sent.json().await.unwrap();
        *uri.borrow_mut() = sent["content_uri"]
            .as_str()
            .unwrap()
            .trim_start_matches("mxc://")
            .to_owned();
    })
    .await;
    row(&server, "download 20 MiB", 10, |_| async {
        let path = format!("/_matrix/client/v1/media/download/{}", uri.borrow());
        let got = user
            .request(Method::GET, &path)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        assert_eq!(got.len(), bytes.len());
    })
    .await;
    fact(
        "memory grown by 200 MiB each way, MiB",
        &format!("{:.1}", server.memory() - before),
    );
    let png = {
        let mut out = std::io::Cursor::new(Vec::new());
        image::RgbImage::from_fn(1600, 1200, |x, y| {
            image::Rgb([(x / 7) as u8, (y / 5) as u8, ((x * y) >> 12) as u8])
        })
        .write_to(&mut out, image::ImageFormat::Png)
        .unwrap();
        out.into_inner()
    };
    row(
        &server,
        "thumbnail of a 1600×1200 PNG, upload to done",
        10,
        |_| async {
            let sent: Value = user
                .request(Method::POST, "/_matrix/media/v3/upload")
                .header("content-type", "image/png")
                .body(png.clone())
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            let id = sent["content_uri"]
                .as_str()
                .unwrap()
                .trim_start_matches("mxc://")
                .to_owned();
            let path = format!(
                "/_matrix/client/v1/media/thumbnail/{id}?width=320&height=240&method=scale"
            );
            let small = user.request(Method::GET, &path).send().await.unwrap();
            assert!(small.status().is_success());
            small.bytes().await.unwrap();
        },
    )
    .await;
}

async fn login() {
    let server = Server::start();
    let user = User::register(&server.url).await;
    let name = user
        .id
        .trim_start_matches('@')
        .split(':')
        .next()
        .unwrap()
        .to_owned();
    let body = json!({"type": "m.login.password", "identifier": {"type": "m.id.user", "user": name}, "password": "a password nobody guesses"});
    row(&server, "login", 20, |_| user.post("/v3/login", &body)).await;
}
