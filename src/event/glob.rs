//! Glob patterns (appendices, *Glob-style matching*): `*` is any run of characters, `?` exactly one.
//!
//! Matching never backtracks further than the last `*`, and takes time linear in the text for each piece of the pattern.
