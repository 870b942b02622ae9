//! What the authorisation rules need from the contents of events, parsed once for each event.

/// What matters in the content of an event, by its type.
#[derive(Debug)]
pub(crate) enum Facts {
    /// `m.room.member`.
    Member(MemberFacts),
    /// Nothing.
    Other,
}

#[derive(Debug)]
pub(crate) struct MemberFacts {
    pub(crate) membership: Option<super::Membership>,
}

impl Facts {
    pub(crate) fn of(_event_type: &str, _content: &str) -> Self {
        Self::Other
    }
}
