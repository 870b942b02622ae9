//! Querying for information (SS "Querying for information").

pub(crate) mod directory;
pub(crate) mod other;
pub(crate) mod profile;
