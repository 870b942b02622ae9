//! Keys for encryption: specification, "End-to-end encryption" and "Server-side key backups".

pub(crate) mod backup;
pub(crate) mod backup_versions;
pub(crate) mod changes;
pub(crate) mod claim;
pub(crate) mod dehydrated_device;
pub(crate) mod query;
pub(crate) mod signatures;
pub(crate) mod signing;
pub(crate) mod to_device;
pub(crate) mod upload;
