// Two people, one encrypted room, everything that people do in it.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { CryptoEvent, VerificationPhase, VerificationRequestEvent, VerifierEvent } from "matrix-js-sdk/lib/crypto-api/index.js";
import { Server } from "./lib/server.mjs";
import { Person, RoomEvent, ClientEvent, MatrixEventEvent, until } from "./lib/person.mjs";

const run = Date.now().toString(36);
let server, alice, bob, roomId;
/** What the two say to each other, in the order in which the server took it. */
const expected = [];

before(async () => {
    server = await Server.start();
});

after(async () => {
    for (const person of [alice, bob]) await person?.stop();
    const took = await server?.stop();
    assert.ok(took < 10_000, `the server took ${took} ms to stop`);
});

test("two people register and set up cross-signing and key backup", async () => {
    alice = await (await Person.register(server.url, `alice-${run}`)).start();
    bob = await (await Person.register(server.url, `bob-${run}`)).start();
    await alice.setUpRecovery();
    await bob.setUpRecovery();
    assert.ok(await alice.crypto.isCrossSigningReady());
    assert.ok(await alice.crypto.getActiveSessionBackupVersion());
});

test("an encrypted room is created, and the guest finds the invitation and joins", async () => {
    const made = await alice.client.createRoom({
        name: "Two of us",
        preset: "trusted_private_chat",
        is_direct: true,
        invite: [bob.id],
        initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
    });
    roomId = made.room_id;
    const invitation = await bob.invited(roomId);
    assert.equal(invitation.name, "Two of us");
    await bob.client.joinRoom(roomId);
    await bob.joined(roomId);
    await until("alice to see bob in the room", alice.client, ["RoomMember.membership", ClientEvent.Sync, "RoomState.events"], () => alice.client.getRoom(roomId)?.getMember(bob.id)?.membership === "join");
});

test("a hundred messages each way arrive decrypted, in order, none twice", async () => {
    for (let n = 1; n <= 100; n++) {
        for (const speaker of [alice, bob]) {
            expected.push(`${speaker.name} says ${n}`);
            await speaker.say(roomId, expected.at(-1));
        }
    }
    for (const reader of [alice, bob]) {
        await reader.reads(roomId, (bodies) => bodies.length >= expected.length && bodies.every((body) => expected.includes(body)));
        // A client may show its own message a moment before one that the server took earlier, so order is held per speaker here
        // and for the whole room where the history is read back from the server.
        for (const speaker of [alice, bob]) {
            const spoken = (body) => body.startsWith(`${speaker.name} `);
            assert.deepEqual(reader.bodies(roomId).filter(spoken), expected.filter(spoken));
        }
        assert.equal(new Set(reader.delivered).size, reader.delivered.length, "an event was delivered twice");
        assert.equal(reader.messages(roomId).filter((event) => event.isDecryptionFailure()).length, 0);
    }
});

test("an edit, a reaction, a thread and a redaction reach the other side", async () => {
    const eventId = await alice.say(roomId, "Helo");
    await alice.say(roomId, "* Hello", {
        "m.new_content": { msgtype: "m.text", body: "Hello" },
        "m.relates_to": { rel_type: "m.replace", event_id: eventId },
    });
    const room = bob.client.getRoom(roomId);
    const events = [RoomEvent.Timeline, RoomEvent.Redaction, MatrixEventEvent.Decrypted, MatrixEventEvent.Replaced, ClientEvent.Sync, "Thread.update", "Thread.new"];
    await until("bob to see the edit", bob.client, events, () => room.findEventById(eventId)?.getContent().body === "Hello");

    const { event_id: reaction } = await bob.client.sendEvent(roomId, "m.reaction", { "m.relates_to": { rel_type: "m.annotation", event_id: eventId, key: "👍" } });
    const aliceRoom = alice.client.getRoom(roomId);
    await until("alice to see the reaction", alice.client, events, () =>
        aliceRoom.relations.getChildEventsForEvent(eventId, "m.annotation", "m.reaction")?.getSortedAnnotationsByKey()?.[0]?.[0] === "👍",
    );

    const inThread = await alice.say(roomId, "In the thread", { "m.relates_to": { rel_type: "m.thread", event_id: eventId } });
    await until("bob to see the thread", bob.client, events, () => room.getThread(eventId)?.replyToEvent?.getId() === inThread && room.getThread(eventId)?.replyToEvent?.getContent().body === "In the thread");

    const secret = await alice.say(roomId, "Never mind");
    await until("bob to read the message", bob.client, events, () => room.findEventById(secret)?.getContent().body === "Never mind");
    await alice.client.redactEvent(roomId, secret);
    await until("bob to lose the message", bob.client, events, () => room.findEventById(secret)?.isRedacted());
    const raw = await bob.client.fetchRoomEvent(roomId, secret);
    assert.deepEqual(raw.content, {});
    await alice.client.redactEvent(roomId, reaction).then(
        () => {},
        () => assert.fail("the room's creator may redact a reaction"),
    );
});

test("two devices of one person verify each other", async () => {
    const second = await (await Person.login(server.url, alice.name, alice.password)).start();
    try {
        let offer;
        second.client.once(CryptoEvent.VerificationRequestReceived, (request) => (offer = request));
        await knows(alice, second);
        await knows(second, alice);
        const asked = await alice.crypto.requestDeviceVerification(alice.id, second.client.getDeviceId());
        await until("the request on the second device", second.client, [CryptoEvent.VerificationRequestReceived], () => offer);
        await offer.accept();
        await until("the request to be ready", asked, [VerificationRequestEvent.Change], () => asked.phase === VerificationPhase.Ready);
        const verifier = await asked.startVerification("m.sas.v1");
        await until("the other side to start", offer, [VerificationRequestEvent.Change], () => offer.verifier);
        const emoji = (side, whose) => until(`the emoji on ${whose}`, side, [VerifierEvent.ShowSas], () => side.getShowSasCallbacks());
        const shown = Promise.all([emoji(verifier, "the first device"), emoji(offer.verifier, "the second device")]);
        const done = Promise.all([verifier.verify(), offer.verifier.verify()]);
        const [here, there] = await shown;
        assert.deepEqual(here.sas.emoji, there.sas.emoji);
        await Promise.all([here.confirm(), there.confirm()]);
        await done;
        const status = await alice.crypto.getDeviceVerificationStatus(alice.id, second.client.getDeviceId());
        assert.ok(status.crossSigningVerified || status.localVerified);
    } finally {
        await second.client.logout(true);
    }
});

/** Waits until `person` has heard of the other's device: requests between devices that do not know each other are dropped. */
async function knows(person, other) {
    for (;;) {
        const devices = await person.crypto.getUserDeviceInfo([other.id], true);
        if (devices.get(other.id)?.has(other.client.getDeviceId())) return;
        await new Promise((resolve) => person.client.once(CryptoEvent.DevicesUpdated, resolve));
    }
}

test("after a logout, a new device restores everything from the backup", async () => {
    await alice.backedUp();
    const recoveryKey = alice.recoveryKey;
    const { name, password } = alice;
    await alice.client.logout(true);
    alice = await Person.login(server.url, name, password, "the new phone");
    alice.recoveryKey = recoveryKey;
    await alice.start();
    await alice.crypto.loadSessionBackupPrivateKeyFromSecretStorage();
    const restored = await alice.crypto.restoreKeyBackup();
    assert.ok(restored.imported > 0 && restored.imported === restored.total, `restored ${restored.imported} of ${restored.total} keys`);
    await alice.scrollToStart(roomId);
    const said = (bodies) => bodies.filter((body) => / says \d+$/.test(body ?? ""));
    await alice.reads(roomId, (bodies) => said(bodies).length >= 200, "the whole history");
    assert.deepEqual(said(alice.bodies(roomId)), expected);
    assert.equal(alice.messages(roomId).filter((event) => event.isDecryptionFailure()).length, 0);
});
