//! What every engine must prove.
