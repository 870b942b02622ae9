//! Rows of the tables that `rooms` owns.
