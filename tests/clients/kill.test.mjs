// The same people, while the server is killed without warning again and again.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { Server } from "./lib/server.mjs";
import { Person } from "./lib/person.mjs";

const kills = Number(process.env.MYELIN_KILLS ?? 20);
let server, alice, bob, roomId;

before(async () => {
    assert.ok(!process.env.MYELIN_URL, "this test kills the server, so it must be one that it started");
    server = await Server.start();
    alice = await (await Person.register(server.url, "alice")).start();
    bob = await (await Person.register(server.url, "bob")).start();
    await alice.setUpRecovery();
    await bob.setUpRecovery();
    ({ room_id: roomId } = await alice.client.createRoom({
        preset: "trusted_private_chat",
        invite: [bob.id],
        initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
    }));
    await bob.invited(roomId);
    await bob.client.joinRoom(roomId);
    await bob.joined(roomId);
    await alice.joined(roomId);
});

after(async () => {
    for (const person of [alice, bob]) await person?.stop();
    await server?.stop();
});

test(`nothing acknowledged is lost or doubled while the server is killed ${kills} times`, async (t) => {
    /** Event id by body, of every message that the server said it took. */
    const taken = new Map();
    let talking = true;
    const talk = async (speaker) => {
        for (let n = 1; talking; n++) {
            const body = `${speaker.name} says ${n}`;
            taken.set(body, await speaker.say(roomId, body));
        }
    };
    const talks = [talk(alice), talk(bob)];

    const starts = [];
    for (let round = 0; round < kills; round++) {
        const before = taken.size;
        const pause = 50 + ((round * 7919) % 700);
        await new Promise((done) => setTimeout(done, pause));
        while (taken.size === before) await new Promise((done) => setTimeout(done, 5));
        await server.kill();
        starts.push(await server.launch());
    }
    talking = false;
    await Promise.all(talks);
    const slowest = Math.round(Math.max(...starts));
    t.diagnostic(`${taken.size} messages acknowledged; slowest start after a kill ${slowest} ms`);
    assert.ok(slowest <= 5_000, `a start after a kill took ${slowest} ms`);

    // Both clients have recovered by themselves and hear what is said now; then each reads everything back, as one who was away would.
    for (const reader of [alice, bob]) {
        const other = reader === alice ? bob : alice;
        await reader.caughtUp(roomId, await other.say(roomId, `${other.name} asks whether ${reader.name} is still there`));
        assert.equal(new Set(reader.delivered).size, reader.delivered.length, "an event was delivered twice");
        const history = await reader.history(roomId);
        const ids = history.map((event) => event.getId());
        assert.equal(new Set(ids).size, ids.length, "the server holds an event twice");
        for (const [body, id] of taken) assert.ok(ids.includes(id), `the acknowledged message «${body}» is gone`);
        const bodies = history.map((event) => event.getContent().body);
        assert.equal(history.filter((event) => event.isDecryptionFailure()).length, 0, `${reader.name} cannot decrypt everything`);
        assert.equal(new Set(bodies).size, bodies.length, `${reader.name} reads a message twice`);
        for (const speaker of [alice, bob]) {
            const spoken = (body) => body.startsWith(`${speaker.name} says `);
            assert.deepEqual(bodies.filter(spoken), [...taken.keys()].filter(spoken), `${reader.name} reads ${speaker.name}'s words out of order`);
        }
    }
});
