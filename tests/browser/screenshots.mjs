// The pictures of the docs: each thing that a person may see, as it looks in a wide window and on a telephone. Made from
// the demo, by `node screenshots.mjs` in this folder; pngquant makes the files small, if it is there.

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

import { launch, message, person, POLICY, root, start, startDemo } from "./world.mjs";

const folder = join(root, "docs/screenshots");
mkdirSync(folder, { recursive: true });

const SIZES = { wide: { width: 1280, height: 800 }, phone: { width: 390, height: 800 } };

const browser = await launch();
const demo = await startDemo();

const readyToSend = async (page, path) => {
  await page.goto(demo.origin + path);
  await page.waitForFunction(() => document.readyState === "complete");
};
const send = (page) => page.locator("form button").first().press("Enter");

/** Name, what is done to see it, and how the browser is. */
const PICTURES = {
  demo: { act: (page) => page.goto(demo.origin + "/") },
  stopped: {
    act: async (page) => {
      await page.goto(demo.origin + "/camps/lake/enroll");
      await page.fill("#email", "taken@example.org");
      await page.fill("#age", "10");
      await page.check("[value=dive]");
      await page.setInputFiles("#photo", { name: "ana.png", mimeType: "image/png", buffer: Buffer.from("ana") });
      await page.click("form button");
      await message(page, "error");
    },
    options: { javaScriptEnabled: false },
    whole: true,
  },
  "formgate-js": {
    act: async (page) => {
      await readyToSend(page, "/contact?email=ana&message=Short");
      await send(page);
      await message(page, "error");
    },
  },
  suggestion: {
    act: async (page) => {
      await readyToSend(page, "/newsletter?email=ana%40gmial.com");
      await send(page);
      await message(page, "error");
    },
  },
  changed: {
    act: async (page) => {
      await readyToSend(page, "/newsletter?email=Ana%40Example.org");
      await send(page);
      await page.waitForSelector(".formgate-changed");
    },
  },
  "after-redirect": {
    act: async (page) => {
      await readyToSend(page, "/camps/lake/enroll?city=Berne");
      await send(page);
      await message(page, "notification");
    },
  },
  "sent-elsewhere": {
    act: async (page) => {
      await page.goto(demo.origin + "/camps/forest/enroll");
      await message(page, "information");
    },
  },
  opened: {
    act: async (page) => {
      await page.goto(demo.origin + "/camps/lake/enroll");
      await message(page, "information");
    },
  },
  unavailable: {
    act: async (page) => {
      await readyToSend(page, "/contact?topic=complaint");
      await send(page);
      await message(page, "error");
    },
  },
  dark: {
    act: (page) => PICTURES.stopped.act(page),
    options: { javaScriptEnabled: false, colorScheme: "dark" },
  },
};

async function take(name, size, act, options = {}, whole = false) {
  const { page, close } = await person(browser, { viewport: SIZES[size], ...options });
  await act(page);
  await page.mouse.move(0, 0);
  const path = join(folder, `${name}-${size}.png`);
  await page.screenshot({ path, fullPage: whole, caret: "initial" });
  spawnSync("pngquant", ["--force", "--skip-if-larger", "--strip", "--nofs", "--output", path, "32", path]);
  console.log(`${path.slice(root.length)}: ${statSync(path).size} bytes`);
  await close();
}

for (const [name, { act, options, whole }] of Object.entries(PICTURES)) {
  for (const size of Object.keys(SIZES)) await take(name, size, act, options, whole);
}

// The gateway's own page, where there is none of the form's.
const RULES = `
[form]
submit = "POST /contact"
[fields.email]
type = "email"
msg = "Enter an e-mail address we can write to."
`;
const FORM = `<!doctype html><html lang="en"><title>Contact</title><link rel="icon" href="data:,"><main><h1>Contact</h1>
<form action="/contact" method="post"><label>E-mail <input name="email" value="ana"></label>
<label>City <input name="city" value="Bern"></label> <button>Send</button></form></main></html>`;
const world = await start({
  rules: { contact: RULES },
  policy: POLICY,
  pages: {
    // It can be opened once.
    "GET /form": () => (world.received("GET").length > 1 ? { status: 503, body: "" } : FORM),
  },
});
for (const size of Object.keys(SIZES)) {
  for (const [name, options] of Object.entries({ "plain-page": {}, "plain-page-dark": { colorScheme: "dark" } })) {
    const act = async (page) => {
      world.reset();
      await page.goto(world.origin + "/form");
      await page.click("text=Send");
      await page.waitForSelector(".formgate-page");
    };
    if (name === "plain-page" || size === "wide") await take(name, size, act, options);
  }
  // Nobody knows whether the site has taken it; and what is too large is not even asked about.
  const values = { "site-failed": "ana@example.org", rejected: "y".repeat(1_100_000) };
  for (const [name, value] of Object.entries(values)) {
    world.pages["POST /contact"] = "nothing";
    await take(name, size, async (page) => {
      world.reset();
      await page.goto(world.origin + "/form");
      await page.evaluate((value) => {
        document.querySelector("[name=email]").value = value;
      }, value);
      await page.click("text=Send");
      await page.waitForSelector(".formgate-page");
    });
  }
  delete world.pages["POST /contact"];
}

// A form that is filled in as it is opened.
const filling = `
[form]
submit = "POST /contact"
load = "GET /contact"
[[rule]]
on = "load"
reply = { jdoc = { name = "Ana Keller", city = "Bern" }, msg = "Welcome back, Ana. We filled in what we know.", msg_type = "information" }
`;
const plain = readFileSync(join(root, "examples/frontends/plain.html"), "utf8");
const filled = await start({ rules: { contact: filling }, pages: { "GET /contact": plain } });
for (const size of Object.keys(SIZES)) await take("prefilled", size, (page) => page.goto(filled.origin + "/contact"));
await Promise.all([browser.close(), demo.stop(), world.stop(), filled.stop()]);
