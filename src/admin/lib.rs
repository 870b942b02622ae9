//! The administration API and the command line.
