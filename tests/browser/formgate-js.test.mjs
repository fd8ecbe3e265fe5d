// formgate.js, one feature after another, in a page whose policy allows nothing but files of its own site.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { accessible, description, focused, launch, message, person, start } from "./world.mjs";

const RULES = {
  contact: `
[form]
submit = ["POST /contact", "POST /contact/{action}"]
load = "GET /contact"
on_conflict = "suggest"
[fields.email]
required = true
type = "email"
normalize = ["trim", "lowercase"]
msg = "Enter an e-mail address we can write to."
[[hook]]
on = "preprocess"
url = "HOOK/preprocess"
[[hook]]
on = "submit"
url = "HOOK/submit"
`,
  search: `
[form]
submit = "GET /search"
[[hook]]
on = "preprocess"
url = "HOOK/search"
`,
};

const head = `<!doctype html><html lang="en"><head><title>Contact</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/_formgate/formgate.css">
<script type="module" src="/_formgate/formgate.js"></script></head>`;

const FIELDS = `
<p><label for="email">E-mail</label> <input id="email" name="email" value="ana@example.org" aria-describedby="hint"> <span id="hint">We answer there.</span></p>
<p><label for="city">City</label> <input id="city" name="city" value="Berne"></p>
<fieldset><legend>Activities</legend>
<label><input type="checkbox" name="do" value="swim" checked> Swim</label>
<label><input type="checkbox" name="do" value="sail"> Sail</label></fieldset>
<p><label for="topic">Topics</label> <select id="topic" name="topic" multiple><option>a</option><option>b</option></select></p>
<p><label>Secret <input type="password" name="password" value="hush"></label> <input type="hidden" name="token" value="t"></p>
<p><label for="text">Text</label> <textarea id="text" name="text">one
two</textarea></p>`;

const form = (attributes = "", fields = FIELDS) =>
  `${head}<body><main><h1>Contact</h1>
<form method="post" action="/contact" data-formgate ${attributes}>${fields}<p><button name="way" value="send">Send</button> <button name="way" value="draft" formaction="/contact/draft">Keep</button></p></form></main></body></html>`;

const THANKS = `${head}<body><main><h1>Thank you</h1></main></body></html>`;

let browser, world;

before(async () => {
  browser = await launch();
  world = await start({ rules: RULES, pages: {} });
});
after(async () => {
  await browser?.close();
  await world?.stop();
});
beforeEach(() => {
  world.reset();
  for (const name of Object.keys(world.pages)) delete world.pages[name];
  Object.assign(world.pages, {
    "GET /contact": form(),
    "POST /contact": { status: 201, headers: { "content-type": "application/json" }, body: `{"id":1}` },
    "POST /contact/draft": { status: 201, headers: { "content-type": "application/json" }, body: `{"id":2}` },
    "GET /thanks": THANKS,
  });
});

/** Opens the form with formgate.js at work, and notes its events. */
async function open(options = {}, path = "/contact") {
  const { page, close } = await person(browser, options);
  await page.goto(world.origin + path);
  await page.evaluate(() => {
    window.events = [];
    for (const name of ["submitting", "stopped", "accepted", "redirected", "failed", "progress"])
      addEventListener("formgate:" + name, (event) => window.events.push([name, event.detail]));
  });
  const events = () => page.evaluate(() => window.events.map(([name]) => name));
  return { page, close, events };
}

const fieldsOf = (request) => [...new URLSearchParams(request.body.toString())];

test("a stopped form says why, beside its field and at its top, and takes the corrected one", async () => {
  const { page, close, events } = await open();
  // The place is there, and listened to, before it says anything.
  await page.evaluate(() => {
    addEventListener("formgate:stopped", () => {
      const place = document.querySelector(".formgate-message");
      window.waiting = [place?.getAttribute("aria-live"), place?.textContent];
    });
  });
  await page.fill("#email", "ana");
  await page.keyboard.press("Enter");
  const place = await message(page, "error");
  assert.deepEqual(await page.evaluate(() => window.waiting), ["polite", ""]);
  assert.equal(await place.getAttribute("role"), "alert");
  assert.match(await place.innerText(), /E-mail: Enter an e-mail address we can write to\./);
  assert.equal(await focused(page), "email");
  const email = page.locator("#email");
  assert.equal(await email.getAttribute("aria-invalid"), "true");
  assert.equal(await description(page, "email"), "Enter an e-mail address we can write to. | We answer there.");
  assert.equal(await email.inputValue(), "ana");
  assert.equal(page.url(), world.origin + "/contact");
  assert.deepEqual(world.received(), []);
  await accessible(page);

  // Correcting it takes the error away at once; what is said at the top stays until the next try.
  await page.keyboard.type("@example.org");
  assert.equal(await email.getAttribute("aria-invalid"), null);
  assert.equal(await description(page, "email"), "We answer there.");
  await page.click("button >> text=Send");
  assert.equal(await (await message(page, "success")).getAttribute("role"), "status");
  assert.equal(await page.locator(".formgate-message").count(), 1);
  assert.deepEqual(await events(), ["submitting", "stopped", "submitting", "accepted"]);
  assert.equal(world.received().length, 1);
  await accessible(page);
  await close();
});

test("what a page came with after a plain submit is taken away in the same way", async () => {
  const { page, close } = await open();
  await page.fill("#email", "ana");
  await page.fill("#city", "Lausanne");
  await page.evaluate(() => document.querySelector("form").submit());
  await page.waitForURL("**/contact");
  await message(page, "error");
  assert.equal(await page.inputValue("#city"), "Lausanne");
  assert.match(await description(page, "email"), /Enter an e-mail address we can write to\./);
  await page.fill("#email", "ana@example");
  assert.equal(await description(page, "email"), "We answer there.");
  assert.equal(await page.getAttribute("#email", "aria-invalid"), null);
  assert.equal(await page.locator(".formgate-field-error").count(), 0);
  await page.click("button >> text=Send");
  await message(page, "success");
  assert.equal(await page.locator(".formgate-message").count(), 1);
  await close();
});

test("it sends what the browser would have sent", async () => {
  const ways = [
    ["", "application/x-www-form-urlencoded"],
    ['enctype="text/plain"', "text/plain"],
    ['enctype="multipart/form-data"', "multipart/form-data"],
  ];
  for (const [attributes, type] of ways) {
    world.pages["GET /contact"] = form(attributes);
    world.pages["GET /plain"] = form(attributes).replace("data-formgate", "");
    const { page, close } = await open();
    await page.click("button >> text=Send");
    await message(page, "success");
    await page.goto(world.origin + "/plain");
    await page.click("button >> text=Send");
    await page.waitForURL("**/contact");
    const [scripted, plain] = world.received();
    const boundary = ({ headers }) => headers["content-type"].split("boundary=")[1] ?? "no boundary";
    const text = (request) => request.body.toString().replaceAll(boundary(request), "-");
    assert.equal(text(scripted), text(plain));
    assert.equal(scripted.headers["content-type"].split(";")[0], type);
    assert.equal(scripted.headers["content-type"].replace(boundary(scripted), ""), plain.headers["content-type"].replace(boundary(plain), ""));
    assert.equal(scripted.headers.accept, "application/json");
    world.reset();
    await close();
  }
});

test("the button decides: its name and value, and where it sends", async () => {
  const { page, close } = await open();
  await page.click("button >> text=Keep");
  await message(page, "success");
  const [request] = world.received();
  assert.equal(request.path, "/contact/draft");
  assert.deepEqual(fieldsOf(request).at(-1), ["way", "draft"]);
  await close();
});

test("a GET form asks with its fields, and shows the page that comes", async () => {
  world.pages["GET /contact"] = `${head}<body><main><h1>Search</h1><form action="/search?old=1" data-formgate><label>For <input name="q" value="a b"></label> <button>Go</button></form></main></body></html>`;
  world.pages["GET /search"] = ({ url }) => `${head.replace("Contact", "Found")}<body><main><h1>Found</h1><p id="asked">${url.replaceAll("&", "&amp;")}</p></main></body></html>`;
  world.said.search = (call) => (call.doc.q === "no" ? { msg: "Not that.", msg_type: "error" } : undefined);
  const { page, close } = await open();
  await page.fill("[name=q]", "no");
  await page.click("text=Go");
  assert.match(await (await message(page, "error")).innerText(), /Not that\./);
  await page.fill("[name=q]", "a b");
  await page.click("text=Go");
  await page.waitForSelector("#asked");
  assert.equal(await page.textContent("#asked"), "/search?q=a+b");
  assert.equal(page.url(), world.origin + "/search?q=a+b");
  assert.equal(await page.title(), "Found");
  await page.goBack();
  await page.waitForSelector("text=Search");
  await close();
});

test("a second click while the first is under way sends nothing", async () => {
  let release;
  const waiting = new Promise((resolve) => (release = resolve));
  world.pages["POST /contact"] = async () => {
    await waiting;
    return { status: 204 };
  };
  const { page, close } = await open();
  await page.click("button >> text=Send");
  const busy = page.locator("form[aria-busy=true]");
  await busy.waitFor();
  assert.deepEqual(await page.locator("button[aria-disabled=true]").allTextContents(), ["Send", "Keep"]);
  // By force, as the browser tests would otherwise wait until the button is not disabled any more.
  await page.click("button >> text=Send", { force: true });
  await page.click("button >> text=Keep", { force: true });
  await page.locator("#city").press("Enter");
  release();
  await message(page, "success");
  assert.equal(await busy.count(), 0);
  assert.equal(await page.locator("[aria-disabled]").count(), 0);
  assert.equal(world.received().length, 1);
  assert.equal(await focused(page), "city", "the focus stays where the person put it");
  await close();
});

test("a form added later, and fields outside their form", async () => {
  const { page, close } = await open();
  await page.evaluate(() => {
    document.querySelector("main").innerHTML = `<h1>Later</h1><form id="later" method="post" action="/contact" data-formgate><button>Send</button></form>
      <p><label>E-mail <input name="email" form="later" value="ana"></label></p>`;
  });
  await page.click("button >> text=Send");
  await message(page, "error");
  assert.equal(await focused(page), "email");
  assert.equal(await description(page, "email"), "Enter an e-mail address we can write to.");
  await accessible(page);
  await page.fill("[name=email]", "ana@example.org");
  assert.equal(await description(page, "email"), "");
  await page.keyboard.press("Enter");
  await message(page, "success");
  assert.deepEqual(fieldsOf(world.received()[0]), [["email", "ana@example.org"]]);
  await close();
});

test("changed fields are set and marked, whatever they are", async () => {
  world.said.preprocess = {
    msg: "We corrected the city.",
    msg_type: "notification",
    jdoc: { city: "Bern", do: ["sail"], topic: ["a", "b"], password: "x", token: "x" },
  };
  const { page, close } = await open();
  await page.click("button >> text=Send");
  assert.match(await (await message(page, "notification")).innerText(), /We corrected the city\./);
  assert.equal(await page.inputValue("#city"), "Bern");
  assert.match(await description(page, "city"), /Bern/);
  assert.match(await page.getAttribute("#city", "class"), /formgate-changed/);
  assert.deepEqual(await page.$$eval("[name=do]", (all) => all.map((one) => one.checked)), [false, true]);
  assert.deepEqual(await page.$$eval("#topic option", (all) => all.map((one) => one.selected)), [true, true]);
  assert.equal(await page.inputValue("[name=password]"), "hush");
  assert.equal(await page.inputValue("[name=token]"), "t");
  await accessible(page);
  await page.click("button >> text=Send");
  await page.waitForFunction(() => document.querySelectorAll(".formgate-field-changed").length <= 3);
  await close();
});

test("a suggestion is offered and taken", async () => {
  world.said.preprocess = ({ doc }) =>
    doc.email.endsWith("gmial.com") && { msg: "Did you mean ana@gmail.com?", msg_type: "error", focus_on: "email", jdoc: { email: "ana@gmail.com" } };
  const { page, close } = await open();
  await page.fill("#email", "ana@gmial.com");
  await page.keyboard.press("Enter");
  await message(page, "error");
  assert.equal(await focused(page), "email");
  await accessible(page);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Use ana@gmail.com");
  await page.keyboard.press("Space");
  assert.equal(await page.inputValue("#email"), "ana@gmail.com");
  assert.equal(await focused(page), "email");
  assert.equal(await page.locator(".formgate-take").count(), 0);
  await page.keyboard.press("Enter");
  await message(page, "success");
  await close();
});

test("several errors: each beside its field, and those of fields that are not there at the top", async () => {
  world.said.preprocess = { msg: "Not yet.", errors: { do: "Choose one.", other: "Missing.", text: "Too short." } };
  const { page, close } = await open();
  await page.click("button >> text=Send");
  const text = await (await message(page, "error")).innerText();
  for (const part of ["Not yet.", "Activities: Choose one.", "other: Missing.", "Text: Too short."]) assert(text.includes(part), text);
  assert.equal(await description(page, "do"), "Choose one.");
  assert.equal(await page.locator("fieldset > .formgate-field-error").innerText(), "Choose one.");
  assert.equal(await page.locator(".formgate-field-error").count(), 2);
  assert.equal(await focused(page), "do");
  await accessible(page);
  // Another choice of the group corrects it, too.
  await page.check("[value=sail]");
  assert.equal(await page.locator("fieldset .formgate-field-error").count(), 0);
  assert.equal(await page.locator("[name=do][aria-invalid]").count(), 0);
  await close();
});

test("an error without a field takes the focus to the message", async () => {
  world.said.preprocess = { msg: "We are closed.", msg_type: "error" };
  const { page, close } = await open();
  await page.click("button >> text=Send");
  await message(page, "error");
  assert.match(await focused(page), /formgate-message/);
  await accessible(page);
  await close();
});

test("a redirect is followed", async () => {
  world.said.preprocess = { redirect: "/thanks" };
  const { page, close, events } = await open();
  await page.evaluate(() => addEventListener("pagehide", () => sessionStorage.setItem("events", window.events.map(([name]) => name))));
  await page.click("button >> text=Send");
  await page.waitForURL("**/thanks");
  assert.equal(await page.evaluate(() => sessionStorage.getItem("events")), "submitting,redirected");
  assert.deepEqual(world.received(), []);
  await close();
});

test("a redirect of the site is followed by the browser itself, once, and wherever it leads", async () => {
  const { page, close, events } = await open();
  world.pages["POST /contact"] = { status: 303, headers: { location: "thanks?a#b", "set-cookie": "seen=yes" } };
  await page.click("button >> text=Send");
  await page.waitForURL("**/thanks?a#b");
  const asked = world.received("GET").filter(({ path }) => path === "/thanks");
  assert.equal(asked.length, 1);
  assert.match(asked[0].headers.accept, /text\/html/);
  assert.match(asked[0].headers.cookie, /seen=yes/);

  // To another site, which a script could not follow.
  const other = await start({ rules: {}, pages: { "GET /elsewhere": THANKS } });
  await page.goto(world.origin + "/contact");
  world.pages["POST /contact"] = { status: 303, headers: { location: other.origin + "/elsewhere" } };
  await page.click("button >> text=Send");
  await page.waitForURL(other.origin + "/elsewhere");
  await other.stop();

  // Back to the form, at another place of it.
  await page.goto(world.origin + "/contact");
  world.pages["POST /contact"] = { status: 303, headers: { location: "/contact#city" } };
  world.pages["GET /contact"] = form("", FIELDS + "<p id=again>Once more.</p>");
  await page.click("button >> text=Send");
  await page.waitForSelector("#again");
  assert.equal(world.received().length, 3);
  await close();
});

test("cancelled events: what would follow is left out", async () => {
  const { page, close } = await open();
  const cancel = (name) => page.evaluate((name) => addEventListener("formgate:" + name, (event) => event.preventDefault(), { once: true }), name);
  await cancel("submitting");
  await page.click("button >> text=Send");
  assert.equal(await page.locator("[aria-busy]").count(), 0);

  await page.fill("#email", "ana");
  await cancel("stopped");
  await page.click("button >> text=Send");
  await page.waitForFunction(() => window.events.some(([name]) => name === "stopped") && !document.querySelector("[aria-busy]"));
  assert.equal(await page.locator(".formgate-field-error").count(), 0);
  const detail = await page.evaluate(() => window.events.find(([name]) => name === "stopped")[1].answer);
  assert.equal(detail.errors.email, "Enter an e-mail address we can write to.");

  world.said.preprocess = { redirect: "/thanks" };
  await page.fill("#email", "ana@example.org");
  await cancel("redirected");
  await page.click("button >> text=Send");
  await page.waitForFunction(() => window.events.some(([name]) => name === "redirected") && !document.querySelector("[aria-busy]"));
  assert.equal(page.url(), world.origin + "/contact");

  delete world.said.preprocess;
  await cancel("accepted");
  await page.click("button >> text=Send");
  await page.waitForFunction(() => window.events.some(([name]) => name === "accepted") && !document.querySelector("[aria-busy]"));
  assert.equal(await page.locator(".formgate-message p").count(), 0);
  // The backend's own answer is there for whoever wants it.
  assert.deepEqual(await page.evaluate(() => window.events.at(-1)[1].response.json()), { id: 1 });
  assert.equal(world.received().length, 1);
  await close();
});

test("whoever cancels the submission itself is respected", async () => {
  const { page, close, events } = await open();
  await page.evaluate(() => document.addEventListener("submit", (event) => event.preventDefault()));
  await page.click("button >> text=Send");
  assert.deepEqual(await events(), []);
  await close();
});

test("the data can be changed before it is sent", async () => {
  const { page, close } = await open();
  await page.evaluate(() => addEventListener("formgate:submitting", (event) => event.detail.data.append("more", "yes")));
  await page.click("button >> text=Send");
  await message(page, "success");
  assert.deepEqual(fieldsOf(world.received()[0]).at(-1), ["more", "yes"]);
  await close();
});

test("an upload tells how far it is, and its file comes", async () => {
  world.pages["GET /contact"] = form('enctype="multipart/form-data"', FIELDS + `<p><label>File <input type="file" name="file"></label></p>`);
  world.said.submit = { msg: "We have the file.", msg_type: "success" };
  const { page, close, events } = await open();
  const buffer = Buffer.alloc(3 << 20, "formgate");
  await page.setInputFiles("[name=file]", { name: "a.bin", mimeType: "application/octet-stream", buffer });
  await page.click("button >> text=Send");
  assert.match(await (await message(page, "success")).innerText(), /We have the file\./);
  const seen = await events();
  assert.equal(seen[0], "submitting");
  assert.equal(seen[1], "progress");
  assert.equal(seen.at(-1), "accepted");
  const last = await page.evaluate(() => window.events.findLast(([name]) => name === "progress")[1]);
  assert(last.total > buffer.length && last.loaded === last.total, JSON.stringify(last));
  assert(world.received()[0].body.includes(buffer));
  assert.equal(await page.locator("progress").count(), 0);
  assert.deepEqual(await page.evaluate(() => window.events.at(-1)[1].response.json()), { id: 1 });
  // Stopped in the same way.
  world.said.preprocess = { errors: { file: "Not this file." } };
  await page.click("button >> text=Send");
  await message(page, "error");
  assert.equal(await focused(page), "file");
  await accessible(page);
  await close();
});

test("no answer: the person is told, keeps everything, and the next try is a plain one", async () => {
  const { page, close, events } = await open({ allowed: (fault) => fault.includes("net::") });
  await page.fill("#city", "Lausanne");
  await page.route("**/contact", (route) => (route.request().resourceType() === "fetch" ? route.abort("connectionreset") : route.continue()));
  await page.click("button >> text=Send");
  const place = await message(page, "error");
  assert.match(await place.innerText(), /^It is not known whether the form was submitted\./);
  assert.deepEqual(await events(), ["submitting", "failed"]);
  assert.equal(await page.inputValue("#city"), "Lausanne");
  assert.deepEqual(world.received(), [], "it is not sent again by itself");
  await accessible(page);
  world.pages["POST /contact"] = { status: 303, headers: { location: "/thanks" } };
  await page.click("button >> text=Send");
  await page.waitForURL("**/thanks");
  assert.match(world.received()[0].headers.accept, /text\/html/);
  await close();
});

test("what cannot be asked, and what went wrong at the site, is said and keeps what was typed", async () => {
  const { page, close, events } = await open();
  await page.fill("#city", "Lausanne");
  world.said.preprocess = "fails";
  await page.click("button >> text=Send");
  assert.match(await (await message(page, "error")).innerText(), /could not be checked just now/);
  delete world.said.preprocess;
  world.pages["POST /contact"] = "nothing";
  await page.click("button >> text=Send");
  await page.waitForSelector("text=It is not known whether the form was submitted.");
  world.pages["POST /contact"] = { status: 400, headers: { "content-type": "application/json" }, body: `{"error":"no"}` };
  await page.click("button >> text=Send");
  await page.waitForSelector("text=The form was not accepted.");
  assert.deepEqual(await events(), ["submitting", "failed", "submitting", "failed", "submitting", "failed"]);
  assert.equal(await page.inputValue("#city"), "Lausanne");
  await accessible(page);
  await close();
});

test("a page as the answer is shown, with its own scripts run", async () => {
  world.pages["GET /after.js"] = { headers: { "content-type": "text/javascript" }, body: "document.body.dataset.ran = 'yes'" };
  world.pages["POST /contact"] = `${head.replace("Contact", "Done")}<body><main><h1>Done</h1></main><script src="/after.js"></script></body></html>`;
  world.said.submit = { msg: "One more thing.", msg_type: "information" };
  const { page, close } = await open();
  await page.click("button >> text=Keep");
  await message(page, "information"); // beside JSON
  await page.click("button >> text=Send");
  await page.waitForSelector("text=Done");
  assert.equal(await page.title(), "Done");
  await page.waitForSelector("[data-ran=yes]");
  assert.match(await (await message(page, "information")).innerText(), /One more thing\./);
  assert.equal(await page.locator("main > .formgate-message").count(), 1);
  await accessible(page);
  await close();
});

test("a form that the backend refuses with its own page shows that page, and goes on working", async () => {
  world.pages["POST /contact"] = { status: 422, body: form("", FIELDS + "<p id=refused>Refused by the site.</p>") };
  const { page, close } = await open();
  await page.click("button >> text=Send");
  await page.waitForSelector("#refused");
  world.pages["POST /contact"] = { status: 204 };
  await page.click("button >> text=Send");
  await message(page, "success");
  assert.equal(world.received().length, 2);
  await close();
});

test("left to the browser: dialogs, other windows, other sites, other charsets, broken actions", async () => {
  world.pages["GET /contact"] = `${head}<body><main><h1>Left</h1>
    <dialog open><form method="dialog" data-formgate><button>Close</button></form></dialog>
    <form method="post" action="/contact" target="other" data-formgate><button>Window</button></form>
    <form method="post" action="/contact" data-formgate><input name="email" type="hidden" value="ana@example.org"><button formtarget="other">Button</button></form>
    <form method="post" action="/contact" accept-charset="windows-1252" data-formgate><input name="email" type="hidden" value="ana@example.org"><button>Charset</button></form>
    </main></body></html>`;
  world.pages["POST /contact"] = { status: 303, headers: { location: "/thanks" } };
  const { page, close, events } = await open();
  await page.click("text=Close");
  await page.locator("dialog[open]").waitFor({ state: "detached" });
  const opened = page.context().waitForEvent("page");
  await page.click("text=Button");
  await (await opened).waitForURL("**/thanks");
  assert.deepEqual(await events(), []);
  await page.click("text=Charset");
  await page.waitForURL("**/thanks");
  for (const request of world.received()) assert.match(request.headers.accept, /text\/html/);
  await close();
});

test("fields named like members of forms are no hindrance", async () => {
  const names = ["elements", "action", "method", "submit", "reset", "target", "name", "id"];
  world.pages["GET /contact"] = form("data-formgate-reset", FIELDS + names.map((name) => `<p><label>${name} <input name="${name}" value="${name}"></label></p>`).join(""));
  const { page, close } = await open();
  await page.fill("#city", "Lausanne");
  await page.click("button >> text=Send");
  await message(page, "success");
  const sent = Object.fromEntries(fieldsOf(world.received()[0]));
  for (const name of names) assert.equal(sent[name], name);
  assert.equal(await page.inputValue("#city"), "Berne", "data-formgate-reset");
  await close();
});

test("a page from the browser's memory is not busy any more", async () => {
  const { page, close } = await open();
  await page.evaluate(() => {
    document.querySelector("form").setAttribute("aria-busy", "true");
    dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
  });
  assert.equal(await page.locator("[aria-busy]").count(), 0);
  await close();
});

test("its few words come in the page's language", async () => {
  // The gateway says nothing beside a refusal of the site's own.
  world.pages["POST /contact"] = { status: 400, headers: { "content-type": "application/json" }, body: `{"error":"no"}` };
  for (const [lang, text] of [["de-CH", "Das Formular wurde nicht angenommen."], ["fr", "Le formulaire n’a pas été accepté."], ["es", "El formulario no se ha aceptado."], ["it", "The form was not accepted."]]) {
    world.pages["GET /contact"] = form().replace('lang="en"', `lang="${lang}"`);
    const { page, close } = await open();
    await page.click("button >> text=Send");
    assert.equal(await (await message(page, "error")).innerText(), text);
    await close();
  }
});

test("show and clear are there for scripts that send themselves", async () => {
  const { page, close } = await open();
  await page.evaluate(async () => {
    const { show } = await import("/_formgate/formgate.js");
    show(document.querySelector("form"), { msg: "No.", msg_type: "error", errors: { city: "Not there." } });
  });
  assert.equal(await focused(page), "city");
  assert.equal(await description(page, "city"), "Not there.");
  await page.evaluate(async () => (await import("/_formgate/formgate.js")).clear(document.querySelector("form")));
  assert.equal(await page.locator(".formgate-field-error, .formgate-message *").count(), 0);
  await close();
});
