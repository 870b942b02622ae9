//! What happened on the way to a server, in sentences for the person who wants to know why it cannot be reached.

/// One step on the way to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How it went.
    pub outcome: Outcome,
    /// What was done and what came of it, as a sentence.
    pub sentence: String,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Good,
    /// Not, but there is another way.
    Passed,
    /// Not, and this is why the server cannot be reached.
    Failed,
}

impl Step {
    /// A step that went well.
    pub fn good(sentence: impl Into<String>) -> Self {
        Self::new(Outcome::Good, sentence)
    }

    /// A step that led nowhere, which is no fault.
    pub fn passed(sentence: impl Into<String>) -> Self {
        Self::new(Outcome::Passed, sentence)
    }

    /// A step that failed.
    pub fn failed(sentence: impl Into<String>) -> Self {
        Self::new(Outcome::Failed, sentence)
    }

    fn new(outcome: Outcome, sentence: impl Into<String>) -> Self {
        Self {
            outcome,
            sentence: sentence.into(),
        }
    }
}
