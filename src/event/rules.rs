//! What each room version changes, as data: the only file that names a version.
//!
//! A version is "the previous one, except…". Algorithms take [`Rules`] and branch on the named facts here, never on a number.

use ruma::RoomVersionId;

/// Everything that differs between room versions.
#[derive(Debug, PartialEq, Eq)]
pub struct Rules {
    /// The version's name, as in `content.room_version` of the create event.
    pub version: &'static str,
    /// Where event ids come from.
    pub event_ids: EventIds,
    /// How `prev_events` and `auth_events` name events.
    pub references: References,
    /// Where room ids come from.
    pub room_ids: RoomIds,
    /// How strictly canonical JSON is demanded.
    pub json: Json,
    /// Whether a signing key must be valid (`valid_until_ts`) at the time of the event it signed.
    pub keys_must_be_valid: bool,
    /// The state resolution algorithm.
    pub resolution: Resolution,
    /// What the authorisation rules know.
    pub auth: AuthRules,
    /// What survives a redaction.
    pub redaction: RedactionRules,
}

/// Where event ids come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventIds {
    /// Chosen by the sending server, `$opaque:domain`, and a field of the event; that domain must sign too.
    Chosen,
    /// The reference hash in standard Base64.
    Hash,
    /// The reference hash in URL-safe Base64.
    UrlSafeHash,
}

/// How an event names earlier events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum References {
    /// `[event id, {"sha256": reference hash}]`.
    WithHashes,
    /// The event id.
    Plain,
}

/// Where room ids come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomIds {
    /// `!opaque:domain`, chosen by the creator's server; the create event is among the `auth_events`.
    Chosen,
    /// The create event's id with `!` for `$`; the create event has no `room_id` and is nobody's `auth_event`.
    OfCreate,
}

/// How strictly canonical JSON is demanded of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Json {
    /// Floats and integers of any size occur and must be hashed as their senders did.
    Lax,
    /// Integers between -(2^53)+1 and 2^53-1 only.
    Strict,
}

/// The state resolution algorithms, by the names they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// By depth and SHA-1 of the event id.
    V1,
    /// By power events, mainline and time.
    V2,
    /// As 2, starting from nothing and replaying the conflicted subgraph.
    V2_1,
}

/// What the authorisation rules know.
#[derive(Debug, PartialEq, Eq)]
pub struct AuthRules {
    /// `m.room.aliases` belongs to the server in its state key, whatever the sender's power.
    pub aliases_by_server: bool,
    /// `m.room.redaction` needs the redact level, or to come from the redacted event's server.
    pub redactions_need_level: bool,
    /// Changes under `notifications` in power levels are checked as those under `events`.
    pub notification_levels: bool,
    /// The membership and the join rule `knock` exist.
    pub knocking: bool,
    /// The join rule `restricted` exists, and with it `join_authorised_via_users_server`.
    pub restricted_joins: bool,
    /// The join rule `knock_restricted` exists.
    pub knock_restricted_joins: bool,
    /// Power levels are integers; otherwise strings holding integers count too, and in lax JSON floats.
    pub integer_levels: bool,
    /// The creator is the sender of the create event; otherwise its `content.creator`.
    pub creator_is_sender: bool,
    /// Creators, with `additional_creators`, have endless power and cannot stand in `users`.
    pub supreme_creators: bool,
}

/// What survives a redaction beyond what always did.
#[derive(Debug, PartialEq, Eq)]
pub struct RedactionRules {
    /// `aliases` of `m.room.aliases`.
    pub keeps_aliases: bool,
    /// `allow` of `m.room.join_rules`.
    pub keeps_allow: bool,
    /// `join_authorised_via_users_server` of `m.room.member`.
    pub keeps_authorising_user: bool,
    /// `origin`, `membership` and `prev_state` of the event itself.
    pub keeps_origin: bool,
    /// The whole content of `m.room.create`; otherwise only `creator`.
    pub keeps_create: bool,
    /// `redacts` of `m.room.redaction`.
    pub keeps_redacts: bool,
    /// `invite` of `m.room.power_levels`.
    pub keeps_invite_level: bool,
    /// `third_party_invite.signed` of `m.room.member`.
    pub keeps_signed_invite: bool,
    /// `redacts` is a field of the content; otherwise of the event.
    pub redacts_in_content: bool,
}

impl Rules {
    /// The rules of a room version, if we know it.
    #[must_use]
    pub fn of(version: &RoomVersionId) -> Option<&'static Self> {
        Self::named(version.as_str())
    }

    /// The rules of the version with this name, if we know it.
    #[must_use]
    pub fn named(version: &str) -> Option<&'static Self> {
        ALL.iter().find(|rules| rules.version == version)
    }

    /// Every version we know, oldest first.
    #[must_use]
    pub fn all() -> &'static [Self] {
        &ALL
    }

    /// The version that a create event without `room_version` means.
    #[must_use]
    pub fn unnamed() -> &'static Self {
        let [first, ..] = &ALL;
        first
    }

    /// The version new rooms get unless someone asks for another.
    #[must_use]
    pub fn newest() -> &'static Self {
        let [.., last] = &ALL;
        last
    }

    /// The version as ruma names it.
    #[must_use]
    pub fn room_version(&self) -> RoomVersionId {
        RoomVersionId::try_from(self.version).unwrap_or(RoomVersionId::V1)
    }
}

static ALL: [Rules; 12] = [V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12];

const V1: Rules = Rules {
    version: "1",
    event_ids: EventIds::Chosen,
    references: References::WithHashes,
    room_ids: RoomIds::Chosen,
    json: Json::Lax,
    keys_must_be_valid: false,
    resolution: Resolution::V1,
    auth: AUTH_V1,
    redaction: REDACTION_V1,
};

const V2: Rules = Rules {
    version: "2",
    resolution: Resolution::V2,
    ..V1
};

const V3: Rules = Rules {
    version: "3",
    event_ids: EventIds::Hash,
    references: References::Plain,
    auth: AUTH_V3,
    ..V2
};

const V4: Rules = Rules {
    version: "4",
    event_ids: EventIds::UrlSafeHash,
    ..V3
};

const V5: Rules = Rules {
    version: "5",
    keys_must_be_valid: true,
    ..V4
};

const V6: Rules = Rules {
    version: "6",
    json: Json::Strict,
    auth: AUTH_V6,
    redaction: REDACTION_V6,
    ..V5
};

const V7: Rules = Rules {
    version: "7",
    auth: AUTH_V7,
    ..V6
};

const V8: Rules = Rules {
    version: "8",
    auth: AUTH_V8,
    redaction: REDACTION_V8,
    ..V7
};

const V9: Rules = Rules {
    version: "9",
    redaction: REDACTION_V9,
    ..V8
};

const V10: Rules = Rules {
    version: "10",
    auth: AUTH_V10,
    ..V9
};

const V11: Rules = Rules {
    version: "11",
    auth: AUTH_V11,
    redaction: REDACTION_V11,
    ..V10
};

const V12: Rules = Rules {
    version: "12",
    room_ids: RoomIds::OfCreate,
    resolution: Resolution::V2_1,
    auth: AUTH_V12,
    ..V11
};

const AUTH_V1: AuthRules = AuthRules {
    aliases_by_server: true,
    redactions_need_level: true,
    notification_levels: false,
    knocking: false,
    restricted_joins: false,
    knock_restricted_joins: false,
    integer_levels: false,
    creator_is_sender: false,
    supreme_creators: false,
};

const AUTH_V3: AuthRules = AuthRules {
    redactions_need_level: false,
    ..AUTH_V1
};

const AUTH_V6: AuthRules = AuthRules {
    aliases_by_server: false,
    notification_levels: true,
    ..AUTH_V3
};

const AUTH_V7: AuthRules = AuthRules {
    knocking: true,
    ..AUTH_V6
};

const AUTH_V8: AuthRules = AuthRules {
    restricted_joins: true,
    ..AUTH_V7
};

const AUTH_V10: AuthRules = AuthRules {
    knock_restricted_joins: true,
    integer_levels: true,
    ..AUTH_V8
};

const AUTH_V11: AuthRules = AuthRules {
    creator_is_sender: true,
    ..AUTH_V10
};

const AUTH_V12: AuthRules = AuthRules {
    supreme_creators: true,
    ..AUTH_V11
};

const REDACTION_V1: RedactionRules = RedactionRules {
    keeps_aliases: true,
    keeps_allow: false,
    keeps_authorising_user: false,
    keeps_origin: true,
    keeps_create: false,
    keeps_redacts: false,
    keeps_invite_level: false,
    keeps_signed_invite: false,
    redacts_in_content: false,
};

const REDACTION_V6: RedactionRules = RedactionRules {
    keeps_aliases: false,
    ..REDACTION_V1
};

const REDACTION_V8: RedactionRules = RedactionRules {
    keeps_allow: true,
    ..REDACTION_V6
};

const REDACTION_V9: RedactionRules = RedactionRules {
    keeps_authorising_user: true,
    ..REDACTION_V8
};

const REDACTION_V11: RedactionRules = RedactionRules {
    keeps_origin: false,
    keeps_create: true,
    keeps_redacts: true,
    keeps_invite_level: true,
    keeps_signed_invite: true,
    redacts_in_content: true,
    ..REDACTION_V9
};

#[cfg(test)]
mod tests;
