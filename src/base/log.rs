//! Where log lines go and how they look: readable by people, or one JSON object per line. Secrets never get here: they are [`crate::Secret`]s.

use std::io::{self, IsTerminal};

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{LogConfig, LogFormat};

/// Logging could not be set up.
#[derive(Debug, Error)]
pub enum Error {
    /// The configured level is not one.
    #[error(
        "log.level {0:?} is not a level (error, warn, info, debug, trace) or a filter such as \"info,rooms=debug\""
    )]
    Level(String),
    /// Somebody else has set up logging in this process.
    #[error("logging was set up twice")]
    Twice,
}

/// Sends everything that is logged from now on to standard error, where systemd and containers read it.
///
/// # Errors
/// If the level cannot be read, or logging was set up before.
pub fn init(config: &LogConfig) -> Result<(), Error> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&config.level)?)
        .with_span_events(FmtSpan::NONE)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let set = match config.format {
        LogFormat::Human => builder.try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init(),
    };
    set.map_err(|_| Error::Twice)
}

/// Reads a level or a filter.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, Error> {
    let plain = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
    let known = level
        .split(',')
        .all(|part| part.contains('=') || plain(part.trim()));
    let filter = EnvFilter::builder()
        .parse(level)
        .map_err(|_| Error::Level(level.to_owned()))?;
    if known {
        Ok(filter)
    } else {
        Err(Error::Level(level.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_filters_are_told_from_typing_mistakes() {
        for good in [
            "info",
            "WARN",
            "info,rooms=debug",
            "warn,web::trace=trace,hyper=off",
        ] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["verbose", "inof", "info,rooms=loud", ""] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }
}
