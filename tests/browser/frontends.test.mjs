// The pages of examples/frontends, each with the real library: what a person sees who is stopped, corrected, sent
// elsewhere, or told that nobody can be asked; with JavaScript and without.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";

import { accessible, description, focused, launch, message, person, POLICY, root, start } from "./world.mjs";

const example = (name) => readFileSync(join(root, "examples/frontends", name), "utf8");
const library = (path) => readFileSync(join(root, "tests/browser/node_modules", path));

// Turbo and Unpoly put styles of their own into the page, for progress bars.
const OWN_STYLES = `${POLICY}; style-src 'self' 'unsafe-inline'`;

const FRONTENDS = [
  { name: "plain", page: "plain.html" },
  { name: "formgate.js", page: "formgate-js.html" },
  { name: "htmx 2", page: "htmx.html", files: { "/htmx.min.js": "htmx.org/dist/htmx.min.js" } },
  { name: "htmx 4", page: "htmx.html", files: { "/htmx.min.js": "htmx4/dist/htmx.min.js" } },
  { name: "Turbo", page: "turbo.html", policy: OWN_STYLES, files: { "/turbo.es2017-esm.js": "@hotwired/turbo/dist/turbo.es2017-esm.js" } },
  { name: "Unpoly", page: "unpoly.html", policy: OWN_STYLES, files: { "/unpoly.min.js": "unpoly/unpoly.min.js", "/unpoly.min.css": "unpoly/unpoly.min.css" } },
];

const shown = (title, text) => `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/_formgate/formgate.css"></head>
<body><main><h1>${title}</h1><p>${text}</p></main></body></html>`;

// What a site answers to htmx, and what to everybody else.
const taken = ({ headers }) =>
  headers["hx-request"] && !headers["hx-boosted"] ? "<p id=thanks>Thank you.</p>" : { status: 303, headers: { location: "/thanks" } };

let browser, world;

before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
});
afterEach(async () => {
  await world?.stop();
  world = undefined;
});

async function open({ page: file, policy, files = {} }, options) {
  const pages = {
    "GET /contact": example(file),
    "POST /contact": taken,
    "GET /thanks": shown("Thank you", "We have your message."),
    "GET /elsewhere": shown("Elsewhere", "It is answered here."),
  };
  for (const [path, from] of Object.entries(files)) {
    const type = path.endsWith(".css") ? "text/css" : "text/javascript";
    pages[`GET ${path}`] = { headers: { "content-type": type }, body: library(from) };
  }
  const hook = `
[[hook]]
on = "preprocess"
url = "HOOK/preprocess"
`;
  world = await start({ rules: { contact: example("rules/contact.toml").replace("[[case]]", hook + "\n[[case]]") }, pages, policy });
  const { page, close } = await person(browser, options);
  await page.goto(world.origin + "/contact");
  return { page, close };
}

/** Goes to an element as somebody does who has no mouse. */
async function tabTo(page, selector) {
  for (let press = 0; press < 40; press += 1) {
    if (await page.evaluate((selector) => document.activeElement.matches(selector), selector)) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`${selector} cannot be reached by the keyboard`);
}

/** Types into the fields, with the keyboard alone. */
async function fill(page, fields) {
  for (const [name, value] of Object.entries(fields)) {
    await tabTo(page, `[name=${name}]`);
    await page.keyboard.press("Control+A");
    await page.keyboard.type(value);
  }
}

const GOOD = { name: "Ana", email: "ana@example.org", city: "Bern", message: "When do you open?" };

const isHtmx = ({ name }) => name.startsWith("htmx");

/** Presses the button with the keyboard alone. */
async function send(page) {
  await tabTo(page, "form button");
  await page.keyboard.press("Enter");
}

/** The person is stopped, reads why, corrects it, and is accepted. */
async function stopAndCorrect(page, frontend) {
  await fill(page, { ...GOOD, email: "ana", city: "Lausanne", message: "When?" });
  await send(page);
  const place = await message(page, "error");
  assert.equal(await place.getAttribute("role"), "alert");
  const text = await place.innerText();
  assert.match(text, /Enter an e-mail address we can write to\./);
  assert.match(text, /Write us at least ten characters\./);
  assert.match(text, /Nothing was submitted\./);
  assert.deepEqual(world.received(), []);
  assert.equal(await page.locator("form").count(), 1);
  for (const [name, value] of [["name", "Ana"], ["email", "ana"], ["city", "Lausanne"], ["message", "When?"]]) {
    assert.equal(await page.inputValue(`[name=${name}]`), value, name);
  }
  if (!isHtmx(frontend)) {
    assert.equal(await description(page, "email"), "Enter an e-mail address we can write to.");
    assert.equal(await page.getAttribute("[name=email]", "aria-invalid"), "true");
    assert.equal(await focused(page), "email");
  }
  await accessible(page, `${frontend.name}: stopped`);
  await fill(page, { email: "ana@example.org", message: "When do you open?" });
  await send(page);
  await page.locator("text=Thank you").first().waitFor();
  assert.equal(world.received().length, 1);
  const sent = Object.fromEntries(new URLSearchParams(world.received()[0].body.toString()));
  assert.deepEqual(sent, { ...GOOD, city: "Lausanne" });
  await accessible(page, `${frontend.name}: accepted`);
}

/** A field is changed, and the person is told of it. */
async function correctedCity(page, frontend) {
  await fill(page, { ...GOOD, city: "Berne" });
  await send(page);
  const place = await message(page, "notification");
  assert.match(await place.innerText(), /We corrected the city\./);
  await page.locator("text=Thank you").first().waitFor();
  assert.equal(new URLSearchParams(world.received()[0].body.toString()).get("city"), "Bern");
  await accessible(page, `${frontend.name}: changed`);
}

/** The person is sent elsewhere, and reads why over there. */
async function sentElsewhere(page, frontend) {
  await fill(page, { ...GOOD, city: "Elsewhere" });
  await send(page);
  await page.waitForURL("**/elsewhere");
  assert.match(await (await message(page, "information")).innerText(), /That is answered over there\./);
  assert.deepEqual(world.received(), []);
  await accessible(page, `${frontend.name}: elsewhere`);
}

/** Nobody can be asked. */
async function unavailable(page, frontend) {
  world.said.preprocess = "fails";
  await fill(page, GOOD);
  await send(page);
  await page.locator("text=could not be checked just now").first().waitFor();
  await page.locator("text=Nothing was submitted.").first().waitFor();
  assert.deepEqual(world.received(), []);
  await accessible(page, `${frontend.name}: unavailable`);
}

for (const frontend of FRONTENDS) {
  for (const [what, act] of Object.entries({ stopAndCorrect, correctedCity, sentElsewhere, unavailable })) {
    test(`${frontend.name}: ${what}`, async () => {
      const { page, close } = await open(frontend);
      await act(page, frontend);
      await close();
    });
  }
  if (frontend.name === "plain") continue;
  test(`${frontend.name}, without JavaScript`, async () => {
    const { page, close } = await open(frontend, { javaScriptEnabled: false });
    await stopAndCorrect(page, { name: `${frontend.name} without JavaScript` });
    await close();
  });
}
