//! Server ACLs (client-server API, `m.room.server_acl`): which servers may take part in a room.
