// Starts, kills and stops the server under test in a directory of its own.
// MYELIN_BIN names the binary; MYELIN_URL, when set, names a server that is already running and is then left alone.
import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync, rmSync, openSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { Wire, freePort } from "./net.mjs";

export class Server {
    /** Writes a configuration for people who register themselves, and starts the server; with an authority, one that others can reach. */
    static async start(authority) {
        const server = new Server();
        if (process.env.MYELIN_URL) {
            server.url = process.env.MYELIN_URL;
            return server;
        }
        server.dir = mkdtempSync(join(tmpdir(), "myelin-clients-"));
        server.port = await freePort();
        server.url = `http://127.0.0.1:${server.port}`;
        server.name = "localhost";
        let outside = ["[federation]", "enabled = false"];
        if (authority) {
            server.wire = await Wire.lay();
            server.name = `localhost:${server.wire.port}`;
            outside = [
                "[tls]",
                `addresses = ["127.0.0.1:${server.wire.target}"]`,
                `certificate = "${authority.certificate}"`,
                `key = "${authority.key}"`,
                "[federation]",
                "notaries = []",
                `extra_root_certificates = ["${authority.root}"]`,
                'allowed_addresses = ["127.0.0.0/8", "::1/128"]',
            ];
        }
        writeFileSync(
            join(server.dir, "myelin.toml"),
            [
                `server_name = "${server.name}"`,
                ...outside,
                "[listen]",
                `addresses = ["127.0.0.1:${server.port}"]`,
                "[storage]",
                `path = "${join(server.dir, "data")}"`,
                "[registration]",
                "enabled = true",
                "open = true",
                "[passwords]",
                'memory = "8 KiB"',
                "[limits]",
                "rates = false",
                "",
            ].join("\n"),
        );
        await server.launch();
        return server;
    }

    /** Starts the process and waits until it answers; returns how many milliseconds that took. */
    async launch() {
        const began = performance.now();
        const output = openSync(join(this.dir, "server.log"), "a");
        this.process = spawn(process.env.MYELIN_BIN, ["--config", join(this.dir, "myelin.toml")], {
            stdio: ["ignore", output, output],
            // Variables that begin with MYELIN_ are configuration to the server; those of the tests are not meant for it.
            env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("MYELIN_"))),
        });
        this.exited = once(this.process, "exit");
        while (!(await this.answers())) {
            if (this.process.exitCode !== null) throw new Error(`the server stopped at start; see ${this.dir}/server.log`);
            if (performance.now() - began > 30_000) throw new Error(`no answer in 30 s; see ${this.dir}/server.log`);
            await new Promise((done) => setTimeout(done, 10));
        }
        return performance.now() - began;
    }

    async answers() {
        return fetch(`${this.url}/_matrix/client/versions`).then(
            (reply) => reply.ok,
            () => false,
        );
    }

    /** SIGKILL: nothing is flushed, nobody is told. */
    async kill() {
        this.process.kill("SIGKILL");
        await this.exited;
    }

    /** SIGTERM; returns how many milliseconds the server took to leave. */
    async stop() {
        if (!this.process) return 0;
        const began = performance.now();
        this.process.kill("SIGTERM");
        await this.exited;
        this.wire?.close();
        if (!process.env.MYELIN_KEEP) rmSync(this.dir, { recursive: true, force: true });
        return performance.now() - began;
    }
}
