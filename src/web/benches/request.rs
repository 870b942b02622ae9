//! What a request costs besides its handler: routing, the token, limits, reading the body, a task of its own, and the answer. Without sockets.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark stops at the first surprise"
)]

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use base::config::{LimitsConfig, ListenConfig};
use base::{OsRandom, Supervisor, SystemClock};
use criterion::{Criterion, criterion_group, criterion_main};
use http::Request;
use peers::Peers;
use peers::loopback::Network;
use ruma::api::client::filter::create_filter::v3 as create_filter;
use ruma::api::client::room::get_room_event::v3 as get_event;
use ruma::server_name;
use store::Store;
use tower::ServiceExt;
use users::registration::Registration;
use users::sessions::NewSession;
use users::{Settings, Users};
use web::{Authed, JsonBytes, Matrix, Needs, Reply, Routes, Web};

async fn get(_: Authed, Matrix(_): Matrix<get_event::Request>) -> Reply<JsonBytes> {
    Ok(JsonBytes::from("{}"))
}

async fn post(
    _: Authed,
    Matrix(_): Matrix<create_filter::Request>,
) -> Reply<create_filter::Response> {
    Ok(create_filter::Response::new("1".to_owned()))
}

async fn router() -> (Router, String) {
    let clock = SystemClock::shared();
    let users = Users::new(
        Settings::default(),
        server_name!("example.org"),
        Store::memory(),
        Arc::clone(&clock),
        OsRandom::shared(),
    );
    let wanted = Registration {
        session: Some(NewSession::default()),
        ..Registration::default()
    };
    let token = users
        .register(wanted)
        .await
        .unwrap()
        .tokens
        .unwrap()
        .access_token;
    let rate = "1000000/s burst 1000000".parse().unwrap();
    let web = Web::new(Needs {
        limits: LimitsConfig {
            requests: rate,
            ..LimitsConfig::default()
        },
        listen: ListenConfig::default(),
        users,
        peers: Peers::for_tests(server_name!("example.org"), &Network::new()),
        supervisor: Supervisor::new(Arc::clone(&clock)),
        clock,
        ready: Box::new(|| Ok(())),
    });
    (
        Routes::new().mount(get).mount(post).into_router(web),
        token.expose().clone(),
    )
}

fn cost(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let (router, token) = runtime.block_on(router());
    let ask = |method: &str, path: &str, body: &'static str| {
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .body(Body::from(body))
            .unwrap()
    };
    let event = "/_matrix/client/v3/rooms/!room:example.org/event/$event";
    c.bench_function("GET with two arguments", |b| {
        b.iter(|| {
            runtime
                .block_on(router.clone().oneshot(ask("GET", event, "")))
                .unwrap()
        });
    });
    let filter = "/_matrix/client/v3/user/@alice:example.org/filter";
    c.bench_function("POST with a small body", |b| {
        b.iter(|| {
            runtime
                .block_on(router.clone().oneshot(ask("POST", filter, "{\"room\":{}}")))
                .unwrap()
        });
    });
}

criterion_group!(benches, cost);
criterion_main!(benches);
