//! What this server is and can do: specification, "Server discovery" and "Capabilities negotiation".

pub(crate) mod auth_metadata;
pub(crate) mod capabilities;
pub(crate) mod versions;
pub(crate) mod well_known;
