// What a page written in TypeScript does with formgate.js; checked by types.test.mjs, never run.

import { clear, show, type Answer } from "../../src/page/formgate.js";

const form = document.querySelector("form")!;

form.addEventListener("formgate:submitting", (event) => event.detail.data.append("more", event.detail.url.pathname));
document.addEventListener("formgate:stopped", (event) => {
  const first: string | undefined = Object.keys(event.detail.answer?.errors ?? {})[0];
  if (first) event.preventDefault();
});
addEventListener("formgate:accepted", async (event) => console.log(await event.detail.response.json()));
addEventListener("formgate:redirected", (event) => console.log(event.detail.answer?.redirect ?? ""));
addEventListener("formgate:failed", (event) => console.log(event.detail.error, event.detail.response?.status));
form.addEventListener("formgate:progress", ({ detail: { loaded, total } }) => console.log(loaded / total));

const answer: Partial<Answer> = { msg: "No.", msg_type: "error", errors: { email: "Missing." } };
show(form, answer);
clear(form);
clear(form, [...form.elements]);

// @ts-expect-error: not a kind of message
show(form, { msg: "No.", msg_type: "bad" });
// @ts-expect-error: not a form
show(document.body, answer);
