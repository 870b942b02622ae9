//! Every endpoint, one line each, in the order of the specification.

use http::Method;
use web::{Class, Routes};

use crate::{
    App, account, admin, devices, directory, discovery, keys, media, pages, push, rooms, session,
    sliding_sync, sync_events, thirdparty, user_data, voip,
};

/// All endpoints of the client-server API.
pub fn routes() -> Routes<App> {
    server()
        .and(accounts())
        .and(user())
        .and(encryption())
        .and(room())
        .and(lists())
        .and(files())
}

fn server() -> Routes<App> {
    Routes::new()
        .mount(discovery::versions::get)
        .mount(discovery::capabilities::get)
        .mount(discovery::well_known::client)
        .route(
            Method::GET,
            "/.well-known/matrix/server",
            discovery::well_known::server,
        )
        .mount(discovery::well_known::support)
        .mount(discovery::auth_metadata::get)
        .mount(admin::whois::get)
        .mount(admin::lock::get)
        .mount(admin::lock::put)
        .mount(admin::suspend::get)
        .mount(admin::suspend::put)
        .mount(thirdparty::protocols)
        .mount(thirdparty::protocol)
        .mount(thirdparty::locations)
        .mount(thirdparty::location_of_alias)
        .mount(thirdparty::users)
        .mount(thirdparty::user)
        .also(
            &["/_matrix/client/unstable/thirdparty/protocols"],
            thirdparty::protocols,
        )
        .mount(voip::get)
}

fn accounts() -> Routes<App> {
    Routes::new()
        .mount(session::login::get)
        .mount_limited(Class::SignIn, session::login::post)
        .mount_limited(Class::SignIn, session::login_token::post)
        .mount_limited(Class::SignIn, session::refresh::post)
        .mount(session::logout::post)
        .mount(session::logout::all)
        .route(
            Method::GET,
            "/_matrix/static/client/login/",
            pages::login::get,
        )
        .mount_limited(Class::Registration, account::register::post)
        .mount_limited(Class::Registration, account::register_available::get)
        .mount_limited(Class::Registration, account::registration_token::get)
        .route(
            Method::GET,
            "/_matrix/client/r0/auth/{auth_type}/fallback/web",
            account::fallback::get,
        )
        .route(
            Method::GET,
            "/_matrix/client/v3/auth/{auth_type}/fallback/web",
            account::fallback::get,
        )
        .route_limited(
            Class::SignIn,
            Method::POST,
            "/_matrix/client/r0/auth/{auth_type}/fallback/web",
            account::fallback::post,
        )
        .route_limited(
            Class::SignIn,
            Method::POST,
            "/_matrix/client/v3/auth/{auth_type}/fallback/web",
            account::fallback::post,
        )
        .mount(account::whoami::get)
        .mount_limited(Class::SignIn, account::password::post)
        .mount_limited(Class::SignIn, account::deactivate::post)
        .mount(account::threepids::get)
        .mount(account::threepids::add)
        .mount(account::threepids::bind)
        .mount(account::threepids::delete)
        .mount(account::threepids::unbind)
        .mount(account::threepids::email_token)
        .mount(account::threepids::phone_token)
        .mount(account::threepids::password_email_token)
        .mount(account::threepids::password_phone_token)
        .mount(account::threepids::register_email_token)
        .mount(account::threepids::register_phone_token)
        .mount(devices::all::get)
        .mount(devices::one::get)
        .mount(devices::one::put)
        .mount(devices::one::delete)
        .mount(devices::delete_devices::post)
}

fn user() -> Routes<App> {
    Routes::new()
        .mount(user_data::profile::get)
        .mount(user_data::profile_field::get)
        .mount(user_data::profile_field::put)
        .mount(user_data::profile_field::delete)
        .mount(user_data::directory::post)
        .mount(user_data::account_data::get)
        .mount(user_data::account_data::put)
        .mount(user_data::room_account_data::get)
        .mount(user_data::room_account_data::put)
        .route(
            Method::DELETE,
            "/_matrix/client/unstable/org.matrix.msc3391/user/{user_id}/account_data/{event_type}",
            user_data::account_data::delete,
        )
        .route(
            Method::DELETE,
            "/_matrix/client/unstable/org.matrix.msc3391/user/{user_id}/rooms/{room_id}/account_data/{event_type}",
            user_data::room_account_data::delete,
        )
        .mount(user_data::tags::get)
        .mount(user_data::tags::put)
        .mount(user_data::tags::delete)
        .mount(user_data::filters::post)
        .mount(user_data::filter::get)
        .mount(user_data::presence::get)
        .mount(user_data::presence::put)
        .mount(user_data::openid::post)
        .mount(user_data::report::post)
        .mount(user_data::mutual_rooms::get)
        .mount(user_data::mutual_rooms::get_unstable)
        .mount(push::rules::get)
        .also(
            &[
                "/_matrix/client/v3/pushrules",
                "/_matrix/client/r0/pushrules",
            ],
            push::rules::get,
        )
        .mount(push::rules::global)
        .also(
            &[
                "/_matrix/client/v3/pushrules/global",
                "/_matrix/client/r0/pushrules/global",
            ],
            push::rules::global,
        )
        .mount(push::rule::get)
        .mount(push::rule::put)
        .mount(push::rule::delete)
        .mount(push::rule_enabled::get)
        .mount(push::rule_enabled::put)
        .mount(push::rule_actions::get)
        .mount(push::rule_actions::put)
        .mount(push::pushers::get)
        .mount(push::pushers::set)
        .mount(push::notifications::get)
}

fn encryption() -> Routes<App> {
    Routes::new()
        .mount(keys::upload::post)
        .mount(keys::query::post)
        .mount(keys::claim::post)
        .mount(keys::changes::get)
        .mount(keys::signing::post)
        .mount(keys::signatures::post)
        .mount_limited(Class::Message, keys::to_device::put)
        .mount(keys::backup_versions::post)
        .mount(keys::backup_versions::latest)
        .mount(keys::backup_versions::get)
        .mount(keys::backup_versions::put)
        .mount(keys::backup_versions::delete)
        .mount(keys::backup::put_all)
        .mount(keys::backup::put_room)
        .mount(keys::backup::put_session)
        .mount(keys::backup::get_all)
        .mount(keys::backup::get_room)
        .mount(keys::backup::get_session)
        .mount(keys::backup::delete_all)
        .mount(keys::backup::delete_room)
        .mount(keys::backup::delete_session)
        .mount(keys::dehydrated_device::put)
        .mount(keys::dehydrated_device::get)
        .mount(keys::dehydrated_device::delete)
        .mount(keys::dehydrated_device::events)
}

fn room() -> Routes<App> {
    Routes::new()
        .mount_waiting(sync_events::get)
        .mount_waiting(sliding_sync::post)
        .mount_limited(Class::Message, rooms::create::post)
        .mount(rooms::join::by_id)
        .mount(rooms::join::by_id_or_alias)
        .mount(rooms::knock::post)
        .mount_limited(Class::Message, rooms::invite::post)
        .mount(rooms::leave::post)
        .mount(rooms::forget::post)
        .mount(rooms::kick::post)
        .mount(rooms::ban::post)
        .mount(rooms::unban::post)
        .mount_limited(Class::Message, rooms::send::put)
        .route(
            Method::GET,
            "/_matrix/client/unstable/org.matrix.msc4140/delayed_events",
            rooms::delayed::all,
        )
        .route_limited(
            Class::Message,
            Method::POST,
            "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delay_id}",
            rooms::delayed::update_old,
        )
        .route_limited(
            Class::Message,
            Method::POST,
            "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delay_id}/{action}",
            rooms::delayed::update,
        )
        .mount_limited(Class::Message, rooms::redact::put)
        .mount_limited(Class::Message, rooms::state::put)
        .also_limited(Class::Message, &STATE_WITHOUT_KEY, rooms::state::put)
        .mount(rooms::state::get)
        .also(&STATE_WITHOUT_KEY, rooms::state::get)
        .mount(rooms::state::all)
        .mount(rooms::members::get)
        .mount(rooms::joined_members::get)
        .mount(rooms::messages::get)
        .mount(rooms::context::get)
        .mount(rooms::event::get)
        .mount(rooms::relations::get)
        .mount(rooms::relations::of_kind)
        .mount(rooms::relations::of_kind_and_type)
        .mount(rooms::threads::get)
        .mount(rooms::timestamp_to_event::get)
        .mount(rooms::initial_sync::get)
        .mount(rooms::typing::put)
        .mount(rooms::receipt::post)
        .mount(rooms::read_markers::post)
        .mount(rooms::report::room)
        .mount(rooms::report::event)
        .mount_limited(Class::Message, rooms::upgrade::post)
}

fn lists() -> Routes<App> {
    Routes::new()
        .mount(rooms::joined_rooms::get)
        .mount(rooms::aliases::get)
        .mount(directory::alias::get)
        .mount(directory::alias::put)
        .mount(directory::alias::delete)
        .mount(directory::list::get)
        .mount(directory::list::put)
        .mount(directory::public_rooms::get)
        .mount(directory::public_rooms::post)
        .mount(rooms::hierarchy::get)
        .mount(rooms::summary::get)
        .route(
            Method::GET,
            "/_matrix/client/unstable/im.nheko.summary/summary/{room_id_or_alias}",
            rooms::summary::get_old,
        )
        .mount(rooms::search::post)
}

/// An empty state key may be left out, with its slash or without.
const STATE_WITHOUT_KEY: [&str; 4] = [
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/",
    "/_matrix/client/r0/rooms/{room_id}/state/{event_type}",
    "/_matrix/client/r0/rooms/{room_id}/state/{event_type}/",
];

/// The content repository. Bodies are read as they arrive, so the uploads are mounted by their paths.
fn files() -> Routes<App> {
    Routes::new()
        .mount(media::config::get)
        .mount(media::config::get_legacy)
        .mount(media::create::post)
        .mount(media::download::get)
        .mount(media::download::get_named)
        .mount(media::thumbnail::get)
        .route(
            Method::POST,
            "/_matrix/media/v3/upload",
            media::upload::post,
        )
        .route(
            Method::POST,
            "/_matrix/media/r0/upload",
            media::upload::post,
        )
        .route(
            Method::PUT,
            "/_matrix/media/v3/upload/{server_name}/{media_id}",
            media::upload::put,
        )
        .route(
            Method::GET,
            "/_matrix/media/v3/download/{server_name}/{media_id}",
            media::legacy::download,
        )
        .route(
            Method::GET,
            "/_matrix/media/v3/download/{server_name}/{media_id}/{file_name}",
            media::legacy::download,
        )
        .route(
            Method::GET,
            "/_matrix/media/v3/thumbnail/{server_name}/{media_id}",
            media::legacy::thumbnail,
        )
        .route(
            Method::GET,
            "/_matrix/media/r0/download/{server_name}/{media_id}",
            media::legacy::download,
        )
        .route(
            Method::GET,
            "/_matrix/media/r0/download/{server_name}/{media_id}/{file_name}",
            media::legacy::download,
        )
        .route(
            Method::GET,
            "/_matrix/media/r0/thumbnail/{server_name}/{media_id}",
            media::legacy::thumbnail,
        )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What the specification has and this file has not, and why.
    const ELSEWHERE: &[(&str, &str)] = &[
        (
            "/_matrix/media/v3/preview_url",
            "URL previews are not made yet",
        ),
        (
            "/_matrix/client/v1/media/preview_url",
            "URL previews are not made yet",
        ),
        (
            "/_matrix/client/v1/appservice/",
            "application services are not served yet",
        ),
        (
            "/_matrix/client/v3/directory/list/appservice/",
            "application services are not served yet",
        ),
        (
            "/_matrix/client/v3/login/sso/redirect",
            "single sign-on is not served yet",
        ),
        (
            "/.well-known/matrix/policy_server",
            "only for a server that is a policy server",
        ),
        ("{", "OAuth 2.0 is not served yet; auth_metadata says so"),
        (
            "POST /_matrix/client/v3/account/3pid",
            "deprecated; ruma lacks it, and there are no identity servers here",
        ),
        (
            "GET /_matrix/client/v3/events",
            "deprecated since r0.5; no client of today asks it",
        ),
        (
            "GET /_matrix/client/v3/initialSync",
            "deprecated since r0.5; no client of today asks it",
        ),
    ];

    fn specified() -> Vec<(Method, String)> {
        let list = include_str!("../../docs/endpoints.tsv");
        list.lines()
            .skip(1)
            // The rest is for `federation_api`.
            .filter(|line| {
                !line.contains("/_matrix/federation/") && !line.contains("/_matrix/key/")
            })
            .map(|line| {
                let mut columns = line.split('\t');
                let method = columns.next().unwrap().parse().unwrap();
                (method, nameless(columns.next().unwrap()))
            })
            .collect()
    }

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

    fn elsewhere(method: &Method, path: &str) -> bool {
        ELSEWHERE
            .iter()
            .any(|(prefix, _)| match prefix.split_once(' ') {
                Some((only, prefix)) if only == method.as_str() => {
                    path == prefix || path.starts_with(&format!("{prefix}/{{"))
                }
                Some(_) => false,
                None => path.starts_with(prefix),
            })
    }

    #[test]
    fn every_endpoint_of_the_specification_is_served_or_has_a_reason() {
        let routes = routes();
        let served: BTreeSet<(String, String)> = routes
            .list()
            .iter()
            .map(|(method, path)| (method.to_string(), nameless(path)))
            .collect();
        let mut missing = Vec::new();
        for (method, path) in specified() {
            let is_served = served.contains(&(method.to_string(), path.clone()));
            if !is_served && !elsewhere(&method, &path) {
                missing.push(format!("{method} {path}"));
            }
        }
        assert!(
            missing.is_empty(),
            "neither served nor explained:\n  {}",
            missing.join("\n  ")
        );
    }

    #[test]
    fn no_reason_outlives_what_it_explains() {
        let specified = specified();
        for (prefix, reason) in ELSEWHERE {
            let (method, prefix) = prefix
                .split_once(' ')
                .map_or((None, *prefix), |(method, prefix)| (Some(method), prefix));
            let explains = specified.iter().any(|(only, path)| {
                path.starts_with(prefix) && method.is_none_or(|method| method == only.as_str())
            });
            assert!(explains, "{prefix}: {reason}");
        }
    }

    #[test]
    fn spellings_that_clients_use_are_served() {
        let routes = routes();
        for (method, path) in [
            (
                Method::POST,
                "/_matrix/client/unstable/keys/device_signing/upload",
            ),
            (
                Method::POST,
                "/_matrix/client/unstable/keys/signatures/upload",
            ),
            (
                Method::POST,
                "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync",
            ),
            (
                Method::GET,
                "/_matrix/client/unstable/im.nheko.summary/rooms/{}/summary",
            ),
            (
                Method::GET,
                "/_matrix/client/unstable/im.nheko.summary/summary/{}",
            ),
            (
                Method::GET,
                "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms",
            ),
            (
                Method::GET,
                "/_matrix/client/unstable/org.matrix.msc2946/rooms/{}/hierarchy",
            ),
            (
                Method::GET,
                "/_matrix/client/unstable/org.matrix.msc3030/rooms/{}/timestamp_to_event",
            ),
            (
                Method::PUT,
                "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{}/{}",
            ),
            (Method::GET, "/_matrix/client/r0/profile/{}/{}"),
            (Method::GET, "/_matrix/client/v3/pushrules"),
            (Method::PUT, "/_matrix/client/v3/rooms/{}/state/{}/"),
            (Method::GET, "/_matrix/client/v3/rooms/{}/state/{}"),
        ] {
            let served = routes
                .list()
                .iter()
                .any(|(on, at)| *on == method && nameless(at) == path);
            assert!(served, "{method} {path}");
        }
    }
}
