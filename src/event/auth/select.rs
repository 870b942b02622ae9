//! Which state events authorise an event (server-server API, *Auth events selection*).

use std::borrow::Cow;

use ruma::UserId;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::facts::{Facts, MemberFacts};
use super::{Kind, Membership};
use crate::pdu::Pdu;
use crate::rules::{RoomIds, Rules};

/// Types and state keys of state events.
pub type AuthTypes<'a> = SmallVec<[(&'static str, Cow<'a, str>); 6]>;

/// The same, for those who need no text.
pub(crate) type AuthKinds<'a> = SmallVec<[(Kind, &'a str); 6]>;

/// Which state events authorise an event of this kind. Those that the state has are its `auth_events`.
#[must_use]
pub fn auth_types<'a>(
    rules: &Rules,
    event_type: &str,
    sender: &'a UserId,
    state_key: Option<&'a str>,
    content: &RawValue,
) -> AuthTypes<'a> {
    let kind = Kind::named(event_type);
    let facts = (kind == Some(Kind::Member)).then(|| MemberFacts::parse(content.get()));
    let kinds = kinds(rules, kind, sender, state_key, facts.as_ref());
    // What the content names does not outlive this call.
    let own = [Some(sender.as_str()), state_key];
    let keep = |key: &str| match own.into_iter().flatten().find(|own| *own == key) {
        Some(own) => Cow::Borrowed(own),
        None => Cow::Owned(key.to_owned()),
    };
    let types = kinds.iter().map(|(kind, key)| (kind.name(), keep(key)));
    types.collect()
}

/// Which state events authorise this event.
#[must_use]
pub fn auth_types_of<'a>(rules: &Rules, event: &'a Pdu) -> AuthTypes<'a> {
    let kinds = auth_kinds_of(rules, event).into_iter();
    kinds
        .map(|(kind, key)| (kind.name(), Cow::Borrowed(key)))
        .collect()
}

/// Which state events authorise this event, by kind.
pub(crate) fn auth_kinds_of<'a>(rules: &Rules, event: &'a Pdu) -> AuthKinds<'a> {
    let facts = match event.facts() {
        Facts::Member(facts) => Some(facts),
        _ => None,
    };
    kinds(
        rules,
        event.kind(),
        event.sender(),
        event.state_key(),
        facts,
    )
}

fn kinds<'a>(
    rules: &Rules,
    kind: Option<Kind>,
    sender: &'a UserId,
    target: Option<&'a str>,
    facts: Option<&'a MemberFacts>,
) -> AuthKinds<'a> {
    let mut kinds = AuthKinds::new();
    if kind == Some(Kind::Create) {
        return kinds;
    }
    if rules.room_ids == RoomIds::Chosen {
        kinds.push((Kind::Create, ""));
    }
    kinds.push((Kind::PowerLevels, ""));
    kinds.push((Kind::Member, sender.as_str()));
    if let Some(facts) = facts {
        for_member(rules, target, facts, &mut kinds);
    }
    kinds
}

fn for_member<'a>(
    rules: &Rules,
    target: Option<&'a str>,
    facts: &'a MemberFacts,
    kinds: &mut AuthKinds<'a>,
) {
    if let Some(target) = target {
        add_member(kinds, target);
    }
    let membership = facts.membership;
    if matches!(
        membership,
        Some(Membership::Join | Membership::Invite | Membership::Knock)
    ) {
        kinds.push((Kind::JoinRules, ""));
    }
    if membership == Some(Membership::Invite)
        && let Some(token) = facts.third_party.as_ref().and_then(|invite| invite.token())
    {
        kinds.push((Kind::ThirdPartyInvite, token));
    }
    if membership == Some(Membership::Join)
        && rules.auth.restricted_joins
        && let Some(via) = &facts.authorised_via
    {
        add_member(kinds, via);
    }
}

/// Nobody stands there twice.
fn add_member<'a>(kinds: &mut AuthKinds<'a>, user: &'a str) {
    let member = (Kind::Member, user);
    if !kinds.contains(&member) {
        kinds.push(member);
    }
}
