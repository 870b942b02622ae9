//! Push rules: which of a user's rules an event matches, and what that rule asks for.
//!
//! An event is prepared once, as a [`FlatEvent`], and then judged for any number of users: what is costly about it (parsing, lower-casing, finding the words of its body) is
//! done at most once, and only if some rule asks. Rules are `ruma`'s types, as stored and as clients send them. Storing and editing rule sets is not done here.
//!
//! Client-server API, module "Push Notifications". Where the text leaves room, or `ruma`'s own evaluator reads it otherwise:
//! - `*` and `?` match any character, line ends included.
//! - A display name is looked for as it stands: a user who calls himself `*` is not mentioned by every message.
//! - Room and sender rules compare identifiers exactly; two rooms may differ in letter case only.
//! - A notification level that the room does not set is 50, whatever its name.

mod flat;
#[cfg(test)]
mod tests;

use crate::glob;

pub use flat::{FlatEvent, Parts};

use ruma::push::{
    Action, AnyPushRuleRef, ConditionalPushRule, PatternedPushRule, PushCondition, Ruleset, Tweak,
};
use ruma::{UInt, UserId};
use std::ops::RangeBounds;

/// What the rules need to know beyond the event: the room as it is, and the user being asked about.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Whose rules they are.
    pub user_id: &'a UserId,
    /// The user's display name in this room.
    pub display_name: Option<&'a str>,
    /// Joined members of the room.
    pub member_count: u64,
    /// Whether the *sender* of the event has the level for this kind of notification (`room` is the one the specification names).
    /// The same for every user, so computed by the caller, usually as `&|kind| levels.user(sender).reaches(levels.notification(kind))`.
    pub may_notify: &'a (dyn Fn(&str) -> bool + Sync),
    /// Whether the user follows the thread of this event (MSC4306); `None` if nobody knows, then no rule about threads matches.
    pub follows_thread: Option<bool>,
}

/// What the actions of a rule come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome<'r> {
    /// The user is notified: the event counts as unread and goes to the pushers.
    pub notify: bool,
    /// It is shown as a mention.
    pub highlight: bool,
    /// The sound to play.
    pub sound: Option<&'r str>,
}

impl<'r> Outcome<'r> {
    /// Sums up a rule's actions.
    pub fn of(actions: &'r [Action]) -> Self {
        Self {
            notify: actions.iter().any(Action::should_notify),
            highlight: actions.iter().any(Action::is_highlight),
            sound: actions.iter().find_map(|action| match action {
                Action::SetTweak(Tweak::Sound(sound)) => Some(sound.as_str()),
                _ => None,
            }),
        }
    }
}

/// The actions of the first rule that matches, empty if none does or if the user sent the event.
pub fn evaluate<'r>(rules: &'r Ruleset, event: &FlatEvent, cx: &Context<'_>) -> &'r [Action] {
    matching(rules, event, cx)
        .map(AnyPushRuleRef::actions)
        .unwrap_or_default()
}

/// The first rule that matches.
pub fn matching<'r>(
    rules: &'r Ruleset,
    event: &FlatEvent,
    cx: &Context<'_>,
) -> Option<AnyPushRuleRef<'r>> {
    if event.sender() == cx.user_id {
        return None;
    }
    let (room, sender) = (event.room_id().as_str(), event.sender().as_str());
    first(&rules.override_, event, cx)
        .map(AnyPushRuleRef::Override)
        .or_else(|| {
            rules
                .content
                .iter()
                .find(|rule| pattern_matches(rule, event))
                .map(AnyPushRuleRef::Content)
        })
        .or_else(|| first(&rules.postcontent, event, cx).map(AnyPushRuleRef::PostContent))
        .or_else(|| {
            rules
                .room
                .get(room)
                .filter(|rule| rule.enabled)
                .map(AnyPushRuleRef::Room)
        })
        .or_else(|| {
            rules
                .sender
                .get(sender)
                .filter(|rule| rule.enabled)
                .map(AnyPushRuleRef::Sender)
        })
        .or_else(|| first(&rules.underride, event, cx).map(AnyPushRuleRef::Underride))
}

/// The first rule of a kind whose conditions all hold; a rule without conditions matches everything.
fn first<'r>(
    rules: impl IntoIterator<Item = &'r ConditionalPushRule>,
    event: &FlatEvent,
    cx: &Context<'_>,
) -> Option<&'r ConditionalPushRule> {
    rules.into_iter().find(|rule| {
        rule.enabled
            && !is_superseded(&rule.rule_id, event)
            && rule
                .conditions
                .iter()
                .all(|condition| holds(condition, event, cx))
    })
}

fn pattern_matches(rule: &PatternedPushRule, event: &FlatEvent) -> bool {
    rule.enabled && !is_superseded(&rule.rule_id, event) && event.body_matches(&rule.pattern)
}

/// The mention rules that the specification dropped in 1.17 may still lie in stored rule sets. They never match an event that says itself whom it mentions.
fn is_superseded(rule_id: &str, event: &FlatEvent) -> bool {
    matches!(
        rule_id,
        ".m.rule.contains_display_name" | ".m.rule.contains_user_name" | ".m.rule.roomnotif"
    ) && event.names_its_mentions()
}

/// One condition. What we do not know never holds.
#[expect(
    deprecated,
    reason = "the display-name condition is deprecated for new rules, and stored rules keep it"
)]
fn holds(condition: &PushCondition, event: &FlatEvent, cx: &Context<'_>) -> bool {
    match condition {
        PushCondition::EventMatch(it) if it.key == "content.body" => {
            event.body_matches(&it.pattern)
        }
        PushCondition::EventMatch(it) => event
            .text(&it.key)
            .is_some_and(|text| glob::matches(&it.pattern, text.folded())),
        PushCondition::ContainsDisplayName => cx
            .display_name
            .is_some_and(|name| event.body_contains(name)),
        PushCondition::RoomMemberCount(it) => {
            UInt::new(cx.member_count).is_some_and(|count| it.is.contains(&count))
        }
        PushCondition::SenderNotificationPermission(it) => (cx.may_notify)(it.key.as_str()),
        PushCondition::EventPropertyIs(it) => {
            event.get(&it.key).is_some_and(|value| value.is(&it.value))
        }
        PushCondition::EventPropertyContains(it) => event
            .get(&it.key)
            .is_some_and(|value| value.contains(&it.value)),
        PushCondition::ThreadSubscription(it) => {
            event.is_in_thread() && cx.follows_thread == Some(it.subscribed)
        }
        _ => false,
    }
}
