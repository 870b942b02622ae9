//! Listeners, extractors, authentication, limits and the one error table.
