//! Which state events authorise an event (server-server API, *Auth events selection*).

use std::borrow::Cow;

use ruma::UserId;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::Membership;
use super::facts::{Facts, MemberFacts};
use crate::pdu::Pdu;
use crate::rules::{RoomIds, Rules};

/// Types and state keys of state events.
pub type AuthTypes<'a> = SmallVec<[(&'static str, Cow<'a, str>); 6]>;

/// Which state events authorise an event of this kind. Those that the state has are its `auth_events`.
#[must_use]
pub fn auth_types<'a>(
    rules: &Rules,
    event_type: &str,
    sender: &'a UserId,
    state_key: Option<&'a str>,
    content: &RawValue,
) -> AuthTypes<'a> {
    let mut types = for_any(rules, event_type, sender);
    if event_type == "m.room.member" {
        let facts = MemberFacts::parse(content.get());
        for_member(rules, state_key, &facts, &mut types, |text| {
            Cow::Owned(text.to_owned())
        });
    }
    types
}

/// Which state events authorise this event.
#[must_use]
pub fn auth_types_of<'a>(rules: &Rules, event: &'a Pdu) -> AuthTypes<'a> {
    let mut types = for_any(rules, event.event_type(), event.sender());
    if let Facts::Member(facts) = event.facts() {
        for_member(rules, event.state_key(), facts, &mut types, Cow::Borrowed);
    }
    types
}

fn for_any<'a>(rules: &Rules, event_type: &str, sender: &'a UserId) -> AuthTypes<'a> {
    let mut types = AuthTypes::new();
    if event_type == "m.room.create" {
        return types;
    }
    if rules.room_ids == RoomIds::Chosen {
        types.push(("m.room.create", Cow::Borrowed("")));
    }
    types.push(("m.room.power_levels", Cow::Borrowed("")));
    types.push(("m.room.member", Cow::Borrowed(sender.as_str())));
    types
}

fn for_member<'a, 'f>(
    rules: &Rules,
    target: Option<&'a str>,
    facts: &'f MemberFacts,
    types: &mut AuthTypes<'a>,
    keep: impl Fn(&'f str) -> Cow<'a, str>,
) {
    if let Some(target) = target {
        add_member(types, Cow::Borrowed(target));
    }
    let membership = facts.membership;
    if matches!(
        membership,
        Some(Membership::Join | Membership::Invite | Membership::Knock)
    ) {
        types.push(("m.room.join_rules", Cow::Borrowed("")));
    }
    if membership == Some(Membership::Invite)
        && let Some(token) = facts.third_party.as_ref().and_then(|invite| invite.token())
    {
        types.push(("m.room.third_party_invite", keep(token)));
    }
    if membership == Some(Membership::Join)
        && rules.auth.restricted_joins
        && let Some(via) = &facts.authorised_via
    {
        add_member(types, keep(via));
    }
}

/// Nobody stands there twice.
fn add_member<'a>(types: &mut AuthTypes<'a>, user: Cow<'a, str>) {
    let member = ("m.room.member", user);
    if !types.contains(&member) {
        types.push(member);
    }
}
