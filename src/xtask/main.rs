//! Sets a machine up, then builds, runs and tests the server.
fn main() {}
