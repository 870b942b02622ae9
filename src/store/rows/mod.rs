//! What stands in the tables, grouped like them: one file per owner. A row that may grow is a `minicbor` map with
//! numbered fields (`#[cbor(map)]`, `#[n(0)]`, …): a new field is an `Option` or has `#[cbor(default)]`, a number is
//! never used twice, and `cbor_row!` makes it storable.

pub mod house;
pub mod media;
pub mod outbox;
pub mod peers;
pub mod rooms;
pub mod sync;
pub mod users;
