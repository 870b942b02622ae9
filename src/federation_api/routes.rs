//! Every endpoint, one line each, in the order of the specification.

use http::Method;
use web::Routes;

use crate::{
    App, directory, discovery, events, inviting, joining, keys, media, query, spaces, third_party,
    transactions, users,
};

/// All endpoints of the server-server API but `/.well-known/matrix/server`, which `client_api` serves with its siblings.
pub fn routes() -> Routes<App> {
    server()
        .and(events())
        .and(coming_and_going())
        .and(questions())
        .and(people())
        .and(files())
}

fn server() -> Routes<App> {
    Routes::new()
        .route(
            Method::GET,
            "/_matrix/federation/v1/version",
            discovery::version,
        )
        .route(Method::GET, "/_matrix/key/v2/server", keys::server::get)
        .route(Method::GET, "/_matrix/key/v2/server/", keys::server::get)
        .route(
            Method::GET,
            "/_matrix/key/v2/server/{key_id}",
            keys::server::get,
        )
        .route(
            Method::GET,
            "/_matrix/key/v2/query/{server_name}",
            keys::query::get,
        )
        .route(Method::POST, "/_matrix/key/v2/query", keys::query::post)
}

fn events() -> Routes<App> {
    Routes::new()
        .route(
            Method::PUT,
            "/_matrix/federation/v1/send/{txn_id}",
            transactions::send,
        )
        .route(
            Method::GET,
            "/_matrix/federation/v1/event_auth/{room_id}/{event_id}",
            events::event_auth::get,
        )
        .route(
            Method::GET,
            "/_matrix/federation/v1/backfill/{room_id}",
            events::backfill::get,
        )
        .route(
            Method::POST,
            "/_matrix/federation/v1/get_missing_events/{room_id}",
            events::missing_events::post,
        )
        .route(
            Method::GET,
            "/_matrix/federation/v1/event/{event_id}",
            events::event::get,
        )
        .route(
            Method::GET,
            "/_matrix/federation/v1/state/{room_id}",
            events::state::get,
        )
        .route(
            Method::GET,
            "/_matrix/federation/v1/state_ids/{room_id}",
            events::state_ids::get,
        )
        .route(
            Method::GET,
            "/_matrix/federation/v1/timestamp_to_event/{room_id}",
            events::timestamp_to_event::get,
        )
}

fn coming_and_going() -> Routes<App> {
    Routes::new()
        .route(
            Method::GET,
            "/_matrix/federation/v1/make_join/{room_id}/{user_id}",
            joining::make::join,
        )
        .route(
            Method::PUT,
            "/_matrix/federation/v2/send_join/{room_id}/{event_id}",
            joining::send::join,
        )
        .route(
            Method::GET,
            "/_matrix/federation/v1/make_knock/{room_id}/{user_id}",
            joining::make::knock,
        )
        .route(
            Method::PUT,
            "/_matrix/federation/v1/send_knock/{room_id}/{event_id}",
            joining::send::knock,
        )
        .route(
            Method::PUT,
            "/_matrix/federation/v1/invite/{room_id}/{event_id}",
            inviting::v1,
        )
        .route(
            Method::PUT,
            "/_matrix/federation/v2/invite/{room_id}/{event_id}",
            inviting::v2,
        )
        .route(
            Method::GET,
            "/_matrix/federation/v1/make_leave/{room_id}/{user_id}",
            joining::make::leave,
        )
        .route(
            Method::PUT,
            "/_matrix/federation/v2/send_leave/{room_id}/{event_id}",
            joining::send::leave,
        )
        .route(
            Method::PUT,
            "/_matrix/federation/v1/3pid/onbind",
            third_party::on_bind,
        )
        .route(
            Method::PUT,
            "/_matrix/federation/v1/exchange_third_party_invite/{room_id}",
            third_party::exchange,
        )
}

fn questions() -> Routes<App> {
    Routes::new()
        .route(
            Method::GET,
            "/_matrix/federation/v1/hierarchy/{room_id}",
            spaces::get,
        )
        .route(
            Method::GET,
            "/_matrix/federation/v1/publicRooms",
            directory::public_rooms::get,
        )
        .route(
            Method::POST,
            "/_matrix/federation/v1/publicRooms",
            directory::public_rooms::post,
        )
        .route(
            Method::GET,
            "/_matrix/federation/v1/query/directory",
            query::directory::get,
        )
        .route(
            Method::GET,
            "/_matrix/federation/v1/query/profile",
            query::profile::get,
        )
        .route(
            Method::GET,
            "/_matrix/federation/v1/query/{query_type}",
            query::other::get,
        )
}

fn people() -> Routes<App> {
    Routes::new()
        .route(
            Method::GET,
            "/_matrix/federation/v1/openid/userinfo",
            users::openid::get,
        )
        .route(
            Method::GET,
            "/_matrix/federation/v1/user/devices/{user_id}",
            users::devices::get,
        )
        .route(
            Method::POST,
            "/_matrix/federation/v1/user/keys/query",
            users::keys_query::post,
        )
        .route(
            Method::POST,
            "/_matrix/federation/v1/user/keys/claim",
            users::keys_claim::post,
        )
}

fn files() -> Routes<App> {
    Routes::new()
        .route(
            Method::GET,
            "/_matrix/federation/v1/media/download/{media_id}",
            media::download::get,
        )
        .route(
            Method::GET,
            "/_matrix/federation/v1/media/thumbnail/{media_id}",
            media::thumbnail::get,
        )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What the specification has and this list has not, and why.
    const ELSEWHERE: &[(&str, &str)] = &[(
        "GET /.well-known/matrix/server",
        "served by client_api with its siblings",
    )];

    /// A path without the names of its arguments.
    fn nameless(path: &str) -> String {
        let mut out = String::new();
        let mut inside = false;
        for letter in path.chars() {
            match letter {
                '{' => inside = true,
                '}' => {
                    inside = false;
                    out.push_str("{}");
                }
                letter if !inside => out.push(letter),
                _ => {}
            }
        }
        out
    }

    fn specified() -> BTreeSet<String> {
        let list = include_str!("../../docs/endpoints.tsv");
        let lines = list.lines().skip(1).map(|line| {
            let mut columns = line.split('\t');
            let (method, path) = (columns.next().unwrap(), columns.next().unwrap());
            format!("{method} {}", nameless(path))
        });
        lines
            .filter(|line| {
                !line.contains(" /_matrix/client/") && !line.contains(" /_matrix/media/")
            })
            .collect()
    }

    #[test]
    fn every_endpoint_of_the_specification_is_served_or_has_a_reason() {
        let routes = routes();
        let served: BTreeSet<String> = routes
            .list()
            .iter()
            .map(|(method, path)| format!("{method} {}", nameless(path)))
            .collect();
        let missing: Vec<_> = specified()
            .into_iter()
            .filter(|line| {
                line.contains("/_matrix/federation/")
                    || line.contains("/_matrix/key/")
                    || line.ends_with("/matrix/server")
            })
            .filter(|line| {
                !served.contains(line) && !ELSEWHERE.iter().any(|(known, _)| known == line)
            })
            .collect();
        assert!(
            missing.is_empty(),
            "neither served nor explained: {missing:#?}"
        );
    }
}
