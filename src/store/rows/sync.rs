//! Rows of the tables that `sync` owns.
