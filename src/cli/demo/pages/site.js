// The site's own script. The enrolment is sent by the browser alone, the contact form by the gateway's formgate.js, and
// the newsletter as JSON by this script, which leaves it to formgate.js to show the answer. Everything works without
// scripts, too.

import { show } from "/_formgate/formgate.js";

for (const form of document.forms) prefill(form, new URLSearchParams(location.search));

// The links of the start page name the fields that a try is about.
function prefill(form, wanted) {
  for (const name of new Set(wanted.keys())) {
    const values = wanted.getAll(name);
    for (const field of form.querySelectorAll(`[name="${CSS.escape(name)}"]`)) {
      if (field.type === "checkbox" || field.type === "radio") field.checked = values.includes(field.value);
      else if (field.type !== "hidden" && field.type !== "file") field.value = values[0];
    }
  }
}

// formgate.js says what the gateway says; this adds where the site shows what it has received.
addEventListener("formgate:accepted", (event) => {
  queueMicrotask(() => addLink(event.target, event.detail.response));
});

function addLink(form, response) {
  const where = response.headers.get("location");
  if (!where) return;
  const link = document.createElement("a");
  link.href = where;
  link.textContent = "See what the site received";
  form.querySelector(".formgate-message").append(link);
}

document.querySelector("form[data-json]")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  if (form.ariaBusy !== "true") send(form);
});

async function send(form) {
  form.ariaBusy = "true";
  try {
    const response = await fetch(form.action, {
      method: "POST",
      // To formgate.js the gateway also tells the texts to show.
      headers: { accept: "application/json", "content-type": "application/json", "formgate-script": "1" },
      body: json(form),
    });
    const reply = response.headers.get("formgate-reply");
    const answer = reply ? JSON.parse(reply) : await response.json();
    show(form, answer.outcome ? answer : { msg: "The site has received it.", msg_type: "success" });
    if (response.ok) addLink(form, response);
  } catch {
    form.submit(); // no answer that can be read: let the browser do it
  } finally {
    form.ariaBusy = null;
  }
}

function json(form) {
  const fields = Object.fromEntries(new FormData(form));
  if (fields.letters !== "") fields.letters = Number(fields.letters);
  return JSON.stringify({ [form.dataset.json]: fields, page: location.pathname });
}
