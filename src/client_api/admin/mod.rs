//! What administrators do through the client-server API: specification, "Server administration".

pub(crate) mod lock;
pub(crate) mod suspend;
pub(crate) mod whois;
