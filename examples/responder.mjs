// A responder in JavaScript: the program that a hook calls. No dependencies; Node 18 or later.
//
//     HOOK_SECRET=whsec_… PORT=9000 node examples/responder.mjs
//
// Owns checking that a call is the gateway's (Standard Webhooks), and the replies; `reply` is the part to make your own.
// While a secret is changed, HOOK_SECRET holds the new and the old one, with a space between them.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const SECRETS = process.env.HOOK_SECRET.trim().split(/\s+/).map((secret) => Buffer.from(secret.replace(/^whsec_/, ""), "base64"));
const TOLERANCE = 5 * 60; // seconds that the two clocks may differ; an older call may be one sent again by somebody else
const MAX_BODY = 1 << 20;

function isGenuine(headers, body, now) {
  const [id, at, given] = ["id", "timestamp", "signature"].map((name) => headers[`webhook-${name}`] ?? "");
  if (!/^\d+$/.test(at) || Math.abs(now - Number(at)) > TOLERANCE) return false;
  const good = SECRETS.map((secret) => "v1," + createHmac("sha256", secret).update(`${id}.${at}.`).update(body).digest("base64"));
  return given.split(" ").some((one) => good.some((other) => isSame(Buffer.from(one), Buffer.from(other))));
}

// `timingSafeEqual` takes as long for a wrong signature as for a right one, but wants equal lengths; those are no secret.
function isSame(one, other) {
  return one.length === other.length && timingSafeEqual(one, other);
}

// What the person is told, and what becomes of the form. `null` is nothing to say.
function reply({ event, doc = {} }) {
  if (event.startsWith("form_submit")) return { msg: `Thank you, ${doc.name}!`, msg_type: "success" };
  if (!event.startsWith("form_preprocess")) return null;
  if (String(doc.email ?? "").endsWith("@blocked.example")) {
    return { msg: "This cannot be sent.", errors: { email: "This address is blocked." } };
  }
  if (doc.topic === "press") return { redirect: "/press" };
  if (doc.city === "Berne") return { jdoc: { city: "Bern" }, msg: "We corrected the city." };
  return null;
}

async function respond(request, response) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > MAX_BODY) return response.writeHead(413, { connection: "close" }).end();
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  if (!isGenuine(request.headers, body, Date.now() / 1000)) {
    return response.writeHead(401, { "content-type": "application/json" }).end('{"error":"the signature is not right"}');
  }
  const said = reply(JSON.parse(body));
  if (said === null) return response.writeHead(204).end();
  return response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(said));
}

const server = createServer((request, response) => {
  // The gateway gets no answer then, and does what the rule file's `on_failure` says.
  respond(request, response).catch(() => response.destroy());
});
server.keepAliveTimeout = 60_000; // keeps connections, so that the next call is quicker
server.listen(Number(process.env.PORT ?? 9000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
