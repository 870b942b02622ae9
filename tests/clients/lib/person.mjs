// A person with one matrix-js-sdk client: what the conversations need to do and to wait for.
import * as sdk from "matrix-js-sdk";

// The client narrates; a failing test is easier to read without it.
if (!process.env.MYELIN_CLIENT_LOG) {
    for (const level of ["log", "debug", "info", "warn", "error", "trace"]) console[level] = () => {};
}

export const { EventType, RelationType, ClientEvent, RoomEvent, MatrixEventEvent } = sdk;

/** Waits until `look` gives something truthy, looking again whenever `emitter` reports one of `events`. */
export async function until(what, emitter, events, look, limit = 30_000) {
    let check, timer;
    try {
        return await new Promise((resolve, reject) => {
            timer = setTimeout(() => reject(new Error(`waited ${limit / 1000} s for: ${what}`)), limit);
            check = () => {
                try {
                    const seen = look();
                    if (seen) resolve(seen);
                } catch (error) {
                    reject(error);
                }
            };
            for (const event of events) emitter.on(event, check);
            check();
        });
    } finally {
        clearTimeout(timer);
        for (const event of events) emitter.off(event, check);
    }
}

export class Person {
    constructor(client, name, password) {
        this.client = client;
        this.name = name;
        this.password = password;
        this.secretKeys = {};
        // Every delivery of a timeline event from the server, to notice doubles that the client would hide.
        this.delivered = [];
    }

    static async register(url, name) {
        const password = `correct horse ${name}`;
        const anonymous = sdk.createClient({ baseUrl: url });
        const account = await anonymous.registerRequest({
            username: name,
            password,
            initial_device_display_name: `${name}'s first`,
            auth: { type: "m.login.dummy" },
        });
        return Person.open(url, name, password, account);
    }

    static async login(url, name, password, device = `${name}'s next`) {
        const anonymous = sdk.createClient({ baseUrl: url });
        const account = await anonymous.loginRequest({
            type: "m.login.password",
            identifier: { type: "m.id.user", user: name },
            password,
            initial_device_display_name: device,
        });
        return Person.open(url, name, password, account);
    }

    static async open(url, name, password, account) {
        let person;
        const client = sdk.createClient({
            baseUrl: url,
            userId: account.user_id,
            accessToken: account.access_token,
            deviceId: account.device_id,
            timelineSupport: true,
            localTimeoutMs: 60_000,
            verificationMethods: ["m.sas.v1"],
            cryptoCallbacks: {
                getSecretStorageKey: async ({ keys }) => {
                    const id = Object.keys(keys).find((id) => person.secretKeys[id] ?? person.recoveryKey);
                    return id ? [id, person.secretKeys[id] ?? person.recoveryKey] : null;
                },
                cacheSecretStorageKey: (id, _info, key) => {
                    person.secretKeys[id] = key;
                },
            },
        });
        person = new Person(client, name, password);
        await client.initRustCrypto({ useIndexedDB: false });
        return person;
    }

    async start() {
        // A large window: this client drops what stands before its own last message in a sync that has a gap.
        await this.client.startClient({ initialSyncLimit: 500, threadSupport: true, pollTimeout: 20_000, lazyLoadMembers: true });
        this.client.on(RoomEvent.Timeline, (event, _room, toStart, _removed, data) => {
            if (data?.liveEvent && !toStart && event.getId()?.startsWith("$")) this.delivered.push(event.getId());
        });
        await until(`${this.name}'s first sync`, this.client, [ClientEvent.Sync], () => this.client.isInitialSyncComplete());
        return this;
    }

    async stop() {
        this.client.stopClient();
    }

    get id() {
        return this.client.getUserId();
    }

    get crypto() {
        return this.client.getCrypto();
    }

    async joined(roomId, name = roomId) {
        return until(`${this.name} to see ${name}`, this.client, [ClientEvent.Room, RoomEvent.MyMembership, ClientEvent.Sync], () => {
            const room = this.client.getRoom(roomId);
            return room?.getMyMembership() === "join" ? room : undefined;
        });
    }

    async invited(roomId) {
        return until(`${this.name}'s invitation`, this.client, [ClientEvent.Room, RoomEvent.MyMembership, ClientEvent.Sync], () => {
            const room = this.client.getRoom(roomId);
            return room?.getMyMembership() === "invite" ? room : undefined;
        });
    }

    /** Sends, again and again with the same transaction id, as a client does whose server is away. */
    async say(roomId, body, extra = {}) {
        const txn = this.client.makeTxnId();
        const relation = extra["m.relates_to"];
        const thread = relation?.rel_type === "m.thread" ? relation.event_id : null;
        let unsent;
        for (let attempt = 0; ; attempt++) {
            try {
                const sent = unsent
                    ? await this.client.resendEvent(unsent, this.client.getRoom(roomId))
                    : await this.client.sendEvent(roomId, thread, EventType.RoomMessage, { msgtype: "m.text", body, ...extra }, txn);
                return sent.event_id;
            } catch (error) {
                if (attempt > 300 || (error.httpStatus && error.httpStatus < 500)) throw error;
                const events = this.client.getRoom(roomId).getLiveTimeline().getEvents();
                unsent = events.find((event) => event.getTxnId() === txn && event.status === "not_sent");
                // The message may have come back by sync before the connection broke: then it was taken.
                const taken = events.find((event) => event.getUnsigned().transaction_id === txn && !event.status);
                if (taken) return taken.getId();
                await new Promise((done) => setTimeout(done, 50));
            }
        }
    }

    /** The decrypted bodies that this person can read in the room, oldest first. */
    bodies(roomId) {
        return this.messages(roomId).map((event) => event.getContent().body);
    }

    messages(roomId) {
        const room = this.client.getRoom(roomId);
        return room
            .getLiveTimeline()
            .getEvents()
            .filter((event) => event.getType() === "m.room.message" || event.isDecryptionFailure() || event.isEncrypted());
    }

    async reads(roomId, wanted, what = "the messages", limit = 60_000) {
        const events = [RoomEvent.Timeline, MatrixEventEvent.Decrypted, MatrixEventEvent.Replaced, ClientEvent.Sync];
        return until(`${this.name} to read ${what}`, this.client, events, () => wanted(this.bodies(roomId)), limit);
    }

    /** Waits until an event has come to this person. */
    async caughtUp(roomId, eventId) {
        await until(`${this.name} to catch up`, this.client, [RoomEvent.Timeline, ClientEvent.Sync], () => this.client.getRoom(roomId).findEventById(eventId));
    }

    /** Reads backwards until the room's beginning is in the timeline. */
    async scrollToStart(roomId) {
        const timeline = this.client.getRoom(roomId).getLiveTimeline();
        while (await this.client.paginateEventTimeline(timeline, { backwards: true, limit: 100 }));
    }

    /** Everything that was said in the room, from the server, decrypted, oldest first. */
    async history(roomId) {
        const events = [];
        const toEvent = this.client.getEventMapper({ preventReEmit: true });
        for (let from = null; ; ) {
            const page = await this.client.createMessagesRequest(roomId, from, 100, "b");
            events.push(...page.chunk.filter((event) => ["m.room.message", "m.room.encrypted"].includes(event.type)).map((event) => toEvent(event)));
            if (!page.end || page.chunk.length === 0) break;
            from = page.end;
        }
        for (const event of events) await this.client.decryptEventIfNeeded(event);
        return events.reverse();
    }

    async setUpRecovery() {
        this.recoveryKey = undefined;
        await this.crypto.bootstrapCrossSigning({
            authUploadDeviceSigningKeys: async (upload) => {
                await upload(null);
            },
        });
        const created = await this.crypto.createRecoveryKeyFromPassphrase();
        await this.crypto.bootstrapSecretStorage({
            createSecretStorageKey: async () => created,
            setupNewSecretStorage: true,
            setupNewKeyBackup: true,
        });
        this.recoveryKey = created.privateKey;
    }

    /** Waits until the server's backup holds every room key that this client has; the client uploads after a random delay. */
    async backedUp() {
        const held = JSON.parse(await this.crypto.exportRoomKeysAsJson()).length;
        const deadline = performance.now() + 60_000;
        for (;;) {
            const reply = await fetch(`${this.client.baseUrl}/_matrix/client/v3/room_keys/version`, {
                headers: { authorization: `Bearer ${this.client.getAccessToken()}` },
            });
            const { count } = await reply.json();
            if (count >= held) return;
            if (performance.now() > deadline) throw new Error(`the backup holds ${count} of ${held} keys after 60 s`);
            await new Promise((done) => setTimeout(done, 200));
        }
    }
}
