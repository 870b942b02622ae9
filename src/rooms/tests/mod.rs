//! What rooms promise.
