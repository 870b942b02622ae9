//! What a tree of state promises.
