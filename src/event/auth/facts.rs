//! What the authorisation rules need from the contents of events, parsed once for each event and kept with it.
//!
//! Contents are whatever their senders wrote. Nothing here refuses anything: a value of the wrong type is remembered as such, and
//! the rules decide what that means.

use ruma::{OwnedUserId, UserId};

use super::levels::LevelFacts;
use super::{Kind, Membership};
use crate::canonical::{self, Object, Value};
use crate::rules::Json;
use crate::sign;

/// What matters in the content of an event, by its type.
#[derive(Debug)]
pub(crate) enum Facts {
    /// `m.room.create`.
    Create(Box<CreateFacts>),
    /// `m.room.member`.
    Member(MemberFacts),
    /// `m.room.power_levels`.
    Levels(Box<LevelFacts>),
    /// `m.room.join_rules`.
    JoinRule(JoinRule),
    /// `m.room.third_party_invite`.
    Invite(InviteFacts),
    /// Any other type.
    Other,
}

/// What matters in `m.room.create`.
#[derive(Debug)]
pub(crate) struct CreateFacts {
    /// `room_version`, if it is present; none inside if it is no string.
    pub(crate) version: Option<Option<Box<str>>>,
    /// False only if `m.federate` is `false`.
    pub(crate) federates: bool,
    pub(crate) has_creator: bool,
    /// `creator`, if it is a string.
    pub(crate) creator: Option<Box<str>>,
    /// `additional_creators`; none if they are not a list of user ids.
    pub(crate) additional_creators: Option<Box<[OwnedUserId]>>,
}

/// What matters in `m.room.member`.
#[derive(Debug, Default)]
pub(crate) struct MemberFacts {
    /// Whether the state key is a user id.
    pub(crate) is_about_user: bool,
    /// None if there is none, or if it is no string.
    pub(crate) membership: Option<Membership>,
    /// `join_authorised_via_users_server`, if it is a string.
    pub(crate) authorised_via: Option<Box<str>>,
    pub(crate) third_party: Option<Box<ThirdParty>>,
}

/// `third_party_invite` of a member event.
#[derive(Debug)]
pub(crate) struct ThirdParty {
    /// None if there is none, or if it is no object.
    pub(crate) signed: Option<Signed>,
}

/// `third_party_invite.signed` of a member event.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) mxid: Option<Box<str>>,
    pub(crate) token: Option<Box<str>>,
    /// All signatures by ed25519 keys, whosesoever.
    pub(crate) signatures: Vec<Box<str>>,
    /// What they sign.
    pub(crate) message: String,
}

/// Who may join, `join_rule` of `m.room.join_rules`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinRule {
    Public,
    Invite,
    Knock,
    Restricted,
    KnockRestricted,
    /// Any other word, or no string.
    Other,
}

/// What matters in `m.room.third_party_invite`.
#[derive(Debug)]
pub(crate) struct InviteFacts {
    /// The public keys, as they are written.
    pub(crate) keys: Vec<Box<str>>,
}

impl Facts {
    pub(crate) fn of(kind: Option<Kind>, state_key: Option<&str>, content: &str) -> Self {
        // A content that is no object has no properties.
        let parse = || canonical::parse_object(content, Json::Lax).unwrap_or_default();
        match kind {
            Some(Kind::Create) => Self::Create(Box::new(CreateFacts::of(&parse()))),
            Some(Kind::Member) => Self::Member(MemberFacts {
                is_about_user: state_key.is_some_and(|key| <&UserId>::try_from(key).is_ok()),
                ..MemberFacts::of(&parse())
            }),
            Some(Kind::PowerLevels) => Self::Levels(Box::new(LevelFacts::of(&parse()))),
            Some(Kind::JoinRules) => Self::JoinRule(JoinRule::of(&parse())),
            Some(Kind::ThirdPartyInvite) => Self::Invite(InviteFacts::of(&parse())),
            Some(Kind::Aliases | Kind::Redaction) | None => Self::Other,
        }
    }
}

impl CreateFacts {
    fn of(content: &Object<'_>) -> Self {
        let additional_creators = match content.get("additional_creators") {
            None => Some(Box::default()),
            Some(Value::Array(users)) => users.iter().map(user_id).collect(),
            Some(_) => None,
        };
        Self {
            version: content
                .get("room_version")
                .map(|version| version.as_str().map(Into::into)),
            federates: content.get("m.federate") != Some(&Value::Bool(false)),
            has_creator: content.get("creator").is_some(),
            creator: string(content, "creator"),
            additional_creators,
        }
    }
}

impl MemberFacts {
    pub(super) fn parse(content: &str) -> Self {
        canonical::parse_object(content, Json::Lax)
            .map(|content| Self::of(&content))
            .unwrap_or_default()
    }

    fn of(content: &Object<'_>) -> Self {
        Self {
            is_about_user: false,
            membership: content
                .get("membership")
                .and_then(Value::as_str)
                .map(Membership::named),
            authorised_via: string(content, "join_authorised_via_users_server"),
            third_party: content
                .get("third_party_invite")
                .map(|invite| Box::new(ThirdParty::of(invite))),
        }
    }
}

impl ThirdParty {
    fn of(invite: &Value<'_>) -> Self {
        let signed = invite
            .as_object()
            .and_then(|invite| invite.get("signed")?.as_object());
        Self {
            signed: signed.map(Signed::of),
        }
    }

    /// The token by which the invite is found in the state.
    pub(super) fn token(&self) -> Option<&str> {
        self.signed.as_ref()?.token.as_deref()
    }
}

impl Signed {
    fn of(signed: &Object<'_>) -> Self {
        let servers = signed.get("signatures").and_then(Value::as_object);
        let signatures = servers
            .into_iter()
            .flat_map(Object::iter)
            .filter_map(|(_, keys)| keys.as_object())
            .flat_map(Object::iter)
            .filter(|(key_id, _)| key_id.starts_with("ed25519:"))
            .filter_map(|(_, signature)| signature.as_str().map(Into::into))
            .collect();
        Self {
            mxid: string(signed, "mxid"),
            token: string(signed, "token"),
            signatures,
            message: sign::signed_part(signed),
        }
    }
}

impl JoinRule {
    /// A rule that is absent is `invite`, as is that of a room without an event for it.
    fn of(content: &Object<'_>) -> Self {
        match content.get("join_rule") {
            None => Self::Invite,
            Some(Value::String(rule)) => match &**rule {
                "public" => Self::Public,
                "invite" => Self::Invite,
                "knock" => Self::Knock,
                "restricted" => Self::Restricted,
                "knock_restricted" => Self::KnockRestricted,
                _ => Self::Other,
            },
            Some(_) => Self::Other,
        }
    }
}

impl InviteFacts {
    /// The key in `public_key`, and those in the list `public_keys`.
    fn of(content: &Object<'_>) -> Self {
        let listed = content
            .get("public_keys")
            .and_then(Value::as_array)
            .unwrap_or_default();
        let listed = listed
            .iter()
            .filter_map(|entry| string(entry.as_object()?, "public_key"));
        Self {
            keys: string(content, "public_key")
                .into_iter()
                .chain(listed)
                .collect(),
        }
    }
}

fn string(object: &Object<'_>, key: &str) -> Option<Box<str>> {
    object.get(key).and_then(Value::as_str).map(Into::into)
}

fn user_id(value: &Value<'_>) -> Option<OwnedUserId> {
    OwnedUserId::try_from(value.as_str()?).ok()
}
