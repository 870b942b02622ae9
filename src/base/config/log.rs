//! The `[log]` section.

use serde::{Deserialize, Serialize};

/// What is logged to standard error.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    /// `"human"` for reading, `"json"` for machines, one object per line.
    pub format: LogFormat,
    /// `"error"`, `"warn"`, `"info"`, `"debug"` or `"trace"`; or a filter such as `"info,rooms=debug"`.
    pub level: String,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For reading.
    Human,
    /// For machines.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            level: "info".to_owned(),
        }
    }
}
