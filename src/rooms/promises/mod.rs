//! What rooms promise, on the memory engine with a stopped clock.

#![expect(clippy::too_many_lines, reason = "a story is told in one piece")]

mod delaying;
mod figures;
mod forking;
mod house;
mod making;
mod meeting;
mod moving;
mod relating;
mod seeing;
mod surviving;
mod talking;
mod town;
mod wandering;
