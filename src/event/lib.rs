//! A PDU and every rule about it: pure, without I/O, async or storage.

pub mod push;
