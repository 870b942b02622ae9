// Somebody who uses the client-server API by hand: for conversations between servers, where the client is not what is tested.

/** Asks again and again until the answer is truthy; what is waited for travels between servers. */
export async function until(what, look, limit = 30_000) {
    const began = performance.now();
    let last;
    for (;;) {
        try {
            const seen = await look();
            if (seen) return seen;
            last = undefined;
        } catch (error) {
            last = error;
        }
        if (performance.now() - began > limit) throw new Error(`waited ${limit / 1000} s for: ${what}${last ? ` (${last.message})` : ""}`);
        await new Promise((done) => setTimeout(done, 25));
    }
}

const segment = encodeURIComponent;

export class User {
    static async register(server, name) {
        const user = new User();
        user.server = server;
        const body = { username: name, password: `correct horse ${name}`, auth: { type: "m.login.dummy" } };
        const account = await user.ask("POST", "/v3/register", body);
        user.id = account.user_id;
        user.token = account.access_token;
        user.device = account.device_id;
        user.txn = 0;
        return user;
    }

    async raw(method, path, body, headers = {}) {
        return fetch(`${this.server.url}/_matrix/${path}`, {
            method,
            body,
            headers: { ...(this.token ? { authorization: `Bearer ${this.token}` } : {}), ...headers },
        });
    }

    async ask(method, path, body) {
        const reply = await this.raw(method, `client${path}`, body === undefined ? undefined : JSON.stringify(body));
        const answer = await reply.json();
        if (!reply.ok) {
            const error = new Error(`${method} ${path}: ${reply.status} ${answer.errcode} ${answer.error}`);
            error.errcode = answer.errcode;
            error.status = reply.status;
            throw error;
        }
        return answer;
    }

    room(room, rest = "") {
        return `/v3/rooms/${segment(room)}${rest}`;
    }

    async create(options) {
        return (await this.ask("POST", "/v3/createRoom", options)).room_id;
    }

    /** Joins through a server. */
    async join(room, via) {
        return (await this.ask("POST", `/v3/join/${segment(room)}?server_name=${segment(via)}&via=${segment(via)}`, {})).room_id;
    }

    async knock(room, via) {
        return this.ask("POST", `/v3/knock/${segment(room)}?server_name=${segment(via)}&via=${segment(via)}`, {});
    }

    async does(what, room, body = {}) {
        return this.ask("POST", this.room(room, `/${what}`), body);
    }

    async send(room, type, content) {
        const path = this.room(room, `/send/${segment(type)}/t${this.txn++}`);
        return (await this.ask("PUT", path, content)).event_id;
    }

    async say(room, body, more = {}) {
        return this.send(room, "m.room.message", { msgtype: "m.text", body, ...more });
    }

    async set(room, type, content, key = "") {
        return (await this.ask("PUT", this.room(room, `/state/${segment(type)}/${segment(key)}`), content)).event_id;
    }

    async state(room, type, key = "") {
        return this.ask("GET", this.room(room, `/state/${segment(type)}/${segment(key)}`));
    }

    /** The IDs of the present state, sorted. */
    async stateIds(room) {
        return (await this.ask("GET", this.room(room, "/state"))).map((event) => event.event_id).sort();
    }

    async membership(room, user) {
        const members = await this.ask("GET", this.room(room, "/members"));
        return members.chunk.find((event) => event.state_key === user)?.content.membership;
    }

    async event(room, id) {
        return this.ask("GET", this.room(room, `/event/${segment(id)}`));
    }

    /** The latest messages' bodies, oldest first. */
    async bodies(room, limit = 100) {
        const page = await this.ask("GET", this.room(room, `/messages?dir=b&limit=${limit}`));
        return page.chunk
            .filter((event) => event.type === "m.room.message" && event.content.body !== undefined)
            .map((event) => event.content.body)
            .reverse();
    }

    /** Everything that is new since the last time. */
    async sync(timeout = 0) {
        const since = this.since ? `&since=${segment(this.since)}` : "";
        const answer = await this.ask("GET", `/v3/sync?timeout=${timeout}${since}`);
        this.since = answer.next_batch;
        return answer;
    }

    /** Syncs until an answer has what is looked for. */
    async hears(what, look, limit = 30_000) {
        return until(what, async () => look(await this.sync(500)), limit);
    }
}
