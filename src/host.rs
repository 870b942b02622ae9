//! What the server says to the machine it runs on, and asks of it: who it is, when it is ready, how many files it may open, and where its
//! data, the network, the time and chance are.

use std::net::SocketAddr;
use std::sync::Arc;

use base::config::Config;
use base::{OsRandom, SystemClock};
use peers::OwnKey;
use peers::real::Real;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tracing::{info, warn};

use crate::wire::{Failure, Ground};

/// Says who serves what, where, and where the data is.
pub(crate) fn introduce(config: &Config, addresses: &[SocketAddr]) {
    let hint = if config.server_name == "localhost" {
        " (for a real name, set server_name = \"example.org\" in myelin.toml)"
    } else {
        ""
    };
    info!(
        "Myelin {} serves {}{hint}",
        env!("CARGO_PKG_VERSION"),
        config.server_name
    );
    let mut places: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    places.extend(
        config
            .listen
            .unix_socket
            .iter()
            .map(|path| path.display().to_string()),
    );
    info!("listening on {}", places.join(", "));
    let data =
        std::path::absolute(&config.storage.path).unwrap_or_else(|_| config.storage.path.clone());
    info!("data is kept in {}", data.display());
}

/// Every connection is a file; the usual limit of 1024 is for interactive programs.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    ) {
        warn!(%error, "cannot raise the limit of open files");
    }
}

/// Tells whoever started the server, if it asked to be told through $NOTIFY_SOCKET.
pub(crate) fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "cannot tell the service manager");
    }
}

/// What a server stands on here: the database and the key in its data directory, which are made if there are none, and the real network.
pub(crate) fn ground(config: &Config) -> Result<Ground, Failure> {
    let (directory, random) = (&config.storage.path, OsRandom::shared());
    let name = ruma::ServerName::parse(&config.server_name)?;
    let key = OwnKey::load_or_create(directory, &name, &*random)?;
    let cache_bytes = config.storage.cache.in_memory();
    let engine = rocks::open(&rocks::Options {
        cache_bytes,
        ..rocks::Options::at(directory.join("database"))
    })?;
    let clock = SystemClock::shared();
    let transport = Real::new(&config.federation, clock.clone(), random.clone())?;
    Ok(Ground {
        key,
        engine,
        transport: Arc::new(transport),
        clock,
        random,
    })
}
