//! Behaviour of users, on the memory engine with a stopped clock.
