//! What the differential tests, the unit tests of resolution and the benches share: rooms made up at random, `ruma` as an oracle, and a slow model of version 1.
#![expect(
    dead_code,
    reason = "each of the crates that include this uses a part of it"
)]
#![expect(unreachable_pub, reason = "included by path into several crates")]

pub mod big;
pub mod dag;
pub mod oracle;
pub mod slow;
