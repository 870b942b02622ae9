// Synapse from PyPI, as the other server. SYNAPSE_PYTHON names a Python that has it.
import { spawn } from "node:child_process";
import { mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { Wire, freePort } from "./net.mjs";

const LOGGING = `version: 1
formatters: { plain: { format: '%(asctime)s %(name)s %(levelname)s %(request)s %(message)s' } }
handlers: { err: { class: logging.StreamHandler, formatter: plain } }
root: { level: INFO, handlers: [err] }
disable_existing_loggers: false
`;

export class Synapse {
    static async start(authority) {
        const synapse = new Synapse();
        synapse.dir = mkdtempSync(join(tmpdir(), "synapse-peer-"));
        synapse.wire = await Wire.lay();
        synapse.name = `127.0.0.1:${synapse.wire.port}`;
        const port = await freePort();
        synapse.url = `http://127.0.0.1:${port}`;
        const limit = { per_second: 10_000, burst_count: 10_000 };
        const config = {
            server_name: synapse.name,
            pid_file: join(synapse.dir, "pid"),
            signing_key_path: join(synapse.dir, "signing.key"),
            log_config: join(synapse.dir, "log.yaml"),
            media_store_path: join(synapse.dir, "media"),
            database: { name: "sqlite3", args: { database: join(synapse.dir, "db") } },
            listeners: [
                { port, bind_addresses: ["127.0.0.1"], type: "http", resources: [{ names: ["client"] }] },
                { port: synapse.wire.target, bind_addresses: ["127.0.0.1"], type: "http", tls: true, resources: [{ names: ["client", "federation"] }] },
            ],
            tls_certificate_path: authority.certificate,
            tls_private_key_path: authority.key,
            federation_custom_ca_list: [authority.root],
            federation_ip_range_blacklist: [],
            ip_range_whitelist: ["127.0.0.0/8", "::1/128"],
            trusted_key_servers: [],
            suppress_key_server_warning: true,
            report_stats: false,
            macaroon_secret_key: "a secret of a test",
            form_secret: "another secret of a test",
            enable_registration: true,
            enable_registration_without_verification: true,
            allow_public_rooms_over_federation: true,
            room_list_publication_rules: [{ action: "allow" }],
            presence: { enabled: true },
            rc_message: limit,
            rc_registration: limit,
            rc_login: { address: limit, account: limit, failed_attempts: limit },
            rc_joins: { local: limit, remote: limit },
            rc_joins_per_room: limit,
            rc_invites: { per_room: limit, per_user: limit, per_issuer: limit },
            rc_room_creation: limit,
            rc_federation: { window_size: 1000, sleep_limit: 10_000, sleep_delay: 10, reject_limit: 10_000, concurrent: 50 },
            // A peer that was away is to be tried again while the test waits for it.
            federation: { destination_min_retry_interval: "1s", destination_max_retry_interval: "2s", destination_retry_multiplier: 1 },
        };
        // JSON is YAML.
        writeFileSync(join(synapse.dir, "hs.yaml"), JSON.stringify(config));
        writeFileSync(join(synapse.dir, "log.yaml"), LOGGING);
        const python = process.env.SYNAPSE_PYTHON;
        const options = ["-m", "synapse.app.homeserver", "-c", "hs.yaml"];
        const run = (...more) => {
            const output = openSync(join(synapse.dir, "log"), "a");
            return spawn(python, [...options, ...more], { cwd: synapse.dir, stdio: ["ignore", output, output] });
        };
        await once(run("--generate-keys"), "exit");
        synapse.process = run();
        synapse.exited = once(synapse.process, "exit");
        for (const began = performance.now(); ; ) {
            const reply = await fetch(`${synapse.url}/_matrix/client/versions`).catch(() => undefined);
            if (reply?.ok) return synapse;
            if (synapse.process.exitCode !== null) throw new Error(`Synapse stopped at start; see ${synapse.dir}/log`);
            if (performance.now() - began > 60_000) throw new Error(`no answer of Synapse in 60 s; see ${synapse.dir}/log`);
            await new Promise((done) => setTimeout(done, 100));
        }
    }

    async stop() {
        this.process.kill("SIGTERM");
        await this.exited;
        this.wire.close();
        if (!process.env.MYELIN_KEEP) rmSync(this.dir, { recursive: true, force: true });
    }
}
