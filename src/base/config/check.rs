//! What each value must satisfy beyond its type, and what values must satisfy together. One exact sentence for each mistake.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{ByteSize, Config};

/// The memory that Argon2 needs at least, for one lane.
const LEAST_HASH_MEMORY: ByteSize = ByteSize::from_kib(8);

/// Every mistake in `config`: the key it concerns, and the sentence.
pub(super) fn mistakes(config: &Config) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut refuse =
        |key, sentence: Option<String>| found.extend(sentence.map(|sentence| (key, sentence)));
    refuse("server_name", server_name(&config.server_name));
    refuse("tls.certificate", tls(config));
    refuse("listen.addresses", listening(config));
    refuse("registration.enabled", registration(config));
    refuse(
        "well_known.client",
        config.well_known.client.as_deref().and_then(client_address),
    );
    refuse(
        "well_known.server",
        config.well_known.server.as_deref().and_then(server_name),
    );
    for name in &config.federation.notaries {
        refuse("federation.notaries", server_name(name));
    }
    refuse("federation.proxy", proxy(config));
    refuse(
        "passwords.memory",
        (config.passwords.memory < LEAST_HASH_MEMORY)
            .then(|| format!("is too small: the least is \"{LEAST_HASH_MEMORY}\"")),
    );
    refuse(
        "passwords.passes",
        (config.passwords.passes == 0).then(|| "must be at least 1".to_owned()),
    );
    refuse(
        "limits.body",
        (config.limits.body < ByteSize::from_kib(64))
            .then(|| "is too small: events alone may have \"64 KiB\"".to_owned()),
    );
    refuse(
        "log.level",
        crate::log::filter(&config.log.level)
            .err()
            .map(|_| level(&config.log.level)),
    );
    found
}

/// Why `name` cannot be a server name (specification, appendix "Server name").
fn server_name(name: &str) -> Option<String> {
    let (host, port) = match name.rsplit_once(':') {
        // Inside the brackets of an IPv6 address a colon begins no port.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (name, None),
    };
    let problem = if name.is_empty() {
        "is empty"
    } else if name.contains("://") || name.contains('/') {
        "must be a bare name such as \"example.org\", without https:// and without a path"
    } else if name.contains('@') {
        "must be a bare name such as \"example.org\", without an @"
    } else if name.len() > 230 {
        "is longer than 230 characters, which leaves no room for user names"
    } else if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        "must be in lower case, because server names are compared letter by letter"
    } else if port.is_some_and(|port| {
        port.is_empty() || port.len() > 5 || !port.bytes().all(|byte| byte.is_ascii_digit())
    }) {
        "has something behind the colon that is not a port number"
    } else if !is_host(host) {
        "is neither a domain name nor an IP address"
    } else {
        return None;
    };
    Some(format!("{name:?} {problem}"))
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let named = host.split('.').all(|label| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    let numeric = host
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if numeric {
        host.parse::<Ipv4Addr>().is_ok()
    } else {
        named
    }
}

fn tls(config: &Config) -> Option<String> {
    let tls = &config.tls;
    match (tls.addresses.is_empty(), &tls.certificate, &tls.key) {
        (true, None, None) | (false, Some(_), Some(_)) => None,
        (true, ..) => {
            Some("is set, but tls.addresses is empty: nothing would be served with it".to_owned())
        }
        (false, None, _) => Some("is missing, but tls.addresses asks for TLS".to_owned()),
        (false, Some(_), None) => {
            Some("is set, but its private key, tls.key, is missing".to_owned())
        }
    }
}

fn listening(config: &Config) -> Option<String> {
    let nowhere = config.listen.addresses.is_empty()
        && config.listen.unix_socket.is_none()
        && config.tls.addresses.is_empty();
    nowhere.then(|| "is empty, and so are listen.unix_socket and tls.addresses: nobody could reach the server".to_owned())
}

fn registration(config: &Config) -> Option<String> {
    let registration = &config.registration;
    match (registration.enabled, &registration.token, registration.open) {
        (true, None, false) => {
            Some("is true, but nobody could register: set registration.token, or registration.open = true to let in just anybody".to_owned())
        }
        (true, Some(_), true) => Some("is true with both a token and open = true: remove one of them".to_owned()),
        _ => None,
    }
}

/// Says nothing of the address itself: it may hold a password.
fn proxy(config: &Config) -> Option<String> {
    let address = config.federation.proxy.as_ref()?.expose();
    let rest = ["http://", "socks5://"]
        .iter()
        .find_map(|scheme| address.strip_prefix(scheme));
    let place = rest.map(|rest| rest.rsplit('@').next().unwrap_or(rest));
    let port = place.and_then(|place| place.trim_end_matches('/').rsplit_once(':'));
    let good = port.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    (!good).then(|| {
        "must be \"http://host:port\" or \"socks5://host:port\", with a user and a password if need be".to_owned()
    })
}

fn client_address(address: &str) -> Option<String> {
    let host = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"));
    let good = host.is_some_and(|host| !host.is_empty() && !host.contains(char::is_whitespace));
    (!good).then(|| {
        format!("{address:?} must be a whole address such as \"https://matrix.example.org\"")
    })
}

fn level(level: &str) -> String {
    format!(
        "{level:?} is neither a level (error, warn, info, debug, trace) nor a filter such as \"info,rooms=debug\""
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_names_are_told_from_what_people_write_instead() {
        for good in [
            "localhost",
            "example.org",
            "matrix.example.org:8448",
            "192.0.2.7",
            "192.0.2.7:80",
            "[2001:db8::7]",
            "[2001:db8::7]:443",
            "xn--bcher-kva.example",
        ] {
            assert_eq!(server_name(good), None);
        }
        for (bad, why) in [
            ("", "is empty"),
            ("https://example.org", "without https://"),
            ("example.org/", "without a path"),
            ("@alice:example.org", "without an @"),
            ("Example.org", "lower case"),
            ("example.org:", "port"),
            ("example.org:http", "port"),
            ("exa mple.org", "neither"),
            ("bücher.example", "neither"),
            ("example..org", "neither"),
            ("1.2.3", "neither"),
            ("2001:db8::7:x", "port"),
            ("[::g]", "neither"),
        ] {
            let sentence = server_name(bad).unwrap_or_default();
            assert!(sentence.contains(why), "{bad:?}: {sentence}");
        }
    }

    #[test]
    fn the_defaults_have_no_mistakes() {
        assert_eq!(mistakes(&Config::default()), []);
    }

    #[test]
    fn values_that_contradict_each_other_are_refused() {
        let mut config = Config::default();
        config.registration.enabled = true;
        config.tls.certificate = Some("cert.pem".into());
        config.listen.addresses.clear();
        let keys: Vec<_> = mistakes(&config).into_iter().map(|(key, _)| key).collect();
        assert_eq!(
            keys,
            [
                "tls.certificate",
                "listen.addresses",
                "registration.enabled"
            ]
        );
    }
}
