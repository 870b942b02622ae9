//! The types of event that the authorisation rules know by name. An event's is found out once, when the event is read, so that judging it compares no text.

/// A type of event that some rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `m.room.create`
    Create,
    /// `m.room.member`
    Member,
    /// `m.room.power_levels`
    PowerLevels,
    /// `m.room.join_rules`
    JoinRules,
    /// `m.room.third_party_invite`
    ThirdPartyInvite,
    /// `m.room.aliases`
    Aliases,
    /// `m.room.redaction`
    Redaction,
}

impl Kind {
    /// The kind of events of this type, if any rule is about them.
    #[must_use]
    pub fn named(event_type: &str) -> Option<Self> {
        Some(match event_type {
            "m.room.create" => Self::Create,
            "m.room.member" => Self::Member,
            "m.room.power_levels" => Self::PowerLevels,
            "m.room.join_rules" => Self::JoinRules,
            "m.room.third_party_invite" => Self::ThirdPartyInvite,
            "m.room.aliases" => Self::Aliases,
            "m.room.redaction" => Self::Redaction,
            _ => return None,
        })
    }

    /// The type's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "m.room.create",
            Self::Member => "m.room.member",
            Self::PowerLevels => "m.room.power_levels",
            Self::JoinRules => "m.room.join_rules",
            Self::ThirdPartyInvite => "m.room.third_party_invite",
            Self::Aliases => "m.room.aliases",
            Self::Redaction => "m.room.redaction",
        }
    }
}
