//! Asking other servers, and the key with which we sign.
