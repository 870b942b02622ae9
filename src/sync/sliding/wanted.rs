//! Which state of a room a client wants to be told (`required_state`): by type and state key, with `*` for any, `$ME` for one's own
//! and, of memberships, `$LAZY` for those who are seen.

use rooms::state::now;
use ruma::UserId;
use store::{EventNo, RoomNo};

use crate::error::Result;
use crate::view::View;

const MEMBER: &str = "m.room.member";
const ANY: &str = "*";
const ME: &str = "$ME";
const LAZY: &str = "$LAZY";

/// Types and state keys, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Wanted(Vec<(String, String)>);

impl Wanted {
    pub(super) fn new(mut entries: Vec<(String, String)>) -> Self {
        entries.sort_unstable();
        entries.dedup();
        Self(entries)
    }

    /// As it was made.
    pub(super) fn entries(&self) -> &[(String, String)] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Both.
    pub(super) fn add(&mut self, other: &Self) {
        if self != other {
            self.0.extend(other.0.iter().cloned());
            self.0.sort_unstable();
            self.0.dedup();
        }
    }

    /// What is wanted here and not there.
    pub(super) fn beyond(&self, other: &Self) -> Self {
        if self == other {
            return Self::default();
        }
        let more = self
            .0
            .iter()
            .filter(|entry| other.0.binary_search(entry).is_err());
        Self(more.cloned().collect())
    }

    /// Whether members are told as they are seen.
    pub(super) fn is_lazy(&self) -> bool {
        self.0
            .iter()
            .any(|(kind, key)| kind == MEMBER && key == LAZY)
    }

    /// Whether all members are told.
    pub(super) fn has_all_members(&self) -> bool {
        self.0
            .iter()
            .any(|(kind, key)| (kind == MEMBER || kind == ANY) && key == ANY)
    }

    /// Whether a piece of state is wanted, whoever is seen.
    pub(super) fn has(&self, event_type: &str, state_key: &str, me: &UserId) -> bool {
        self.0.iter().any(|(kind, key)| {
            let is_key = key == state_key || key == ANY || (key == ME && me == state_key);
            is_key && (kind == event_type || kind == ANY)
        })
    }

    /// The present state that is wanted, whoever is seen.
    pub(super) fn now(&self, view: &View<'_>, room: RoomNo, me: &UserId) -> Result<Vec<EventNo>> {
        let mut found = Vec::new();
        let has_patterns = self
            .0
            .iter()
            .any(|(kind, key)| kind == ANY || (key == ANY && kind != MEMBER));
        if has_patterns {
            for (key, event) in now::without_members(view.s, room)? {
                let name = view.s.state_key(key)?;
                if self.has(&name.0, &name.1, me) {
                    found.push(event);
                }
            }
        }
        if self.has_all_members() {
            found.extend(
                now::members(view.s, room)?
                    .into_iter()
                    .map(|(_, event)| event),
            );
        }
        for (kind, key) in &self.0 {
            let key = if key == ME { me.as_str() } else { key };
            let is_plain = kind != ANY && key != ANY && key != LAZY;
            if is_plain && (!has_patterns || kind == MEMBER) {
                found.extend(now::find(view.s, room, kind, key)?);
            } else if kind == ANY && key != ANY && key != LAZY {
                found.extend(now::find(view.s, room, MEMBER, key)?);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(entries: &[(&str, &str)]) -> Wanted {
        let entries = entries.iter();
        Wanted::new(
            entries
                .map(|(kind, key)| ((*kind).to_owned(), (*key).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn patterns_and_oneself() {
        let me = <&UserId>::try_from("@me:here").unwrap();
        let has = |entry: (&str, &str), kind: &str, key: &str| wanted(&[entry]).has(kind, key, me);
        assert!(has(("a", ""), "a", ""));
        assert!(!has(("a", ""), "a", "k"));
        assert!(has(("a", "*"), "a", "k"));
        assert!(has(("*", "k"), "a", "k"));
        assert!(has(("*", "*"), MEMBER, "@you:here"));
        assert!(has((MEMBER, ME), MEMBER, "@me:here"));
        assert!(!has((MEMBER, ME), MEMBER, "@you:here"));
        assert!(!has((MEMBER, LAZY), MEMBER, "@you:here"));
        assert!(wanted(&[(MEMBER, LAZY)]).is_lazy());
    }

    #[test]
    fn what_is_new_is_what_was_not_there() {
        let (few, many) = (wanted(&[("a", "")]), wanted(&[("b", ""), ("a", "")]));
        assert_eq!(many.beyond(&few), wanted(&[("b", "")]));
        assert!(few.beyond(&many).is_empty() && many.beyond(&many).is_empty());
    }
}
