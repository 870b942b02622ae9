//! Which keys exist, which one somebody meant, and what other servers call ours.

use serde_json::{Map, Value};

use super::Config;

/// Every key with its default: tables are sections. Keys without a default are null.
pub(super) fn tree() -> Map<String, Value> {
    match serde_json::to_value(Config::default()) {
        Ok(Value::Object(tree)) => tree,
        _ => Map::new(),
    }
}

/// The key under `path`, if it exists.
pub(super) fn find<'tree>(tree: &'tree Map<String, Value>, path: &[&str]) -> Option<&'tree Value> {
    let (first, rest) = path.split_first()?;
    let found = tree.get(*first)?;
    match rest {
        [] => Some(found),
        rest => find(found.as_object()?, rest),
    }
}

/// What to write instead of the unknown key `path`.
pub(super) fn advice(tree: &Map<String, Value>, path: &[&str]) -> String {
    let dotted = path.join(".");
    if let Some((_, ours)) = ELSEWHERE.iter().find(|(theirs, _)| *theirs == dotted) {
        return match ours {
            Some(ours) => format!("; here it is called {ours}"),
            None => "; this server has no need for it".to_owned(),
        };
    }
    match nearest(tree, path) {
        Some(near) => format!("; did you mean {near}?"),
        None => String::new(),
    }
}

/// The existing key that looks most like `path`, whole or by its last name alone.
fn nearest(tree: &Map<String, Value>, path: &[&str]) -> Option<String> {
    let dotted = path.join(".");
    let last = path.last().copied().unwrap_or_default();
    let mut best: Option<(usize, String)> = None;
    for candidate in all(tree) {
        let name = candidate.rsplit('.').next().unwrap_or(&candidate);
        // The right name in the wrong section is the likeliest mistake after a typing error.
        let apart = distance(&dotted, &candidate)
            .min(distance(last, name) + usize::from(path.len() > 1 || candidate.contains('.')));
        if best.as_ref().is_none_or(|(least, _)| apart < *least) {
            best = Some((apart, candidate));
        }
    }
    best.filter(|(apart, _)| *apart <= 1 + last.len() / 3)
        .map(|(_, candidate)| candidate)
}

/// Every key, dotted; sections too.
fn all(tree: &Map<String, Value>) -> Vec<String> {
    let mut names = Vec::new();
    for (key, value) in tree {
        names.push(key.clone());
        if let Value::Object(section) = value {
            names.extend(
                all(section)
                    .into_iter()
                    .map(|inner| format!("{key}.{inner}")),
            );
        }
    }
    names
}

/// How many letters must be added, removed, changed or swapped with a neighbour to make `left` into `right`.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut previous = None;
    for (row, letter) in left.chars().enumerate() {
        let mut line = vec![row + 1];
        for (column, other) in right.iter().enumerate() {
            let at =
                |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX / 2);
            let mut least = (at(&last, column) + usize::from(letter != *other))
                .min(at(&last, column + 1) + 1)
                .min(at(&line, column) + 1);
            if column > 0 && previous == Some(*other) && right.get(column - 1) == Some(&letter) {
                least = least.min(at(&before_last, column - 1) + 1);
            }
            line.push(least);
        }
        before_last = std::mem::replace(&mut last, line);
        previous = Some(letter);
    }
    last.last().copied().unwrap_or_default()
}

/// What well-known keys of other homeservers are called here; none where there is nothing to set.
const ELSEWHERE: &[(&str, Option<&str>)] = &[
    ("public_baseurl", Some("well_known.client")),
    ("serve_server_wellknown", Some("well_known.server")),
    ("listeners", Some("listen.addresses")),
    ("bind_addresses", Some("listen.addresses")),
    ("address", Some("listen.addresses")),
    (
        "port",
        Some("listen.addresses, with the port behind the address"),
    ),
    (
        "listen.port",
        Some("listen.addresses, with the port behind the address"),
    ),
    ("listen.address", Some("listen.addresses")),
    ("tls.address", Some("tls.addresses")),
    ("unix_socket_path", Some("listen.unix_socket")),
    ("ip_source", Some("listen.trusted_proxies")),
    ("tls_certificate_path", Some("tls.certificate")),
    ("tls_private_key_path", Some("tls.key")),
    ("tls.certs", Some("tls.certificate")),
    (
        "global.server_name",
        Some("server_name, at the top of the file"),
    ),
    (
        "server.server_name",
        Some("server_name, at the top of the file"),
    ),
    ("trusted_key_servers", Some("federation.notaries")),
    ("trusted_servers", Some("federation.notaries")),
    ("allow_federation", Some("federation.enabled")),
    ("ip_range_blacklist", Some("federation.denied_addresses")),
    ("ip_range_denylist", Some("federation.denied_addresses")),
    ("ip_range_whitelist", Some("federation.allowed_addresses")),
    (
        "federation_ip_range_blacklist",
        Some("federation.denied_addresses"),
    ),
    (
        "federation_custom_ca_list",
        Some("federation.extra_root_certificates"),
    ),
    ("old_signing_keys", Some("federation.old_keys")),
    ("database", Some("storage.path")),
    ("database_path", Some("storage.path")),
    ("data_dir", Some("storage.path")),
    ("db_cache_capacity_mb", Some("storage.cache")),
    ("cache_capacity_modifier", Some("storage.cache")),
    ("caches", Some("storage.cache")),
    ("database_backend", None),
    ("enable_registration", Some("registration.enabled")),
    ("allow_registration", Some("registration.enabled")),
    ("registration_token", Some("registration.token")),
    ("registration_requires_token", Some("registration.token")),
    ("registration.require_token", Some("registration.token")),
    (
        "enable_registration_without_verification",
        Some("registration.open"),
    ),
    (
        "yes_i_am_very_very_sure_i_want_an_open_registration_server_prone_to_abuse",
        Some("registration.open"),
    ),
    (
        "registration_shared_secret",
        Some("registration.shared_secret"),
    ),
    ("allow_guest_access", Some("registration.guests")),
    ("allow_guest_registration", Some("registration.guests")),
    ("password_config", Some("passwords")),
    ("bcrypt_rounds", Some("passwords.passes")),
    ("max_request_size", Some("limits.body")),
    ("rc_message", Some("limits.messages")),
    ("rc_login", Some("limits.sign_in")),
    ("rc_registration", Some("limits.registration")),
    ("max_upload_size", Some("media.max_upload")),
    ("media_store_path", Some("media.path")),
    ("max_image_pixels", Some("media.max_pixels")),
    (
        "max_pending_media_uploads",
        Some("media.reservations_per_user"),
    ),
    ("unused_expiration_time", Some("media.reservation")),
    ("default_room_version", Some("rooms.default_version")),
    ("use_presence", Some("presence.enabled")),
    ("allow_local_presence", Some("presence.enabled")),
    ("log_config", Some("log.level and log.format")),
    ("log_format", Some("log.format")),
    ("log_level", Some("log.level")),
    ("report_stats", None),
    ("pid_file", None),
    ("macaroon_secret_key", None),
    ("form_secret", None),
    ("signing_key_path", None),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_the_one_that_was_meant() {
        for (written, meant) in [
            ("server_nmae", "server_name"),
            ("servername", "server_name"),
            ("registration.enable", "registration.enabled"),
            ("storage.pth", "storage.path"),
            ("rooms.max_upload", "media.max_upload"),
            ("max_upload", "media.max_upload"),
            ("loging", "log"),
            ("wellknown.client", "well_known.client"),
        ] {
            let path: Vec<&str> = written.split('.').collect();
            assert_eq!(nearest(&tree(), &path).as_deref(), Some(meant), "{written}");
        }
        assert_eq!(nearest(&tree(), &["frobnicate"]), None);
    }

    #[test]
    fn names_of_other_servers_lead_to_keys_that_exist() {
        let tree = tree();
        for (theirs, ours) in ELSEWHERE {
            let Some(ours) = ours else { continue };
            let key = ours.split([',', ' ']).next().unwrap_or_default();
            let path: Vec<&str> = key.split('.').collect();
            assert!(
                find(&tree, &path).is_some(),
                "{theirs} leads to {key}, which does not exist"
            );
            let path: Vec<&str> = theirs.split('.').collect();
            assert!(find(&tree, &path).is_none(), "{theirs} is our own key");
        }
    }
}
