#!/usr/bin/env python3
"""Answers the cases of docs/oracle.md with Synapse's resolver and authorisation rules.

    python3 ask_synapse.py < cases.jsonl              one answer per line
    python3 ask_synapse.py --compare < cases.jsonl    only what differs from the answer stored in a case

Ops: `resolve` and `auth`. Without Synapse (`pip install matrix-synapse`) it says so and does nothing.

Where a case holds rejected events, an answer may differ: Synapse never lets one into a state, though from version 2 on the specification handles them as
usual (see the note in its `_iterative_auth_checks`); in version 1 it judges others without an event that only the rejection of its rivals left standing.
Such cases are counted apart, and do not make the comparison fail.

The auth chains that Synapse would take from its database are computed here as the specification defines them: the events of a state
belong to its chain only if a link leads to them.
"""

import asyncio
import json
import sys

try:
    from synapse import event_auth
    from synapse.api.errors import AuthError
    from synapse.api.room_versions import KNOWN_ROOM_VERSIONS
    from synapse.events import make_event_from_dict
    from synapse.state import v1, v2
    from synapse.storage.databases.main.event_federation import StateDifference
except ImportError as missing:
    print(f"skipped: Synapse is not installed ({missing})", file=sys.stderr)
    sys.exit(0)


class Clock:
    """Nobody else is waiting."""

    async def sleep(self, duration):
        pass


class Room:
    """The events of a case, as Synapse's resolver asks for them."""

    def __init__(self, case):
        self.version = KNOWN_ROOM_VERSIONS[case["room_version"]]
        self.rejected = set(case.get("rejected", []))
        self.events = {event["event_id"]: self.read(event) for event in case["events"]}

    def read(self, named):
        pdu = dict(named["pdu"])
        for field, nothing in [("depth", 1), ("origin_server_ts", 0), ("auth_events", []), ("prev_events", []), ("hashes", {}), ("signatures", {})]:
            pdu.setdefault(field, nothing)
        reason = "rejected" if named["event_id"] in self.rejected else None
        event = make_event_from_dict(pdu, self.version, {}, reason)
        if event.event_id != named["event_id"]:
            raise ValueError(f"{named['event_id']} has the id {event.event_id}")
        return event

    def state(self, ids):
        return {(self.events[id].type, self.events[id].state_key): id for id in ids}

    def chain(self, ids):
        found, to_visit = set(), list(ids)
        while to_visit:
            for auth in self.events[to_visit.pop()].auth_event_ids():
                if auth in self.events and auth not in found:
                    found.add(auth)
                    to_visit.append(auth)
        return found

    # What Synapse's resolver asks of its store.

    async def get_events(self, ids, allow_rejected=False):
        known = {id: self.events[id] for id in ids if id in self.events}
        return {id: event for id, event in known.items() if allow_rejected or id not in self.rejected}

    async def get_auth_chain_difference(self, room_id, states, conflicting, more):
        chains = [self.chain(state) for state in states]
        difference = set.union(*chains) - set.intersection(*chains)
        if conflicting is None:
            return StateDifference(difference, None)
        behind = self.chain(conflicting)
        between = {id for id in behind if self.chain([id]) & conflicting} | conflicting
        return StateDifference(difference, between)

    # What the state-independent rules ask.

    async def get_event(self, id, allow_none=False, allow_rejected=False):
        return self.events.get(id)


async def resolve(case):
    room = Room(case)
    states = [room.state(ids) for ids in case["state_sets"]]
    room_id = next(iter(room.events.values())).room_id
    if case["room_version"] == "1":
        state = await v1.resolve_events_with_store(room_id, room.version, states, None, room.get_events)
    else:
        state = await v2.resolve_events_with_store(Clock(), room_id, room.version, states, None, room)
    return {"state": sorted(state.values())}


async def auth(case):
    room = Room(case)
    event = room.read(case["event"])
    state = {id: room.events[id] for id in case["against"]}
    if room.version.msc4291_room_ids_as_hashes and event.type != "m.room.create":
        create = "$" + event.room_id[1:]
        state.update({create: room.events[create]} if create in room.events else {})
    try:
        await event_auth.check_state_independent_auth_rules(room, event)
        event_auth.check_state_dependent_auth_rules(event, state.values())
    except (AuthError, KeyError, AssertionError) as error:
        return {"allowed": False, "reason": str(error)}
    return {"allowed": True, "reason": None}


def main():
    compare = "--compare" in sys.argv[1:]
    cases = different = excused = 0
    for line in filter(str.strip, sys.stdin):
        case = json.loads(line)
        answer = asyncio.run({"resolve": resolve, "auth": auth}[case["op"]](case))
        if not compare:
            print(json.dumps(answer), flush=True)
            continue
        cases += 1
        stored = {key: case[key] for key in ("state", "allowed") if key in case}
        if any(answer[key] != value for key, value in stored.items()):
            if case.get("rejected"):
                excused += 1
                continue
            different += 1
            print(json.dumps({"case": cases, "room_version": case["room_version"], "stored": stored, "synapse": answer}))
    if compare:
        print(f"{cases} cases, {different} differ, {excused} more over rejected events", file=sys.stderr)
        sys.exit(1 if different else 0)


main()
