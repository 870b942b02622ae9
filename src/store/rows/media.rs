//! Rows of the tables that `media` owns.
