//! Push: specification, "Push notifications".

pub(crate) mod notifications;
pub(crate) mod pushers;
pub(crate) mod rule;
pub(crate) mod rule_actions;
pub(crate) mod rule_enabled;
pub(crate) mod rules;

use ruma::push::{AnyPushRuleRef, RuleKind, Ruleset};
use users::What;

/// A rule of a user. Kinds that the specification does not know hold none.
fn find<'r>(
    rules: &'r Ruleset,
    kind: &RuleKind,
    id: &str,
) -> Result<AnyPushRuleRef<'r>, web::Error> {
    Ok(rules
        .get(kind.clone(), id)
        .ok_or(users::Error::NotFound(What::PushRule))?)
}
