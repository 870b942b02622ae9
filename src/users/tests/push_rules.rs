//! Push rules.

use ruma::OwnedUserId;
use ruma::push::{
    Action, AnyPushRuleRef, EventMatchConditionData, NewConditionalPushRule, NewPatternedPushRule,
    NewPushRule, NewSimplePushRule, PushCondition, RuleKind,
};
use ruma::room_id;

use super::{World, logged};
use crate::{Error, RuleError, What};

fn content(id: &str) -> NewPushRule {
    NewPushRule::Content(NewPatternedPushRule::new(
        id.to_owned(),
        "cake".to_owned(),
        vec![Action::Notify],
    ))
}

async fn order(world: &World, user: &OwnedUserId) -> Vec<String> {
    let rules = world.users.push_rules(user).unwrap();
    let ids = rules.content.iter().map(|rule| rule.rule_id.clone());
    ids.filter(|id| !id.starts_with('.')).collect()
}

#[tokio::test]
async fn everybody_begins_with_the_rules_of_the_specification() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let rules = world.users.push_rules(&alice).unwrap();
    assert!(
        rules
            .get(RuleKind::Override, ".m.rule.master")
            .is_some_and(|rule| !rule.enabled())
    );
    assert!(
        rules
            .get(RuleKind::Override, ".m.rule.is_user_mention")
            .is_some()
    );
    let polls = rules.get(RuleKind::Override, ".org.matrix.msc3930.rule.poll_response");
    let Some(AnyPushRuleRef::Override(polls)) = polls else {
        panic!("no rule for answers to polls");
    };
    assert!(matches!(
        polls.conditions.as_slice(),
        [PushCondition::EventMatch(_)]
    ));
}

#[tokio::test]
async fn rules_for_a_room_are_inherited_by_the_one_that_replaces_it() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let users = &world.users;
    let (old, new) = (room_id!("!old:s"), room_id!("!new:s"));
    let silence = NewPushRule::Override(NewConditionalPushRule::new(
        old.to_string(),
        vec![PushCondition::EventMatch(EventMatchConditionData::new(
            "room_id".to_owned(),
            old.to_string(),
        ))],
        vec![],
    ));
    users
        .set_push_rule(&alice, silence, None, None)
        .await
        .unwrap();
    let quiet = NewSimplePushRule::new(old.to_owned(), vec![]);
    users
        .set_push_rule(&alice, NewPushRule::Room(quiet), None, None)
        .await
        .unwrap();
    users
        .enable_push_rule(&alice, RuleKind::Room, old.as_str(), false)
        .await
        .unwrap();
    for _ in 0..2 {
        users.inherit_push_rules(&alice, old, new).await.unwrap();
    }
    let rules = users.push_rules(&alice).unwrap();
    let told = rules.override_.get(new.as_str()).unwrap();
    let [PushCondition::EventMatch(matches)] = told.conditions.as_slice() else {
        panic!("{:?}", told.conditions);
    };
    assert_eq!(matches.pattern, new.as_str());
    assert!(!rules.room.get(new.as_str()).unwrap().enabled);
}

#[tokio::test]
async fn rules_stand_where_they_are_put() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let users = &world.users;
    for id in ["a", "b", "c"] {
        users
            .set_push_rule(&alice, content(id), None, None)
            .await
            .unwrap();
    }
    assert_eq!(
        order(&world, &alice).await,
        ["c", "b", "a"],
        "the newest comes first"
    );
    users
        .set_push_rule(&alice, content("d"), Some("b"), None)
        .await
        .unwrap();
    assert_eq!(order(&world, &alice).await, ["c", "b", "d", "a"]);
    users
        .set_push_rule(&alice, content("c"), Some("a"), None)
        .await
        .unwrap();
    assert_eq!(
        order(&world, &alice).await,
        ["b", "d", "a", "c"],
        "also behind the last one"
    );
    users
        .set_push_rule(&alice, content("a"), None, Some("b"))
        .await
        .unwrap();
    assert_eq!(order(&world, &alice).await, ["a", "b", "d", "c"]);
    users
        .set_push_rule(&alice, content("b"), None, None)
        .await
        .unwrap();
    assert_eq!(
        order(&world, &alice).await,
        ["a", "b", "d", "c"],
        "a changed rule stays"
    );
}

#[tokio::test]
async fn rules_are_switched_changed_and_removed_and_syncs_hear_of_it() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let users = &world.users;
    users
        .set_push_rule(&alice, content("a"), None, None)
        .await
        .unwrap();
    let before = world.store.head();
    users
        .enable_push_rule(&alice, RuleKind::Content, "a", false)
        .await
        .unwrap();
    assert_eq!(
        logged(&world.store, before).len(),
        2,
        "one for syncs, one for counts"
    );
    let get = || users.push_rules(&alice).unwrap();
    let enabled =
        |kind: RuleKind, id: &str| get().get(kind, id).is_some_and(AnyPushRuleRef::enabled);
    assert!(!enabled(RuleKind::Content, "a"));
    users
        .set_push_rule(&alice, content("a"), Some("a"), None)
        .await
        .unwrap_err();
    users
        .set_push_rule(&alice, content("b"), None, None)
        .await
        .unwrap();
    users
        .set_push_rule(&alice, content("a"), None, Some("b"))
        .await
        .unwrap();
    assert!(
        !enabled(RuleKind::Content, "a"),
        "moving a rule does not switch it on"
    );
    users
        .enable_push_rule(&alice, RuleKind::Override, ".m.rule.master", true)
        .await
        .unwrap();
    assert!(enabled(RuleKind::Override, ".m.rule.master"));
    users
        .set_push_rule_actions(&alice, RuleKind::Content, "a", vec![])
        .await
        .unwrap();
    assert!(
        get()
            .get(RuleKind::Content, "a")
            .unwrap()
            .actions()
            .is_empty()
    );
    users
        .delete_push_rule(&alice, RuleKind::Content, "a")
        .await
        .unwrap();
    assert!(get().get(RuleKind::Content, "a").is_none());
    let again = world.after_crash();
    assert!(
        again
            .users
            .push_rules(&alice)
            .unwrap()
            .get(RuleKind::Override, ".m.rule.master")
            .unwrap()
            .enabled()
    );
}

#[tokio::test]
async fn every_kind_takes_rules_even_when_it_is_empty() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let conditional = |id: &str| NewConditionalPushRule::new(id.to_owned(), vec![], vec![]);
    for rule in [
        NewPushRule::Override(conditional("o")),
        NewPushRule::Underride(conditional("u")),
        NewPushRule::Room(NewSimplePushRule::new(room_id!("!r:h").to_owned(), vec![])),
        NewPushRule::Sender(NewSimplePushRule::new(alice.clone(), vec![])),
    ] {
        world
            .users
            .set_push_rule(&alice, rule, None, None)
            .await
            .unwrap();
    }
    let rules = world.users.push_rules(&alice).unwrap();
    assert_eq!(
        rules.override_.get_index(0).unwrap().rule_id,
        ".m.rule.master"
    );
    assert_eq!(rules.override_.get_index(1).unwrap().rule_id, "o");
}

#[tokio::test]
async fn what_cannot_be_is_told_apart() {
    let world = World::new();
    let alice = world.person("alice", "A").await.id;
    let users = &world.users;
    let set = async |id: &str, after: Option<&str>, before: Option<&str>| match users
        .set_push_rule(&alice, content(id), after, before)
        .await
    {
        Err(Error::PushRule(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(set(".m.rule.x", None, None).await, RuleError::ServerDefault);
    assert_eq!(set("a/b", None, None).await, RuleError::InvalidId);
    assert_eq!(
        set("a", Some("nowhere"), None).await,
        RuleError::UnknownNeighbour
    );
    assert_eq!(
        set("a", Some(".m.rule.master"), None).await,
        RuleError::NextToServerDefault
    );
    for id in ["one", "two"] {
        users
            .set_push_rule(&alice, content(id), None, None)
            .await
            .unwrap();
    }
    assert_eq!(set("a", Some("one"), Some("two")).await, RuleError::Order);
    let missing = users
        .delete_push_rule(&alice, RuleKind::Content, "no")
        .await;
    assert!(matches!(missing, Err(Error::NotFound(What::PushRule))));
    let default = users
        .delete_push_rule(&alice, RuleKind::Override, ".m.rule.master")
        .await;
    assert!(matches!(
        default,
        Err(Error::PushRule(RuleError::ServerDefault))
    ));
    let missing = users
        .enable_push_rule(&alice, RuleKind::Room, "no", true)
        .await;
    assert!(matches!(missing, Err(Error::NotFound(What::PushRule))));
    let unknown = users
        .enable_push_rule(&alice, RuleKind::from("weird"), "no", true)
        .await;
    assert!(matches!(
        unknown,
        Err(Error::PushRule(RuleError::UnknownKind))
    ));
}
