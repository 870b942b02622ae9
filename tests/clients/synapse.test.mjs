// Rooms shared with Synapse: the two servers have to tell the same story.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";
import { Authority } from "./lib/net.mjs";
import { Person, until as untilEvent, RoomEvent, ClientEvent, MatrixEventEvent } from "./lib/person.mjs";
import { Server } from "./lib/server.mjs";
import { Synapse } from "./lib/synapse.mjs";
import { User, until } from "./lib/user.mjs";

const run = Date.now().toString(36);
let talks = 0;
let dir, ours, theirs, alice, bob, carol, zoe;

before(async () => {
    dir = mkdtempSync(join(tmpdir(), "authority-"));
    const authority = new Authority(dir);
    [ours, theirs] = await Promise.all([Server.start(authority), Synapse.start(authority)]);
    alice = await User.register(ours, `alice-${run}`);
    carol = await User.register(ours, `carol-${run}`);
    bob = await User.register(theirs, `bob-${run}`);
    zoe = await User.register(theirs, `zoe-${run}`);
});

after(async () => {
    await theirs?.stop();
    await ours?.stop();
    rmSync(dir, { recursive: true, force: true });
});

/** A picture of one colour. */
function png(width, height) {
    const chunk = (type, data) => {
        const body = Buffer.concat([Buffer.from(type), data]);
        const out = Buffer.alloc(body.length + 8);
        out.writeUInt32BE(data.length);
        body.copy(out, 4);
        out.writeUInt32BE(crc32(body), body.length + 4);
        return out;
    };
    const header = Buffer.alloc(13);
    header.writeUInt32BE(width);
    header.writeUInt32BE(height, 4);
    header.set([8, 2, 0, 0, 0], 8);
    const rows = deflateSync(Buffer.alloc((width * 3 + 1) * height, 0));
    const signature = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
    return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", rows), chunk("IEND", Buffer.alloc(0))]);
}

async function sameState(room, one, other) {
    const seen = await until("the same state on both sides", async () => {
        const [here, there] = await Promise.all([one.stateIds(room), other.stateIds(room)]);
        return here.join() === there.join() && here;
    });
    assert.ok(seen.length > 3, `${seen.length} pieces of state`);
}

/** Both speak in turn; both read the same, in the same order. */
async function talk(room, speakers, turns) {
    const said = [];
    const talk = ++talks;
    for (let n = 1; n <= turns; n++) {
        for (const speaker of speakers) {
            said.push(`${speaker.id} says ${n} in talk ${talk}`);
            await speaker.say(room, said.at(-1));
        }
    }
    for (const reader of speakers) {
        const read = await until(`${reader.id} to read everything`, async () => {
            const bodies = await reader.bodies(room, 2 * said.length + 50);
            return said.every((body) => bodies.includes(body)) && bodies.filter((body) => body.endsWith(`in talk ${talk}`));
        });
        assert.equal(new Set(read).size, read.length, "something was delivered twice");
        for (const speaker of speakers) {
            const mine = (body) => body.startsWith(`${speaker.id} says`);
            assert.deepEqual(read.filter(mine), said.filter(mine));
        }
    }
}

for (const version of ["1", "6", "9", "10", "11", "12"]) {
    for (const side of ["here", "there"]) {
        test(`version ${version}, made ${side}: join, invite, talk, change, leave, come back, kick, ban`, async () => {
            const [host, guest, friend] = side === "here" ? [alice, bob, zoe] : [bob, alice, carol];
            const room = await host.create({ preset: "public_chat", room_version: version, name: `Version ${version}` });
            await guest.join(room, host.server.name);
            await until("the host to see the guest", async () => (await host.membership(room, guest.id)) === "join");
            assert.equal((await guest.state(room, "m.room.name")).name, `Version ${version}`);
            await host.does("invite", room, { user_id: friend.id });
            await friend.hears("the invitation", (sync) => sync.rooms?.invite?.[room]);
            await friend.join(room, host.server.name);
            await talk(room, [host, guest], 10);

            const first = await host.say(room, "Helo");
            await host.say(room, "* Hello", { "m.new_content": { msgtype: "m.text", body: "Hello" }, "m.relates_to": { rel_type: "m.replace", event_id: first } });
            await until("the edit", async () => (await guest.event(room, first)).unsigned?.["m.relations"]?.["m.replace"]);
            await guest.send(room, "m.reaction", { "m.relates_to": { rel_type: "m.annotation", event_id: first, key: "+" } });
            const secret = await guest.say(room, "Never mind");
            await until("the message", () => host.event(room, secret));
            await guest.ask("PUT", guest.room(room, `/redact/${encodeURIComponent(secret)}/r${guest.txn++}`), {});
            await until("the redaction", async () => Object.keys((await host.event(room, secret)).content).length === 0);

            await host.set(room, "m.room.topic", { topic: "What changes" });
            await until("the topic", async () => (await guest.state(room, "m.room.topic")).topic === "What changes");
            await guest.does("leave", room);
            await until("the guest to be gone", async () => (await host.membership(room, guest.id)) === "leave");
            await guest.join(room, host.server.name);
            await until("the guest to be back", async () => (await host.membership(room, guest.id)) === "join");
            await talk(room, [host, guest], 2);
            await sameState(room, host, guest);
            await host.does("kick", room, { user_id: friend.id, reason: "for a test" });
            await until("the kick", async () => (await guest.membership(room, friend.id)) === "leave");
            await host.does("ban", room, { user_id: friend.id });
            await until("the ban", async () => (await guest.membership(room, friend.id)) === "ban");
            await assert.rejects(friend.join(room, host.server.name), { status: 403 });
            await sameState(room, host, guest);
        });
    }
}

test("two hundred messages each way arrive in order, none twice", async () => {
    const room = await alice.create({ preset: "public_chat" });
    await bob.join(room, ours.name);
    await talk(room, [alice, bob], 200);
});

for (const side of ["here", "there"]) {
    test(`a room made ${side} is entered by knocking, by membership of another, and not without either`, async () => {
        const [host, guest] = side === "here" ? [alice, bob] : [bob, alice];
        const rules = (content) => [{ type: "m.room.join_rules", state_key: "", content }];
        const knocked = await host.create({ preset: "private_chat", initial_state: rules({ join_rule: "knock" }) });
        await assert.rejects(guest.join(knocked, host.server.name), { status: 403 });
        await guest.knock(knocked, host.server.name);
        await until("the knock", async () => (await host.membership(knocked, guest.id)) === "knock");
        await host.does("invite", knocked, { user_id: guest.id });
        await guest.hears("the invitation", (sync) => sync.rooms?.invite?.[knocked]);
        await guest.join(knocked, host.server.name);
        await talk(knocked, [host, guest], 2);

        const space = await host.create({ preset: "public_chat", creation_content: { type: "m.space" }, name: "Space" });
        const allow = [{ type: "m.room_membership", room_id: space }];
        const inner = await host.create({ preset: "private_chat", name: "Inner", initial_state: rules({ join_rule: "restricted", allow }) });
        await host.set(space, "m.space.child", { via: [host.server.name] }, inner);
        await assert.rejects(guest.join(inner, host.server.name));
        await guest.join(space, host.server.name);
        await guest.join(inner, host.server.name);
        await talk(inner, [host, guest], 2);
        await sameState(inner, host, guest);
        const tree = await guest.ask("GET", `/v1/rooms/${encodeURIComponent(space)}/hierarchy`);
        assert.deepEqual(tree.rooms.map((each) => each.name).sort(), ["Inner", "Space"]);
    });

    test(`an invitation from ${side} can be turned down, and an alias made ${side} is found`, async () => {
        const [host, guest] = side === "here" ? [alice, bob] : [bob, alice];
        const quiet = await host.create({ preset: "private_chat", invite: [guest.id] });
        await guest.hears("the invitation", (sync) => sync.rooms?.invite?.[quiet]);
        await guest.does("leave", quiet);
        await until("the host to hear of it", async () => (await host.membership(quiet, guest.id)) === "leave");
        const name = `named-${side}-${run}`;
        const named = await host.create({ preset: "public_chat", room_alias_name: name, visibility: "public", name });
        const alias = `#${name}:${host.server.name}`;
        assert.equal((await guest.ask("GET", `/v3/directory/room/${encodeURIComponent(alias)}`)).room_id, named);
        assert.equal(await guest.join(alias, host.server.name), named);
        const list = await guest.ask("GET", `/v3/publicRooms?server=${encodeURIComponent(host.server.name)}`);
        assert.ok(list.chunk.some((each) => each.room_id === named));
    });

    test(`people ${side} are seen: profile, typing, receipts, presence, files`, async () => {
        const [host, guest] = side === "here" ? [alice, bob] : [bob, alice];
        const room = await host.create({ preset: "public_chat" });
        await guest.join(room, host.server.name);
        await until("the guest", async () => (await host.membership(room, guest.id)) === "join");
        await guest.sync();
        await host.sync();
        await host.ask("PUT", `/v3/profile/${encodeURIComponent(host.id)}/displayname`, { displayname: `The host ${side}` });
        await until("the new name in the room", async () => (await guest.state(room, "m.room.member", host.id)).displayname === `The host ${side}`);
        assert.equal((await guest.ask("GET", `/v3/profile/${encodeURIComponent(host.id)}`)).displayname, `The host ${side}`);
        const ephemeral = (sync, type) => sync.rooms?.join?.[room]?.ephemeral?.events.find((event) => event.type === type);
        await host.ask("PUT", host.room(room, `/typing/${encodeURIComponent(host.id)}`), { typing: true, timeout: 20_000 });
        await guest.hears("typing", (sync) => ephemeral(sync, "m.typing")?.content.user_ids.includes(host.id));
        const said = await guest.say(room, "Read this");
        await until("the message", () => host.event(room, said));
        await host.does(`receipt/m.read/${encodeURIComponent(said)}`, room);
        await guest.hears("the receipt", (sync) => ephemeral(sync, "m.receipt")?.content[said]?.["m.read"]?.[host.id]);
        await host.ask("PUT", `/v3/presence/${encodeURIComponent(host.id)}/status`, { presence: "online", status_msg: `busy ${side}` });
        await guest.hears("presence", (sync) => sync.presence?.events.some((event) => event.sender === host.id && event.content.status_msg === `busy ${side}`));

        const picture = png(64, 64);
        const upload = await host.raw("POST", "media/v3/upload?filename=picture.png", picture, { "content-type": "image/png" });
        const { content_uri } = await upload.json();
        const path = content_uri.replace("mxc://", "");
        const file = await guest.raw("GET", `client/v1/media/download/${path}`);
        assert.equal(file.status, 200);
        assert.deepEqual(Buffer.from(await file.arrayBuffer()), picture);
        const thumbnail = await guest.raw("GET", `client/v1/media/thumbnail/${path}?width=32&height=32&method=scale`);
        assert.equal(thumbnail.status, 200);
        assert.match(thumbnail.headers.get("content-type"), /^image\//);
    });

    test(`a room made ${side} is replaced, and a server that its ACL names is not listened to`, async () => {
        const [host, guest] = side === "here" ? [alice, bob] : [bob, alice];
        const old = await host.create({ preset: "public_chat", room_version: "10", name: "Old" });
        await guest.join(old, host.server.name);
        const { replacement_room: replacement } = await host.does("upgrade", old, { new_version: "11" });
        await until("the tombstone", async () => (await guest.state(old, "m.room.tombstone")).replacement_room === replacement);
        await guest.join(replacement, host.server.name);
        await talk(replacement, [host, guest], 2);
        await host.set(replacement, "m.room.server_acl", { allow: ["*"], deny: [guest.server.name.split(":")[0]], allow_ip_literals: true });
        await until("the ACL", () => guest.state(replacement, "m.room.server_acl"));
        const unheard = await guest.say(replacement, "Nobody hears this").catch(() => undefined);
        const heard = await host.say(replacement, "After the ACL");
        await until("the host's own message", () => host.event(replacement, heard));
        if (unheard) await assert.rejects(host.event(replacement, unheard));
    });
}

test("power changes on both sides of a cut end in the same state", async () => {
    const room = await alice.create({ preset: "public_chat", room_version: "11", power_level_content_override: { users: { [alice.id]: 100, [bob.id]: 100 } } });
    await bob.join(room, ours.name);
    await carol.join(room, ours.name);
    // Before Synapse has the whole state it does not always know that it is in the room.
    await sameState(room, alice, bob);
    await zoe.join(room, theirs.name);
    await sameState(room, alice, bob);
    ours.wire.cut();
    theirs.wire.cut();
    const levels = (more) => ({ users: { [alice.id]: 100, [bob.id]: 100, ...more } });
    await alice.set(room, "m.room.power_levels", levels({ [carol.id]: 50 }));
    await alice.set(room, "m.room.topic", { topic: "from here" });
    await alice.does("ban", room, { user_id: zoe.id });
    await bob.set(room, "m.room.power_levels", levels({ [zoe.id]: 50 }));
    await bob.set(room, "m.room.topic", { topic: "from there" });
    await zoe.set(room, "m.room.name", { name: "Zoe's" });
    for (let n = 0; n < 12; n++) await alice.say(room, `here ${n}`).then(() => bob.say(room, `there ${n}`));
    ours.wire.mend();
    theirs.wire.mend();
    // Something new on each side makes each look for what it missed.
    await until("the two to agree", async () => {
        await alice.say(room, "Are you there?");
        await bob.say(room, "Are you?");
        const [here, there] = await Promise.all([alice.stateIds(room), bob.stateIds(room)]);
        return here.join() === there.join();
    }, 90_000);
    for (const reader of [alice, bob]) {
        await until("everything that was said meanwhile", async () => {
            const bodies = await reader.bodies(room, 500);
            return [...Array(12).keys()].every((n) => bodies.includes(`here ${n}`) && bodies.includes(`there ${n}`));
        }, 60_000);
    }
});

test("an encrypted room across the two servers", async () => {
    const here = await (await Person.register(ours.url, `erin-${run}`)).start();
    const there = await (await Person.register(theirs.url, `finn-${run}`)).start();
    try {
        const encryption = { type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } };
        const { room_id: room } = await here.client.createRoom({ preset: "trusted_private_chat", invite: [there.id], initial_state: [encryption] });
        await there.invited(room);
        await there.client.joinRoom(room, { viaServers: [ours.name] });
        await there.joined(room);
        await untilEvent("the guest", here.client, ["RoomMember.membership", ClientEvent.Sync, "RoomState.events"], () => here.client.getRoom(room)?.getMember(there.id)?.membership === "join");
        for (let n = 1; n <= 10; n++) {
            await here.say(room, `here ${n}`);
            await there.say(room, `there ${n}`);
        }
        for (const [reader, from] of [
            [here, "there"],
            [there, "here"],
        ]) {
            const wanted = [...Array(10).keys()].map((n) => `${from} ${n + 1}`);
            await untilEvent("decrypted messages", reader.client, [RoomEvent.Timeline, MatrixEventEvent.Decrypted, ClientEvent.Sync], () => wanted.every((body) => reader.bodies(room).includes(body)));
        }
    } finally {
        await here.stop();
        await there.stop();
    }
});
