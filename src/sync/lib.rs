//! What someone gets to see: /sync, unread counts and the bells that wake a waiting client.
