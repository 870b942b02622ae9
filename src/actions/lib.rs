//! What someone can do: one file per verb.
