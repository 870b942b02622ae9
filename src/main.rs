//! The Myelin homeserver.
fn main() {}
