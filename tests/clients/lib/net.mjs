// What servers need to find and to trust each other on one machine: a certificate authority of our own, and a wire that can be cut.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { once } from "node:events";

/** A certificate authority that lives in a directory and vouches for `localhost`. */
export class Authority {
    constructor(dir) {
        this.dir = dir;
        this.root = join(dir, "ca.pem");
        this.certificate = join(dir, "server.pem");
        this.key = join(dir, "server.key");
        const openssl = (...args) => execFileSync("openssl", args, { cwd: dir, stdio: "pipe" });
        writeFileSync(join(dir, "ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n");
        const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        openssl("req", "-x509", ...ec, "-keyout", "ca.key", "-out", "ca.pem", "-days", "7", "-subj", "/CN=Test authority");
        openssl("req", ...ec, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost");
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.pem", "-days", "7", "-extfile", "ext");
    }
}

/** A port on this machine that nobody uses. */
export async function freePort() {
    const probe = createServer().listen(0, "127.0.0.1");
    await once(probe, "listening");
    const { port } = probe.address();
    probe.close();
    await once(probe, "close");
    return port;
}

/** Carries what arrives at one port to another, until it is cut. */
export class Wire {
    static async lay() {
        const wire = new Wire();
        wire.open = new Set();
        wire.whole = true;
        wire.door = createServer((near) => wire.#carry(near)).listen(0, "127.0.0.1");
        await once(wire.door, "listening");
        wire.port = wire.door.address().port;
        wire.target = await freePort();
        return wire;
    }

    #carry(near) {
        if (!this.whole) return near.destroy();
        const far = connect(this.target, "127.0.0.1");
        for (const [one, other] of [
            [near, far],
            [far, near],
        ]) {
            this.open.add(one);
            one.on("error", () => {});
            one.on("close", () => {
                this.open.delete(one);
                other.destroy();
            });
            one.pipe(other);
        }
    }

    /** Drops every connection, and every new one. */
    cut() {
        this.whole = false;
        for (const socket of this.open) socket.destroy();
    }

    mend() {
        this.whole = true;
    }

    close() {
        this.cut();
        this.door.close();
    }
}
