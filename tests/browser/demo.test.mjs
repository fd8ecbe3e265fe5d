// The demo, as a person meets it who follows the links of its start page: with a browser as it is, with the keyboard
// alone, and without JavaScript. Every page on the way is looked at by axe.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { accessible, description, focused, launch, message, person, startDemo } from "./world.mjs";

let browser, demo;

before(async () => {
  browser = await launch();
  demo = await startDemo();
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});

async function meet(options) {
  const { page, close } = await person(browser, options);
  return { page, close, open: (path) => page.goto(demo.origin + path) };
}

/** Follows the link of a try, and sends the form as the link fills it in. */
async function attempt(page, name) {
  await page.goto(demo.origin + "/");
  await page.click(`#${name} a`);
  await page.waitForFunction(() => document.readyState === "complete");
  await page.locator("form button").first().press("Enter");
}

const text = async (page, kind) => (await message(page, kind)).innerText();

test("the pages of the site can be used by everybody", async () => {
  const { page, close, open } = await meet();
  for (const path of ["/", "/camps/lake/enroll", "/camps/forest/enroll", "/contact", "/newsletter", "/received", "/press", "/pay/7", "/nothing"]) {
    await open(path);
    await accessible(page, path);
  }
  await close();
});

test("the enrolment opens with what the hook says about its places", async () => {
  const { page, close, open } = await meet();
  await open("/camps/lake/enroll");
  assert.match(await text(page, "information"), /Three places are left\./);
  await open("/camps/forest/enroll");
  assert.equal(page.url(), demo.origin + "/camps/forest/full");
  assert.match(await text(page, "information"), /The forest camp is full\./);
  // Said once, and gone.
  await page.reload();
  assert.equal(await page.locator(".formgate-message").count(), 0);
  await close();
});

test("two fields are wrong: the form comes back, is corrected with the keyboard alone, and goes through", async () => {
  const { page, close } = await meet();
  await attempt(page, "fields");
  const said = await text(page, "error");
  assert.match(said, /Enter an e-mail address we can write to\./);
  assert.match(said, /Campers are between 6 and 17 years old\./);
  assert.match(said, /Nothing was submitted\./);
  assert.equal(await focused(page), "email");
  assert.equal(await page.inputValue("#email"), "ana");
  assert.equal(await page.inputValue("#age"), "5");
  assert.equal(await description(page, "email"), "Enter an e-mail address we can write to.");
  assert.equal(await page.inputValue("#health"), "Hay fever", "what is hidden is the page's own");
  await accessible(page, "enrolment: stopped");
  await page.keyboard.press("End");
  await page.keyboard.type("@example.org");
  await page.keyboard.press("Tab");
  assert.equal(await focused(page), "age");
  await page.keyboard.type("11"); // in the place of what tabbing selects
  while ((await focused(page)) !== "interests") await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Space"); // sailing, too
  while ((await page.evaluate(() => document.activeElement.localName)) !== "button") await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.match(await text(page, "success"), /Ana sleeps in cabin Heron\./);
  assert.match(page.url(), /\/enrolments\/\d+$/);
  assert.match(await page.innerText("main"), /swim, sail/);
  await accessible(page, "enrolment: accepted");
  await close();
});

test("one field is missing, and has the focus", async () => {
  const { page, close } = await meet();
  await attempt(page, "guardian");
  assert.match(await text(page, "error"), /Ana is under 16 and needs a guardian\./);
  assert.equal(await focused(page), "guardian[name]");
  await accessible(page, "enrolment: guardian");
  await close();
});

test("the office refuses two fields, one of them a group", async () => {
  const { page, close } = await meet();
  await attempt(page, "office");
  const said = await text(page, "error");
  assert.match(said, /The camp office cannot take this enrolment yet\./);
  assert.match(said, /Activities, up to three: Diving is for campers of 12 years and more\./);
  assert.equal(await description(page, "interests"), "Diving is for campers of 12 years and more.");
  assert.deepEqual(await page.$$eval("[name=interests]:checked", (all) => all.map((one) => one.value)), ["dive"]);
  await accessible(page, "enrolment: office");
  // The message leads to the field.
  await page.click(".formgate-message >> text=E-mail");
  assert.equal(await focused(page), "email");
  await close();
});

test("a changed field is named on the page that follows", async () => {
  const { page, close } = await meet();
  await attempt(page, "city");
  const said = await text(page, "notification");
  assert.match(said, /We corrected the city to Bern\./);
  assert.match(await page.innerText("main"), /Bern\b/);
  await accessible(page, "enrolment: city");
  await attempt(page, "shirt");
  assert.match(await text(page, "warning"), /T-shirts in XXL are sold out; you get XL\./);
  await accessible(page, "enrolment: shirt");
  await attempt(page, "pay");
  await page.waitForURL("**/pay/*");
  assert.match(await (page.locator(".formgate-message")).innerText(), /Please pay now\./);
  await accessible(page, "enrolment: pay");
  await close();
});

test("a file must be chosen again, and the page says so", async () => {
  const { page, close, open } = await meet();
  await open("/camps/lake/enroll");
  await page.fill("#age", "5");
  await page.setInputFiles("#photo", { name: "ana.png", mimeType: "image/png", buffer: Buffer.from("not really") });
  await page.click("form button");
  await message(page, "error");
  assert.match(await description(page, "photo"), /choose the file again/i);
  await accessible(page, "enrolment: photo");
  await close();
});

test("the contact form is sent in the background", async () => {
  const { page, close } = await meet();
  await attempt(page, "question");
  assert.match(await text(page, "success"), /A person reads this, and answers within two days\./);
  assert.equal(page.url().split("?")[0], demo.origin + "/contact");
  await accessible(page, "contact: accepted");
  await page.click("text=See what the site received");
  await page.waitForURL("**/entries/*");
  await accessible(page, "contact: entry");

  await attempt(page, "card");
  assert.match(await text(page, "error"), /Please do not send card numbers/);
  await accessible(page, "contact: stopped");
  await attempt(page, "complaint");
  const said = await text(page, "error");
  assert.match(said, /could not be checked just now/);
  assert.match(said, /Nothing was submitted\./);
  assert.match(await page.inputValue("#message"), /bus from the station/);
  await accessible(page, "contact: unavailable");
  await attempt(page, "press");
  await page.waitForURL("**/press");
  assert.match(await text(page, "information"), /answered over there/);
  await accessible(page, "contact: press");
  await close();
});

test("the newsletter offers the address that was meant", async () => {
  const { page, close } = await meet();
  await attempt(page, "gmial");
  assert.match(await text(page, "error"), /Did you mean ana@gmail\.com\?/);
  await accessible(page, "newsletter: suggestion");
  await page.click("text=Use ana@gmail.com");
  assert.equal(await focused(page), "email");
  await page.keyboard.press("Enter");
  await page.waitForSelector("text=See what the site received");
  await accessible(page, "newsletter: accepted");
  await attempt(page, "upper");
  await page.waitForSelector("text=See what the site received");
  assert.equal(await page.inputValue("#email"), "ana@example.org");
  await close();
});

test("a form without a rule file is answered by the site", async () => {
  const { page, close, open } = await meet();
  await open("/");
  await page.check("[value=pasta]");
  await page.click("text=Vote");
  await page.waitForURL("**/entries/*");
  assert.match(await page.innerText("main"), /pasta/);
  await close();
});

test("without JavaScript all three forms stop, come back as they were left, and go through", async () => {
  const { page, close, open } = await meet({ javaScriptEnabled: false });
  await open("/camps/lake/enroll");
  await page.fill("#email", "taken@example.org");
  await page.fill("#age", "10");
  await page.uncheck("[value=swim]");
  await page.check("[value=dive]");
  await page.check("[value=now]");
  await page.selectOption("#shirt", "L");
  await page.click("form button");
  assert.match(await text(page, "error"), /There is an enrolment with this address already\./);
  assert.equal(await page.inputValue("#shirt"), "L");
  assert(await page.isChecked("[value=dive]") && !(await page.isChecked("[value=swim]")) && (await page.isChecked("[value=now]")));
  assert.equal(await focused(page), "email");
  await accessible(page, "enrolment without JavaScript: stopped");
  await page.fill("#email", "ana@example.org");
  await page.uncheck("[value=dive]");
  await page.check("[value=invoice]");
  await page.click("form button");
  assert.match(await text(page, "success"), /Ana sleeps in cabin Heron\./);
  await accessible(page, "enrolment without JavaScript: accepted");

  await open("/contact");
  await page.fill("#message", "Short");
  await page.click("form button");
  assert.match(await text(page, "error"), /Write us at least ten characters\./);
  assert.equal(await page.inputValue("#message"), "Short");
  await accessible(page, "contact without JavaScript: stopped");
  await page.fill("#message", "Long enough now.");
  await page.selectOption("#topic", "press");
  await page.click("form button");
  assert.equal(page.url(), demo.origin + "/press");
  assert.match(await text(page, "information"), /answered over there/);

  await open("/newsletter");
  await page.fill("#letters", "40");
  await page.click("form button");
  assert.match(await text(page, "error"), /Choose between one and twelve letters a year\./);
  assert.equal(await page.inputValue("#letters"), "40");
  await accessible(page, "newsletter without JavaScript: stopped");
  await page.fill("#letters", "4");
  await page.click("form button");
  await page.waitForSelector("text=Thank you");
  await close();
});
