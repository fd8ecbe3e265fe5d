// formgate.js: sends each <form data-formgate> in the background and shows the gateway's answer in the page. One ES
// module, no dependencies, typed by formgate.d.ts; how to use it is in docs/PROTOCOL.md. What it cannot do just as the
// browser would is left to the browser, so a form works the same without it. It is served without its comments and
// its indentation: a comment has lines of its own, and no text goes over several lines.

// What it has to say itself, as `src/model/words.rs` says it: saved, not accepted, no answer.
const WORDS = {
  en: ["The form was submitted.", "The form was not accepted.", "It is not known whether the form was submitted. Please check before you send it again."],
  de: ["Das Formular wurde übermittelt.", "Das Formular wurde nicht angenommen.", "Es ist nicht bekannt, ob das Formular übermittelt wurde. Bitte prüfen Sie das, bevor Sie es noch einmal senden."],
  fr: ["Le formulaire a été transmis.", "Le formulaire n’a pas été accepté.", "On ne sait pas si le formulaire a été transmis. Veuillez vérifier avant de l’envoyer à nouveau."],
  es: ["El formulario se ha enviado.", "El formulario no se ha aceptado.", "No se sabe si el formulario se ha enviado. Compruébelo antes de volver a enviarlo."],
};
const word = (which) => (WORDS[document.documentElement.lang.slice(0, 2)] ?? WORDS.en)[which];

// A field named `elements` or `reset` hides the form's own, so these are taken from where all forms have them.
const own = HTMLFormElement.prototype;
const controls = (form) => (form.localName === "form" ? [...Reflect.get(own, "elements", form)] : []);
const named = (form, name) => controls(form).filter((one) => one.name === name && !/hidden|submit|button|fieldset/.test(one.type));
const each = (fields, act) => Object.entries(fields ?? {}).map(([name, value]) => act(name, value));
const isChoice = (field) => /radio|checkbox/.test(field.type);
const isOurs = (form) => form?.matches?.("form[data-formgate]");

const set = (element, name, value) => (value ? element.setAttribute(name, value) : element.removeAttribute(name));

function make(tag, className, ...content) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...content);
  return element;
}

// Fires an event on the form; false if a listener does not want what would follow.
const fire = (form, name, detail) =>
  form.dispatchEvent(new CustomEvent("formgate:" + name, { bubbles: true, cancelable: true, detail }));

// The place of the message: the page's own, or a new one at the top.
function region(root) {
  let place = root.querySelector(".formgate-message");
  if (!place) root.prepend((place = make("div", "formgate-message")));
  place.tabIndex = -1;
  place.ariaLive = "polite";
  return place;
}

// What people call a field; of several choices, what they call all of them.
function label(root, name) {
  const [first, more] = named(root, name);
  return ((more && first.closest("fieldset")?.querySelector("legend")) || first?.labels[0])?.textContent.trim() || name;
}

// What the gateway says about a changed field, or a suggestion, if it sent the words along.
const phrase = (root, { words }, name, value, which = value === null ? "emptied" : "changed") =>
  (words?.[which] ?? "{value}").replace("{field}", () => label(root, name)).replace("{value}", () => value);

// Puts the message of an answer there: all that is said, and every error, also of fields that the page does not have.
function say(root, answer) {
  const kind = answer.msg_type ?? "information";
  const texts = answer.texts ?? [answer.msg ?? ""];
  const lines = each(answer.errors, (name, text) => [make("strong", "", label(root, name)), ": " + text]);
  lines.push(...each(answer.changed, (name, value) => [phrase(root, answer, name, value)]));
  const place = region(root);
  place.className = "formgate-message formgate-" + kind;
  place.role = kind === "error" ? "alert" : "status";
  place.replaceChildren(...texts.map((text) => make("p", "", text)));
  // What became of the submission comes last.
  const list = make("ul", "", ...lines.map((line) => make("li", "", ...line)));
  if (lines[0]) place.insertBefore(list, texts[1] && place.lastChild);
  return place;
}

let notes = 0;

// Puts a note beside a field, and links it to the field for whoever does not see it.
function note(form, name, kind, content) {
  const fields = named(form, name);
  const last = fields.at(-1);
  if (!last) return;
  const text = make("span", "formgate-field-" + kind, content);
  text.id = "formgate-" + ++notes;
  // After a label that holds the field or, for a choice, stands beside it.
  ((isChoice(last) && last.labels[0]) || last.closest("label") || last).after(text);
  for (const field of fields) {
    set(field, "aria-describedby", (text.id + " " + (field.getAttribute("aria-describedby") ?? "")).trim());
    field.classList.add("formgate-" + kind);
    if (kind === "error") set(field, "aria-invalid", "true");
  }
}

// Takes away what was said: of a whole form, or beside some of its fields. Also what a page came with.
export function clear(form, fields) {
  // The place is there before something is said in it, or it would not be heard.
  if (!fields) region(form).replaceChildren();
  for (const field of fields ?? controls(form)) {
    const ids = field.getAttribute("aria-describedby")?.split(" ") ?? [];
    const others = ids.filter((id) => !id.startsWith("formgate-"));
    if (others.length === ids.length) continue;
    for (const id of ids) if (!others.includes(id)) document.getElementById(id)?.remove();
    set(field, "aria-describedby", others.join(" "));
    set(field, "aria-invalid");
    field.classList.remove("formgate-error", "formgate-changed", "formgate-suggestion");
  }
}

// Sets a field as a person would; never a password or a file.
function fill(form, name, value) {
  const values = [value ?? []].flat().map(String);
  named(form, name).forEach((field, at) => {
    if (/password|file/.test(field.type)) return;
    if (isChoice(field)) field.checked = value === true || values.includes(field.value);
    else if (field.type === "select-multiple") for (const one of field.options) one.selected = values.includes(one.value);
    else field.value = values[at] ?? "";
    for (const type of ["input", "change"]) field.dispatchEvent(new Event(type, { bubbles: true }));
  });
}

// Shows an answer of the gateway in a form: its message, errors, changes and suggestions; and moves the focus.
export function show(form, answer) {
  clear(form);
  const place = say(form, answer);
  each(answer.errors, (name, text) => note(form, name, "error", text));
  each(answer.changed, (name, value) => {
    fill(form, name, value);
    note(form, name, "changed", phrase(form, answer, name, value));
  });
  each(answer.suggestions, (name, value) => {
    const take = make("button", "formgate-take", phrase(form, answer, name, value, "use"));
    take.type = "button";
    take.onclick = () => {
      const [first] = named(form, name);
      fill(form, name, value);
      first.focus();
    };
    note(form, name, "suggestion", take);
  });
  const wanted = [answer.focus_on, ...each(answer.errors, String)].flatMap((name) => named(form, name));
  if (wanted.some((field) => (field.focus(), field === document.activeElement))) return;
  if (answer.msg_type === "error") place.focus();
  place.scrollIntoView({ block: "nearest" });
}

// What the browser would send, and where; nothing if it has to do it itself.
function plan(form, submitter) {
  const setting = (name) => submitter?.getAttribute("form" + name) ?? form.getAttribute(name) ?? "";
  const method = setting("method").toUpperCase();
  const target = setting("target") || document.querySelector("base[target]")?.target || "_self";
  const charset = form.getAttribute("accept-charset") || document.characterSet;
  const url = new URL(setting("action") || location, document.baseURI);
  if (method === "DIALOG" || target !== "_self" || !/^utf-?8$/i.test(charset) || url.origin !== location.origin) return;
  return {
    method: method === "POST" ? method : "GET",
    url,
    enctype: setting("enctype").toLowerCase(),
    data: new FormData(form, submitter),
  };
}

function send(form, { method, url, enctype, data }) {
  // To whom it says that it is a script, the gateway tells of redirects, which fetch can neither show nor always follow.
  const headers = { accept: "application/json", "formgate-script": "1" };
  const pairs = [...data].map((pair) => pair.map((one) => (one.name ?? one).replace(/\r\n?|\n/g, "\r\n")));
  let body = new URLSearchParams(pairs);
  if (method === "GET") {
    url.search = body;
    body = null;
  } else if (enctype === "multipart/form-data") {
    body = data;
    if ([...data.values()].some((one) => one.size)) return upload(form, url, headers, body);
  } else {
    const plain = enctype === "text/plain";
    if (plain) body = pairs.map((pair) => pair.join("=") + "\r\n").join("");
    headers["content-type"] = plain ? enctype : "application/x-www-form-urlencoded";
  }
  return fetch(url, { method, headers, body });
}

// As fetch, which cannot say how far an upload has come.
const upload = (form, url, headers, body) =>
  new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const bar = make("progress", "formgate-progress");
    region(form).append(bar);
    set(bar, "aria-label", document.title);
    request.upload.onprogress = ({ loaded, total }) => {
      bar.max = total;
      bar.value = loaded;
      fire(form, "progress", { loaded, total });
    };
    request.open("POST", url);
    for (const name in headers) request.setRequestHeader(name, headers[name]);
    request.responseType = "blob";
    request.onerror = reject;
    request.onload = () => {
      const lines = request.getAllResponseHeaders().trim().split("\r\n");
      const init = { status: request.status, headers: lines.map((line) => line.split(/: (.*)/).slice(0, 2)) };
      const response = new Response(request.response.size ? request.response : null, init);
      resolve(Object.defineProperty(response, "url", { value: request.responseURL }));
    };
    request.send(body);
  });

// What the gateway says: beside the backend's answer, or as its own.
async function heard(response) {
  const reply = response.headers.get("formgate-reply");
  if (reply) return JSON.parse(reply);
  const json = /json/.test(response.headers.get("content-type")) && (await response.clone().json().catch(() => 0));
  if (json?.outcome && json.texts) return json;
}

// The forms whose next try is the browser's own.
const plainly = new WeakSet();

async function submit(form, request) {
  busy(form, "true");
  clear(form);
  let response, answer;
  try {
    response = await send(form, request);
    answer = await heard(response);
  } catch (error) {
    // Nobody knows how far the request came, so it is not sent again by itself. The person is told and keeps what was
    // typed, and the next try is a plain one.
    busy(form);
    if (!fire(form, "failed", { response, error })) return;
    plainly.add(form);
    if (request.method === "GET") location = request.url;
    else show(form, { msg: word(2), msg_type: "error" });
    return;
  }
  const { ok, url } = response;
  const name = answer?.redirect ? "redirected" : answer?.outcome === "stopped" ? "stopped" : ok ? "accepted" : "failed";
  if (name !== "redirected") busy(form);
  if (!fire(form, name, { answer, response })) return busy(form);
  if (name === "redirected") return follow(form, new URL(answer.redirect, url));
  const page = /html/.test(response.headers.get("content-type")) && (await response.text());
  if (page) return turn(page, url, answer);
  show(form, answer ?? { msg: word(ok ? 0 : 1), msg_type: ok ? "success" : "error" });
  if (ok && form.hasAttribute("data-formgate-reset")) own.reset.call(form);
}

function busy(form, on) {
  set(form, "aria-busy", on);
  // Not `disabled`, which would take the focus away.
  for (const one of controls(form)) if (one.type === "submit") set(one, "aria-disabled", on);
}

function follow(form, url) {
  if (!/^https?:$/.test(url.protocol)) return busy(form);
  // To another place of the same page the browser would go without asking for it again.
  const here = url.hash && url.href.split("#")[0] === location.href.split("#")[0];
  location = url;
  if (here) location.reload();
}

// A page as the answer: a plain submit would have shown it, so it takes the place of this one.
function turn(html, url, answer) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const known = [...document.head.querySelectorAll("script")];
  if (url !== location.href) {
    history.pushState(null, "", url);
    onpopstate = () => location.reload();
  }
  document.documentElement.replaceWith(page.documentElement);
  for (const script of [...document.scripts]) {
    // What the page before had in its head has run already; everything else runs now.
    if (known.some((one) => one.isEqualNode(script))) continue;
    const copy = make("script", "", script.text);
    copy.async = false;
    for (const { name, value } of script.attributes) copy.setAttribute(name, value);
    script.replaceWith(copy);
  }
  scrollTo(0, 0);
  if (answer) say(document.querySelector("main,[role=main]") ?? document.body, answer);
  document.querySelector("[autofocus],.formgate-message")?.focus();
}

// On the window, so that whoever cancels the event on the form or the document has done so.
addEventListener("submit", (event) => {
  const { target: form, submitter } = event;
  if (event.defaultPrevented || !isOurs(form) || plainly.delete(form)) return;
  const request = form.getAttribute("aria-busy") ? null : plan(form, submitter);
  if (request === undefined) return;
  event.preventDefault();
  if (request && fire(form, "submitting", request)) submit(form, request);
});

addEventListener("input", ({ target: { form, name } }) => isOurs(form) && clear(form, named(form, name)));

// A page that comes back out of the browser's memory is not sending any more.
addEventListener("pageshow", () => document.querySelectorAll("form[data-formgate][aria-busy]").forEach((form) => busy(form)));
