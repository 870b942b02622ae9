//! Whole servers in one process, each over a store in memory, that reach each other over a network of function calls: what people on
//! different servers notice, and what a server is told.

mod doors;
mod rooms;
mod talking;
mod town;
