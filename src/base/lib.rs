//! Configuration, clock, randomness, supervised workers, lanes and logging: what every room of the house stands on.
//!
//! Nothing here knows Matrix. Time and randomness are values that are passed in, so that every test can stop the one and repeat the other.

pub mod clock;
pub mod config;
pub mod lanes;
pub mod log;
pub mod random;
pub mod secret;
pub mod supervise;

pub use clock::{Clock, ManualClock, SharedClock, SystemClock, Timestamp};
pub use config::Config;
pub use lanes::Lanes;
pub use random::{OsRandom, Random, SeededRandom, SharedRandom};
pub use secret::Secret;
pub use supervise::{Context, Next, Supervisor, Tasks, Worker, WorkerError};
