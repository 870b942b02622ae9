//! Rows of the store itself and of what belongs to the whole house.

use minicbor::{Decode, Encode};

use crate::cbor_row;

/// The name of a piece of room state.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct StateKey {
    /// The event type.
    #[n(0)]
    pub event_type: String,
    /// The state key.
    #[n(1)]
    pub state_key: String,
}

cbor_row!(StateKey);
