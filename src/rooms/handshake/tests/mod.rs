//! Coming and going between servers in one process: every row in every format of events, and residents that lie.

mod hostile;
mod rows;
mod world;
