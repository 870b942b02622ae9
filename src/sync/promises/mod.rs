//! Behaviour of sync, on the memory engine with a stopped clock: what a client comes to believe, and when it is woken.

mod cost;
mod elsewhere;
mod house;
mod model;
mod pushing;
mod slides;
mod sliding;
mod telling;
mod waiting;
