// What the browser tests stand on: a site and a responder that do as each test says, the gateway between the person and
// the site, and people with a browser. What should come of it is said by each test.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

const here = fileURLToPath(new URL(".", import.meta.url));
export const root = join(here, "../..");

/** How long anything may take before it counts as never. */
export const PATIENCE = Number(process.env.PATIENCE ?? 15_000);

const axe = readFileSync(join(here, "node_modules/axe-core/axe.min.js"), "utf8");

const formgate = () => process.env.FORMGATE_BIN ?? join(root, "target/debug/formgate");

/** As tests/browser.rs looks for it. */
function browserPath() {
  const places = ["chromium", "chromium-browser", "google-chrome"].flatMap((name) =>
    process.env.PATH.split(delimiter).map((folder) => join(folder, name)),
  );
  const found = [process.env.CHROMIUM, ...places].find((path) => path && existsSync(path));
  assert(found, "no Chromium in PATH, and CHROMIUM does not name one");
  return found;
}

/** Runs the gateway's program; gives where it listens once it does. */
async function run(args) {
  const child = spawn(formgate(), [...args, "--json"], { stdio: ["ignore", "pipe", process.env.FORMGATE_LOG ? "inherit" : "ignore"] });
  const lines = createInterface({ input: child.stdout });
  const first = await new Promise((resolve, reject) => {
    lines.once("line", resolve);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`formgate ended with ${code}`)));
  });
  lines.on("line", () => {});
  const stop = () =>
    new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode) return resolve();
      child.once("exit", resolve);
      child.kill("SIGKILL");
    });
  return { origin: JSON.parse(first).listening, stop };
}

/** A server that answers as `answer` says, and keeps what it received. */
async function serve(answer) {
  const received = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { method, url, headers } = request;
    const asked = { method, url, path: url.split("?")[0], headers, body: Buffer.concat(chunks) };
    received.push(asked);
    await answer(asked, response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => new Promise((resolve) => (server.close(resolve), server.closeAllConnections()));
  return { origin: `http://127.0.0.1:${server.address().port}`, received, stop };
}

// Everything that formgate.js needs, and not more. Turbo, htmx and Unpoly put style elements into the page.
export const POLICY = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'";

/**
 * A site that stands behind the gateway. `pages` maps "GET /path" to a page, or to a function that gives one or a whole
 * answer `{ status, headers, body }`; it may be changed while the site runs. `said` is what the hooks say, by event.
 */
export async function start({ rules, pages, policy = POLICY }) {
  const said = {};
  const hooks = await serve(async ({ path, body }, response) => {
    const event = path.slice(1);
    const reply = typeof said[event] === "function" ? said[event](JSON.parse(body)) : said[event];
    if (reply === "fails") return response.destroy();
    response.writeHead(reply ? 200 : 204, { "content-type": "application/json" });
    response.end(reply ? JSON.stringify(reply) : undefined);
  });
  const site = await serve(async (asked, response) => {
    let answer = pages[`${asked.method} ${asked.path}`] ?? { status: 404, body: "Nothing here." };
    if (typeof answer === "function") answer = await answer(asked);
    if (answer === "nothing") return response.destroy();
    if (typeof answer === "string") answer = { body: answer };
    const headers = { "content-type": "text/html; charset=utf-8", "content-security-policy": policy, ...answer.headers };
    response.writeHead(answer.status ?? 200, headers);
    response.end(answer.body);
  });
  const folder = mkdtempSync(join(tmpdir(), "formgate-browser-"));
  for (const [name, text] of Object.entries(rules)) {
    writeFileSync(join(folder, `${name}.toml`), text.replaceAll("HOOK", hooks.origin));
  }
  const flags = ["--listen", "127.0.0.1:0", "--backend", site.origin, "--rules", folder];
  const gateway = await run(["serve", ...flags]);
  return {
    origin: gateway.origin,
    pages,
    said,
    /** Forgets what hooks say and what was received. */
    reset() {
      for (const event of Object.keys(said)) delete said[event];
      site.received.length = 0;
      hooks.received.length = 0;
    },
    /** The requests of a method that reached the site. */
    received: (method = "POST") => site.received.filter((asked) => asked.method === method),
    calls: hooks.received,
    async stop() {
      await Promise.all([gateway.stop(), site.stop(), hooks.stop()]);
      rmSync(folder, { recursive: true });
    },
  };
}

/** The demo, as it is. */
export const startDemo = () => run(["demo", "--listen", "127.0.0.1:0"]);

/** A browser for many people. */
export const launch = () =>
  chromium.launch({
    executablePath: browserPath(),
    // As root, as in containers, Chromium has no sandbox.
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
  });

/**
 * A person with a browser of their own. `close` also checks that the page did nothing that its policy forbids, and that
 * no script failed.
 */
export async function person(browser, options = {}) {
  const { allowed = () => false, ...rest } = options;
  const context = await browser.newContext({ locale: "en-GB", ...rest });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  page.scriptless = rest.javaScriptEnabled === false;
  const faults = [];
  page.on("pageerror", (error) => faults.push(`script: ${error.message}`));
  page.on("console", (message) => {
    // Chromium notes every 4xx and 5xx as an error; these are what many tests are about.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) faults.push(message.text());
  });
  const close = async () => {
    await context.close();
    const unexpected = faults.filter((fault) => !allowed(fault));
    assert.deepEqual(unexpected, []);
  };
  return { page, close };
}

/** Fails if axe finds anything that keeps somebody from using the page. */
export async function accessible(page, what = page.url()) {
  if (page.scriptless) return scripted(page, (copy) => accessible(copy, what));
  // In a world of its own, where the page's policy does not hold.
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send("Page.getFrameTree");
  const { executionContextId: contextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
  await session.send("Runtime.evaluate", { contextId, expression: axe });
  const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
    contextId,
    awaitPromise: true,
    returnByValue: true,
    expression: `axe.run({ resultTypes: ["violations"] }).then(({ violations, passes }) => ({
      passed: passes.length,
      found: violations.map(({ id, help, nodes }) => id + ": " + help + ": " + nodes.map((node) => node.html).join(" ")),
    }))`,
  });
  await session.detach();
  assert(!exceptionDetails, `axe failed: ${JSON.stringify(exceptionDetails)}`);
  assert(result.value.passed > 0, "axe looked at nothing");
  assert.deepEqual(result.value.found, [], what);
}

/** Looks at a copy of a page, since axe is a script, and the page's own browser runs none. */
async function scripted(page, look) {
  const [html, url] = [await page.content(), page.url()];
  const context = await page.context().browser().newContext();
  const copy = await context.newPage();
  // All but what it is made of stays away from it.
  await copy.route(url, (route) => route.fulfill({ body: html, contentType: "text/html; charset=utf-8" }));
  await copy.goto(url);
  await look(copy);
  await context.close();
}

/** What has the focus: its name or id, else its tag. */
export const focused = (page) =>
  page.evaluate(() => {
    const { name, id, className, localName } = document.activeElement;
    return name || id || className || localName;
  });

/** What a field is described by, for whoever does not see it. */
export const description = (page, name) =>
  page.locator(`[name="${name}"]`).first().evaluate((field) =>
    (field.getAttribute("aria-describedby") ?? "")
      .split(" ")
      .filter(Boolean)
      .map((id) => document.getElementById(id)?.textContent.trim())
      .join(" | "),
  );

/** The message at the top, once there is one. */
export async function message(page, kind) {
  const place = page.locator(`.formgate-message.formgate-${kind}`);
  await place.waitFor();
  return place;
}
