//! Users of ours, as other servers may know them: their devices, their keys, and who an OpenID token belongs to
//! (SS "Device Management", "End-to-End Encryption", "OpenID").

pub(crate) mod devices;
pub(crate) mod keys_claim;
pub(crate) mod keys_query;
pub(crate) mod openid;
