//! Server ACLs (client-server API, `m.room.server_acl`): which servers may take part in a room.
//!
//! The content is read once into an [`Acl`]; asking it costs time linear in the patterns at worst, and next to nothing for lists of plain
//! names and whole domains, which is what real lists are.

use std::collections::HashSet;

use ruma::ServerName;

use crate::canonical::{self, Object, Value};
use crate::glob;
use crate::pdu::Pdu;
use crate::rules::Json;

/// The servers a room lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    allow_ip_literals: bool,
    allow: Patterns,
    deny: Patterns,
}

/// A list of patterns, sorted by how they are looked up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Patterns {
    /// `*` is among them.
    everything: bool,
    /// Without wildcards.
    names: HashSet<Box<str>>,
    /// What follows a single `*` at the start.
    endings: Vec<Box<str>>,
    /// The others, with the fewest characters that each can match.
    globs: Vec<(Box<str>, usize)>,
}

impl Acl {
    /// Reads an `m.room.server_acl` event. Without one, everyone is let in.
    #[must_use]
    pub fn of(event: Option<&Pdu>) -> Self {
        event.map_or_else(Self::open, |event| Self::parse(event.content_str()))
    }

    /// Everyone is let in.
    #[must_use]
    pub fn open() -> Self {
        let allow = Patterns {
            everything: true,
            ..Patterns::default()
        };
        Self {
            allow_ip_literals: true,
            allow,
            deny: Patterns::default(),
        }
    }

    /// Reads the content of an `m.room.server_acl` event. What is malformed counts as absent.
    #[must_use]
    pub fn parse(content: &str) -> Self {
        let content = canonical::parse_object(content, Json::Lax).unwrap_or_default();
        Self {
            allow_ip_literals: content.get("allow_ip_literals") != Some(&Value::Bool(false)),
            allow: Patterns::of(&content, "allow"),
            deny: Patterns::of(&content, "deny"),
        }
    }

    /// Whether a server may take part.
    #[must_use]
    pub fn allows(&self, server: &ServerName) -> bool {
        if !self.allow_ip_literals && server.is_ip_literal() {
            return false;
        }
        // The port does not count, nor does the case.
        let host = server.host().to_ascii_lowercase();
        !self.deny.match_any(&host) && self.allow.match_any(&host)
    }
}

impl Patterns {
    fn of(content: &Object<'_>, list: &str) -> Self {
        let mut patterns = Self::default();
        for pattern in content
            .get(list)
            .and_then(Value::as_array)
            .unwrap_or_default()
        {
            patterns.add(pattern.as_str());
        }
        patterns
    }

    fn add(&mut self, pattern: Option<&str>) {
        let Some(pattern) = pattern.map(glob::fold) else {
            return;
        };
        let wild = |text: &str| text.contains(['*', '?']);
        match pattern.strip_prefix('*') {
            Some("") => self.everything = true,
            Some(ending) if !wild(ending) => self.endings.push(ending.into()),
            None if !wild(&pattern) => {
                self.names.insert(pattern.into());
            }
            _ => {
                let shortest = pattern
                    .chars()
                    .filter(|character| *character != '*')
                    .count();
                self.globs.push((pattern.into(), shortest));
            }
        }
    }

    fn match_any(&self, host: &str) -> bool {
        self.everything
            || self.names.contains(host)
            || self.endings.iter().any(|ending| host.ends_with(&**ending))
            || self
                .globs
                .iter()
                .any(|(pattern, shortest)| *shortest <= host.len() && glob::matches(pattern, host))
    }
}

#[cfg(test)]
mod tests;
