// A web client in headless Chromium: matrix-js-sdk in a page, driven through what a person sees and clicks.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { mkdirSync, readFileSync } from "node:fs";
import { join, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { once } from "node:events";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { Server } from "./lib/server.mjs";
import { Person } from "./lib/person.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const shots = process.env.MYELIN_SHOTS;
const run = Date.now().toString(36);
let server, site, browser, alice, bob;

before(async () => {
    server = await Server.start();
    site = await serve(await bundle());
    browser = await chromium.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
    });
    for (const name of ["alice", "bob"]) await Person.register(server.url, `${name}-${run}`);
});

after(async () => {
    await browser?.close();
    site?.close();
    await server?.stop();
});

/** The page and everything it imports, as files by path. */
async function bundle() {
    const built = await build({
        entryPoints: [join(here, "page/app.mjs")],
        bundle: true,
        format: "esm",
        platform: "browser",
        define: { global: "globalThis" },
        write: false,
        outdir: "/",
        loader: { ".wasm": "file" },
        logLevel: "error",
    });
    const files = new Map(built.outputFiles.map((file) => [file.path, file.contents]));
    files.set("/", readFileSync(join(here, "page/index.html")));
    const wasm = join(here, "node_modules/@matrix-org/matrix-sdk-crypto-wasm/pkg/matrix_sdk_crypto_wasm_bg.wasm");
    files.set("/pkg/matrix_sdk_crypto_wasm_bg.wasm", readFileSync(wasm));
    return files;
}

async function serve(files) {
    const types = { ".js": "text/javascript", ".wasm": "application/wasm" };
    const http = createServer((request, reply) => {
        const path = new URL(request.url, "http://page").pathname;
        const file = files.get(path);
        reply.writeHead(file ? 200 : 404, { "content-type": types[path.slice(path.lastIndexOf("."))] ?? "text/html; charset=utf-8" });
        reply.end(file);
    }).listen(0, "127.0.0.1");
    await once(http, "listening");
    return http;
}

async function open(name) {
    const page = await (await browser.newContext({ viewport: { width: 760, height: 620 } })).newPage();
    page.on("pageerror", (error) => process.stderr.write(`page error: ${error}\n`));
    await page.goto(`http://127.0.0.1:${site.address().port}/`);
    await page.fill("#homeserver", server.url);
    await page.fill("#user", `${name}-${run}`);
    await page.fill("#password", `correct horse ${name}-${run}`);
    await page.click("#login");
    await page.waitForSelector("#rooms", { state: "visible", timeout: 30_000 });
    return page;
}

async function shot(page, name) {
    if (!shots) return;
    mkdirSync(shots, { recursive: true });
    await page.screenshot({ path: join(shots, `${name}.png`) });
}

test("two people log in from a web page", async () => {
    [alice, bob] = await Promise.all([open("alice"), open("bob")]);
});

test("one creates a room, the other is invited and joins", async () => {
    await alice.fill("#new-room", "Garden");
    await alice.fill("#new-guest", `@bob-${run}:localhost`);
    await alice.click("#create");
    await alice.waitForSelector(".room:has-text('Garden')");
    await bob.click(".invitation:has-text('Garden') button");
    await bob.click(".room:has-text('Garden')");
    await alice.click(".room:has-text('Garden')");
    await alice.waitForSelector("#members:has-text('2')");
});

test("they talk", async () => {
    await alice.fill("#message", "Shall we plant the beans?");
    await alice.press("#message", "Enter");
    await bob.waitForSelector(".text:has-text('Shall we plant the beans?')");
    await bob.fill("#message", "Yes, tomorrow.");
    await bob.press("#message", "Enter");
    await alice.waitForSelector(".text:has-text('Yes, tomorrow.')");
});

test("typing is shown while the other types, and goes away", async () => {
    await bob.type("#message", "I am still");
    await alice.waitForSelector("#typing:has-text('bob')", { timeout: 10_000 });
    await shot(alice, "typing");
    await bob.fill("#message", "");
    await alice.waitForFunction(() => document.querySelector("#typing").textContent === "", undefined, { timeout: 40_000 });
});

test("a read receipt appears beside the message", async () => {
    await alice.fill("#message", "Good.");
    await alice.press("#message", "Enter");
    await bob.waitForSelector(".text:has-text('Good.')");
    await alice.waitForSelector(".mine:has-text('Good.') .read:has-text('bob')", { timeout: 15_000 });
});

test("an image is sent, stored, and shown with its thumbnail", async () => {
    await alice.setInputFiles("#image", { name: "beans.png", mimeType: "image/png", buffer: await picture() });
    const image = await bob.waitForSelector("img.picture", { timeout: 20_000 });
    await bob.waitForFunction((img) => img.complete && img.naturalWidth > 0, image);
    const size = await image.evaluate((img) => [img.naturalWidth, img.naturalHeight]);
    assert.ok(size[0] > 0 && size[0] <= 320 && size[1] <= 240, `the thumbnail is ${size.join("×")}`);
    await shot(alice, "alice");
    await shot(bob, "bob");
});

/** A 1600×1200 PNG, drawn by the browser. */
async function picture() {
    const data = await alice.evaluate(() => {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [1600, 1200];
        const draw = canvas.getContext("2d");
        const sky = draw.createLinearGradient(0, 0, 0, 1200);
        sky.addColorStop(0, "#7ec8e3");
        sky.addColorStop(1, "#3a7d44");
        draw.fillStyle = sky;
        draw.fillRect(0, 0, 1600, 1200);
        draw.fillStyle = "#fff3b0";
        draw.arc(1200, 280, 140, 0, 7);
        draw.fill();
        return canvas.toDataURL("image/png").split(",")[1];
    });
    return Buffer.from(data, "base64");
}
