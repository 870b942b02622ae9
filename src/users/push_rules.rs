//! Push rules: what a user wants to be told of (CS "Push Rules"). They are kept as the account data `m.push_rules`, so that
//! syncs tell clients of them; judging events by them is in `event::push`.

use std::sync::Arc;

use ruma::push::{
    Action, AnyPushRuleRef, ConditionalPushRule, EventMatchConditionData, InsertPushRuleError,
    NewConditionalPushRule, NewPushRule, NewSimplePushRule, PushCondition, RemovePushRuleError,
    RuleKind, Ruleset, ScalarJsonValue,
};
use ruma::{RoomId, UserId};
use serde::{Deserialize, Serialize};
use store::tables::ACCOUNT_DATA;
use store::{RoomNo, Snapshot, UserNo};

use crate::account_data::{self, PUSH_RULES};
use crate::cached::{Cached, Changing};
use crate::{Error, RuleError, Users, What};

/// Most rules of one user, the server's own included.
const MOST: usize = 2000;

/// Push rules in memory.
pub(crate) struct Hot(Cached<UserNo, Arc<Ruleset>>);

impl Hot {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Cached::new(capacity))
    }

    pub(crate) fn changing(&self, user: UserNo) -> Changing {
        self.0.changing(user)
    }
}

/// As clients see them.
#[derive(Serialize, Deserialize)]
struct Content {
    global: Ruleset,
}

/// The rules that everybody begins with. Those for polls say which type of event they are for as MSC3930 does, by `event_match`.
fn defaults(user: &UserId) -> Ruleset {
    let mut rules = Ruleset::server_default(user);
    for list in [&mut rules.override_, &mut rules.underride] {
        *list = std::mem::take(list).into_iter().map(by_match).collect();
    }
    rules
}

fn by_match(mut rule: ConditionalPushRule) -> ConditionalPushRule {
    for condition in &mut rule.conditions {
        if let PushCondition::EventPropertyIs(is) = condition
            && is.key == "type"
            && let ScalarJsonValue::String(wanted) = &is.value
        {
            *condition = PushCondition::EventMatch(EventMatchConditionData::new(
                is.key.clone(),
                wanted.clone(),
            ));
        }
    }
    rule
}

/// The rules that a user has for one room, as they would be for another: those that silence or follow it, and those that are made for its
/// events under its name. Where there is one already, it stays.
fn inherited(rules: &Ruleset, from: &RoomId, to: &RoomId) -> Vec<(NewPushRule, bool)> {
    let mut found = Vec::new();
    if let Some(rule) = rules.room.get(from.as_str())
        && !rules.room.contains(to.as_str())
    {
        let new = NewSimplePushRule::new(to.to_owned(), rule.actions.clone());
        found.push((NewPushRule::Room(new), rule.enabled));
    }
    let lists = [
        (&rules.override_, NewPushRule::Override as fn(_) -> _),
        (&rules.underride, NewPushRule::Underride),
    ];
    for (list, kind) in lists {
        let rule = list.get(from.as_str());
        if let Some(rule) = rule.filter(|_| !list.contains(to.as_str())) {
            let mut conditions = rule.conditions.clone();
            for condition in &mut conditions {
                if let PushCondition::EventMatch(matches) = condition
                    && matches.key == "room_id"
                    && matches.pattern == from.as_str()
                {
                    matches.pattern = to.to_string();
                }
            }
            let new = NewConditionalPushRule::new(to.to_string(), conditions, rule.actions.clone());
            found.push((kind(new), rule.enabled));
        }
    }
    found
}

/// A user's push rules: what they have set, over the rules of the specification.
pub fn read(s: &Snapshot, user: UserNo) -> Result<Ruleset, Error> {
    let defaults = defaults(&s.user_id(user)?);
    let Some(row) = s.get(ACCOUNT_DATA, &(user, None::<RoomNo>, PUSH_RULES))? else {
        return Ok(defaults);
    };
    let stored: Content =
        serde_json::from_str(&row.content).map_err(|_| Error::Damaged("push rules"))?;
    let mut rules = stored.global;
    // A newer version of this server may know more rules than the one that wrote them.
    rules.update_with_server_default(defaults);
    Ok(rules)
}

/// A user's push rules, as account data.
pub(crate) fn content(s: &Snapshot, user: UserNo) -> Result<String, Error> {
    write(read(s, user)?)
}

fn write(rules: Ruleset) -> Result<String, Error> {
    serde_json::to_string(&Content { global: rules })
        .map_err(|_| Error::Bug("push rules that are not JSON"))
}

/// Adds a rule, or changes and perhaps moves the one that has its id.
fn add(
    rules: &mut Ruleset,
    rule: NewPushRule,
    after: Option<&str>,
    before: Option<&str>,
) -> Result<(), Error> {
    let (kind, id) = (rule.kind(), rule.rule_id().to_owned());
    let known = rules.get(kind.clone(), &id).map(AnyPushRuleRef::enabled);
    if known.is_some() && (after.is_some() || before.is_some()) && !id.starts_with('.') {
        // Moving means taking it away first: otherwise its own place would count in that of its neighbours.
        if rules.remove(kind.clone(), &id).is_err() {
            return Err(RuleError::ServerDefault.into());
        }
    }
    rules
        .insert(rule, after, before)
        .map_err(|error| match error {
            InsertPushRuleError::ServerDefaultRuleId => RuleError::ServerDefault,
            InsertPushRuleError::RelativeToServerDefaultRule => RuleError::NextToServerDefault,
            InsertPushRuleError::UnknownRuleId => RuleError::UnknownNeighbour,
            InsertPushRuleError::BeforeHigherThanAfter => RuleError::Order,
            _ => RuleError::InvalidId,
        })?;
    if let Some(enabled) = known {
        rules
            .set_enabled(kind, &id, enabled)
            .map_err(|_| Error::Bug("a push rule that was just added"))?;
    }
    if rules.iter().count() > MOST {
        return Err(Error::TooMany("push rules"));
    }
    Ok(())
}

fn check_kind(kind: &RuleKind) -> Result<(), Error> {
    if matches!(kind, RuleKind::_Custom(_)) {
        Err(RuleError::UnknownKind.into())
    } else {
        Ok(())
    }
}

impl Users {
    /// A user's push rules; usually from memory.
    pub fn push_rules_of(&self, user: UserNo) -> Result<Arc<Ruleset>, Error> {
        if let Some(rules) = self.inner.rules.0.get(&user) {
            return Ok(rules);
        }
        self.inner.rules.0.load(user, user, || {
            read(&self.store().snapshot(), user).map(Arc::new)
        })
    }

    /// A user's push rules; usually from memory.
    pub fn push_rules(&self, user: &UserId) -> Result<Arc<Ruleset>, Error> {
        self.push_rules_of(self.local_no(user)?)
    }

    /// Adds a rule, or changes the one that has its id, and puts it next to another one if asked to.
    pub async fn set_push_rule(
        &self,
        user: &UserId,
        rule: NewPushRule,
        after: Option<&str>,
        before: Option<&str>,
    ) -> Result<(), Error> {
        let (after, before) = (after.map(ToOwned::to_owned), before.map(ToOwned::to_owned));
        self.change_rules(user, move |rules| {
            add(rules, rule.clone(), after.as_deref(), before.as_deref())
        })
        .await
    }

    /// Gives a room the rules that the user has for another, where it has none of its own.
    pub async fn inherit_push_rules(
        &self,
        user: &UserId,
        from: &RoomId,
        to: &RoomId,
    ) -> Result<(), Error> {
        if inherited(&*self.push_rules(user)?, from, to).is_empty() {
            return Ok(());
        }
        let (from, to) = (from.to_owned(), to.to_owned());
        self.change_rules(user, move |rules| {
            for (rule, enabled) in inherited(rules, &from, &to) {
                let (kind, id) = (rule.kind(), rule.rule_id().to_owned());
                add(rules, rule, None, None)?;
                rules
                    .set_enabled(kind, id, enabled)
                    .map_err(|_| Error::Bug("a push rule that was just added"))?;
            }
            Ok(())
        })
        .await
    }

    /// Removes a rule that the user has added.
    pub async fn delete_push_rule(
        &self,
        user: &UserId,
        kind: RuleKind,
        id: &str,
    ) -> Result<(), Error> {
        check_kind(&kind)?;
        let id = id.to_owned();
        self.change_rules(user, move |rules| {
            rules
                .remove(kind.clone(), &id)
                .map_err(|error| match error {
                    RemovePushRuleError::ServerDefault => RuleError::ServerDefault.into(),
                    _ => Error::NotFound(What::PushRule),
                })
        })
        .await
    }

    /// Switches a rule on or off.
    pub async fn enable_push_rule(
        &self,
        user: &UserId,
        kind: RuleKind,
        id: &str,
        enabled: bool,
    ) -> Result<(), Error> {
        check_kind(&kind)?;
        let id = id.to_owned();
        self.change_rules(user, move |rules| {
            rules
                .set_enabled(kind.clone(), &id, enabled)
                .map_err(|_| Error::NotFound(What::PushRule))
        })
        .await
    }

    /// Changes what a rule does.
    pub async fn set_push_rule_actions(
        &self,
        user: &UserId,
        kind: RuleKind,
        id: &str,
        actions: Vec<Action>,
    ) -> Result<(), Error> {
        check_kind(&kind)?;
        let id = id.to_owned();
        self.change_rules(user, move |rules| {
            rules
                .set_actions(kind.clone(), &id, actions.clone())
                .map_err(|_| Error::NotFound(What::PushRule))
        })
        .await
    }

    async fn change_rules(
        &self,
        user: &UserId,
        change: impl Fn(&mut Ruleset) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let (no, users) = (self.local_no(user)?, self.clone());
        self.in_lane(no, async move {
            let _rules = users.inner.rules.changing(no);
            users
                .write(move |tx| {
                    let mut rules = read(tx, no)?;
                    change(&mut rules)?;
                    account_data::put(tx, no, None, PUSH_RULES, Some(&write(rules)?))
                })
                .await
        })
        .await
    }
}
