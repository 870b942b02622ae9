//! The room event DAG: intake, judging, state, timeline, membership and the EDUs of rooms.
