//! `/_myelin/health` and `/_myelin/ready`: for whoever watches over the server. The first says that it is alive, the second that it can work.

use axum::response::Response;
use base::supervise::State;
use http::{Method, StatusCode};
use serde_json::json;

use crate::answer::{Answer, JsonBytes, Plain, Reply};
use crate::routes::Routes;
use crate::site::{Site, Web};

pub(crate) fn routes<A: Site>() -> Routes<A> {
    Routes::new()
        .route(
            Method::GET,
            "/_myelin/health",
            async || -> Reply<JsonBytes> { alive() },
        )
        .route(
            Method::GET,
            "/_myelin/ready",
            async |site: A| -> Reply<Plain> { ready(site.web()) },
        )
}

fn alive() -> Reply<JsonBytes> {
    Ok(JsonBytes::from(json!({ "status": "alive" }).to_string()))
}

fn ready(web: &Web) -> Reply<Plain> {
    let problems = problems(web);
    let status = if problems.is_empty() {
        "ready"
    } else {
        "not ready"
    };
    let mut response: Response =
        JsonBytes::from(json!({ "status": status, "problems": problems }).to_string())
            .into_answer()?;
    if !problems.is_empty() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(Plain(response))
}

fn problems(web: &Web) -> Vec<String> {
    let mut problems = Vec::new();
    if web.inner.tasks.context().is_stopping() {
        problems.push("the server is stopping".to_owned());
    }
    problems.extend((web.inner.ready)().err());
    for worker in web.inner.supervisor.status() {
        if let State::Failing { since, .. } = worker.state {
            problems.push(format!("{} has been failing since {since}", worker.name));
        }
    }
    problems
}
