//! What users keep here and tell about themselves: specification, "User data", "Client config", "Tags", "Filtering" and "Presence".

pub(crate) mod account_data;
pub(crate) mod directory;
pub(crate) mod filter;
pub(crate) mod filters;
pub(crate) mod mutual_rooms;
pub(crate) mod openid;
pub(crate) mod presence;
pub(crate) mod profile;
pub(crate) mod profile_field;
pub(crate) mod report;
pub(crate) mod room_account_data;
pub(crate) mod tags;
