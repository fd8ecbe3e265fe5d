// The site's own script: sends a form by fetch and shows the gateway's answer in place. It does here, for this demo,
// what the gateway's formgate.js will do for any form; everything works without it, too.
"use strict";

document.documentElement.classList.add("scripted");

for (const form of document.querySelectorAll("form[data-live]")) {
  prefill(form, new URLSearchParams(location.search));
  form.addEventListener("submit", (event) => {
    if (form.querySelector("[data-plain]:checked")) return;
    event.preventDefault();
    send(form);
  });
}

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

async function send(form) {
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch(form.action, { method: "POST", ...body(form), redirect: "manual" });
    const said = answer.headers.get("formgate-reply");
    const json = (answer.headers.get("content-type") ?? "").includes("json") ? await answer.json() : {};
    show(form, said ? JSON.parse(said) : json, answer);
  } catch {
    form.submit(); // no answer that can be read: let the browser do it
  } finally {
    button.disabled = false;
  }
}

function body(form) {
  const data = new FormData(form);
  const headers = { accept: "application/json" };
  if (form.dataset.json) {
    const fields = Object.fromEntries(data);
    if (fields.letters !== "") fields.letters = Number(fields.letters);
    headers["content-type"] = "application/json";
    return { headers, body: JSON.stringify({ [form.dataset.json]: fields, page: location.pathname }) };
  }
  // A form without files is sent the way the browser would: urlencoded.
  return { headers, body: form.enctype === "multipart/form-data" ? data : new URLSearchParams(data) };
}

function show(form, said, answer) {
  if (said.redirect) return location.assign(said.redirect);
  clear(form);
  const errors = said.errors ?? {};
  const stray = [];
  for (const [name, text] of Object.entries(errors)) if (!mark(form, name, text)) stray.push(text);
  const place = form.querySelector("[data-answer]");
  const kind = said.msg_type ?? (answer.ok ? "success" : "error");
  const inPlace = new Set(Object.values(errors));
  const texts = (said.messages ?? []).filter((one) => !one.field && !inPlace.has(one.msg)).map((one) => one.msg).concat(stray);
  if (answer.ok) texts.unshift("The site has received the form.");
  else if (said.outcome === undefined) texts.push(`The site itself did not take the form (status ${answer.status}). Please open it anew.`);
  else if (Object.keys(errors).length) texts.push("Please look at the marked fields.");
  if (said.submitted === false) texts.push("Nothing was submitted.");
  const note = make("div", `note ${kind}`);
  note.setAttribute("role", "alert");
  for (const text of texts) note.append(make("p", "", text));
  for (const [name, value] of Object.entries(said.changed ?? {})) {
    note.append(make("p", "", `Changed: ${label(form, name)} is now ${value ?? "empty"}.`));
    set(form, name, value);
  }
  for (const [name, value] of Object.entries(said.suggestions ?? {})) {
    const take = make("button", "", `Use ${value}`);
    take.type = "button";
    take.addEventListener("click", () => { set(form, name, value); clear(form); find(form, name)?.focus(); });
    note.append(take);
  }
  const where = answer.headers.get("location");
  if (where && answer.ok) {
    const link = make("a", "", "See what the site received");
    link.href = where;
    note.append(link);
  }
  place.append(note);
  (find(form, said.focus_on) ?? find(form, Object.keys(errors)[0]) ?? place).focus();
}

function clear(form) {
  form.querySelector("[data-answer]").replaceChildren();
  for (const error of form.querySelectorAll(".field-error")) error.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    if (field.dataset.described) field.setAttribute("aria-describedby", field.dataset.described);
    else field.removeAttribute("aria-describedby");
  }
}

function mark(form, name, text) {
  const field = find(form, name);
  if (!field) return false;
  const error = make("p", "field-error", text);
  error.id = `error-${field.id || name}`;
  const group = field.closest("fieldset[data-field]");
  if (group) group.append(error);
  else field.after(error);
  field.dataset.described = field.getAttribute("aria-describedby") ?? "";
  field.setAttribute("aria-describedby", `${error.id} ${field.dataset.described}`.trim());
  field.setAttribute("aria-invalid", "true");
  return true;
}

function find(form, name) {
  return name ? form.querySelector(`[name="${CSS.escape(name)}"]`) : null;
}

function set(form, name, value) {
  const field = find(form, name);
  if (field && field.type !== "checkbox" && field.type !== "radio") field.value = value ?? "";
}

function label(form, name) {
  return find(form, name)?.labels?.[0]?.textContent ?? name;
}

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}
