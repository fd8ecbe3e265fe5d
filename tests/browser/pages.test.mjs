// The gateway's own pages, in every language and for every outcome, and pages that it changes: axe finds nothing, in
// the light and in the dark, and they fit a telephone.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { accessible, launch, person, start } from "./world.mjs";

const RULES = {
  contact: `
[form]
title = "Contact"
submit = "POST /contact"
[fields.email]
type = "email"
required = true
[[hook]]
on = "preprocess"
url = "HOOK/preprocess"
`,
};

const FORM = `<!doctype html><html lang="en"><head><title>Contact</title><link rel="icon" href="data:,"></head><body><main><h1>Contact</h1>
<form action="/contact" method="post"><p><label>E-mail <input name="email" value="ana@example.org"></label></p>
<p><label>A name without any space in it, and quite a value
<input name="very_long_name_of_a_field_that_somebody_must_have_generated" value="x"></label></p><button>Send</button></form></main></body></html>`;

let browser, world;

before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
});
afterEach(async () => {
  await world?.stop();
});

/** Opens the form, which then cannot be had any more, and sends it. */
async function standsForItself(locale, colorScheme, act) {
  world.reset();
  world.pages["GET /form"] = FORM;
  const { page, close } = await person(browser, { locale, colorScheme, viewport: { width: 320, height: 640 } });
  await page.goto(world.origin + "/form");
  delete world.pages["GET /form"];
  await act(page);
  await page.click("button");
  await page.waitForSelector(".formgate-page");
  assert.equal(await page.getAttribute("html", "lang"), locale.slice(0, 2));
  await accessible(page, `${locale}, ${colorScheme}: ${await page.title()}`);
  const [needed, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert(needed <= width, `${needed} pixels wide`);
  await close();
}

const OUTCOMES = {
  stopped: (page) => page.fill("[name=email]", "ana"),
  "stopped by a hook": async (page) => {
    world.said.preprocess = { msg: "Not <b>yet</b>.\nReally.", errors: { email: "No.", other: "x".repeat(80) } };
    await page.fill(`[name^=very]`, "y".repeat(200));
  },
  unavailable: async () => {
    world.said.preprocess = "fails";
  },
  rejected: (page) =>
    page.evaluate(() => {
      document.querySelector("[name^=very]").value = "y".repeat(1_100_000);
    }),
  "backend failed": async () => {
    world.pages["POST /contact"] = "nothing";
  },
};

for (const locale of ["en-GB", "de-CH", "fr-FR", "es-ES"]) {
  test(`pages that stand for themselves: ${locale}`, async () => {
    world = await start({ rules: RULES, pages: {} });
    for (const act of Object.values(OUTCOMES)) await standsForItself(locale, "light", act);
    await standsForItself(locale, "dark", OUTCOMES["stopped by a hook"]);
  });
}

test("pages that are changed: opened with a message, stopped with input that has no place", async () => {
  const hook = (on) => `[[hook]]\non = "${on}"\nurl = "HOOK/${on}"\n`;
  const rules = RULES.contact.replace("[fields.email]", 'load = "GET /form"\n[fields.email]') + hook("load");
  // Shown at another address, the page gets a base, which the policy of the other tests forbids.
  const policy = "default-src 'self'; img-src data:";
  world = await start({ rules: { contact: rules }, policy, pages: { "GET /form": FORM } });
  world.said.load = { msg: "Welcome.", jdoc: { email: "eva@example.org" }, focus_on: "email" };
  const { page, close } = await person(browser, { viewport: { width: 320, height: 640 } });
  await page.goto(world.origin + "/form");
  assert.equal(await page.inputValue("[name=email]"), "eva@example.org");
  assert.match(await page.locator(".formgate-message").innerText(), /Welcome\./);
  await accessible(page, "opened");

  world.said.preprocess = { errors: { email: "Not this one." } };
  await page.evaluate(() => {
    document.querySelector("form").insertAdjacentHTML("beforeend", '<input name="row_2" aria-label="Row" value="Second row">');
  });
  await page.click("button");
  await page.waitForSelector(".formgate-entries");
  assert.match(await page.locator(".formgate-entries").innerText(), /Second row/);
  assert.equal(await page.evaluate(() => document.activeElement.name), "email");
  await accessible(page, "stopped");
  await close();
});

test("messages can be read on pages that know nothing of them, in any colours", async () => {
  const styles = [
    ["light", ""],
    ["dark", ""],
    ["dark", "<style>:root { color-scheme: light dark }</style>"],
    ["dark", "<style>body { background: #111; color: #eee } a, label { color: inherit }</style>"],
    ["light", "<style>body { background: #003; color: #fff; }</style>"],
  ];
  const kinds = ["error", "warning", "notification", "information", "success"];
  world = await start({ rules: {}, policy: "default-src 'self' 'unsafe-inline'; img-src data:", pages: {} });
  for (const [colorScheme, style] of styles) {
    const messages = kinds.map((kind) => `<div class="formgate-message formgate-${kind}"><p>A ${kind} with <a href="/">a link</a>.</p></div>`).join("");
    const notes = ["error", "changed", "note"].map((kind) => `<span class="formgate-field-${kind}">A field's ${kind}.</span>`).join("");
    world.pages["GET /kinds"] = `<!doctype html><html lang="en"><head><title>Kinds</title><link rel="icon" href="data:,">${style}
      <link rel="stylesheet" href="/_formgate/formgate.css"></head><body><main><h1>Kinds</h1>${messages}${notes}
      <p><span class="formgate-field-suggestion"><button type="button" class="formgate-take">Use it</button></span></p></main></body></html>`;
    const { page, close } = await person(browser, { colorScheme });
    await page.goto(world.origin + "/kinds");
    await accessible(page, `${colorScheme} ${style}`);
    await close();
  }
});

test("with forced colours everything that is marked by a colour has a border", async () => {
  world = await start({ rules: {}, pages: { "GET /kinds": `<!doctype html><html lang="en"><title>Kinds</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/_formgate/formgate.css"><main><h1>Kinds</h1><div class="formgate-message formgate-error">No.</div><span class="formgate-field-error">No.</span></main></html>` } });
  const { page, close } = await person(browser, { forcedColors: "active" });
  await page.goto(world.origin + "/kinds");
  const widths = await page.$$eval("[class^=formgate]", (all) => all.map((one) => getComputedStyle(one).borderTopWidth));
  assert.deepEqual(widths, ["1px", "1px"]);
  await accessible(page);
  await close();
});
