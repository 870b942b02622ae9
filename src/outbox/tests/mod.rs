//! Behaviour of sending, on the memory engine, with servers that are closures and push gateways on a socket.

mod edus;
mod house;
mod pdus;
mod pushes;
mod thousands;
