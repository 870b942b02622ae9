//! Rows of the tables that `users` owns.
