"""A responder in Python: the program that a hook calls. Standard library only; Python 3.9 or later.

    HOOK_SECRET=whsec_… PORT=9000 python3 examples/responder.py

Owns checking that a call is the gateway's (Standard Webhooks), and the replies; `reply` is the part to make your own.
While a secret is changed, HOOK_SECRET holds the new and the old one, with a space between them.
"""

import base64
import hashlib
import hmac
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRETS = [base64.b64decode(secret.removeprefix("whsec_")) for secret in os.environ["HOOK_SECRET"].split()]
TOLERANCE = 5 * 60  # seconds that the two clocks may differ; an older call may be one sent again by somebody else
MAX_BODY = 1 << 20


def is_genuine(headers, body, now):
    identity, at, given = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not (at.isascii() and at.isdigit()) or abs(now - int(at)) > TOLERANCE:
        return False
    message = f"{identity}.{at}.".encode() + body
    good = [b"v1," + base64.b64encode(hmac.digest(secret, message, hashlib.sha256)) for secret in SECRETS]
    # `compare_digest` takes as long for a wrong signature as for a right one. None of the pairs is skipped.
    return any([hmac.compare_digest(one.encode(), other) for one in given.split() for other in good])


def reply(call):
    """What the person is told, and what becomes of the form. None is nothing to say."""
    event, doc = call["event"], call.get("doc", {})
    if event.startswith("form_submit"):
        return {"msg": f"Thank you, {doc.get('name')}!", "msg_type": "success"}
    if not event.startswith("form_preprocess"):
        return None
    if str(doc.get("email", "")).endswith("@blocked.example"):
        return {"msg": "This cannot be sent.", "errors": {"email": "This address is blocked."}}
    if doc.get("topic") == "press":
        return {"redirect": "/press"}
    if doc.get("city") == "Berne":
        return {"jdoc": {"city": "Bern"}, "msg": "We corrected the city."}
    return None


class Responder(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections, so that the next call is quicker
    wbufsize = -1  # head and body go out together; one after the other they would cost 40 ms on a kept connection

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        if length > MAX_BODY:
            self.close_connection = True
            return self.answer(413, {"error": "too large"})
        body = self.rfile.read(length)
        if not is_genuine(self.headers, body, time.time()):
            return self.answer(401, {"error": "the signature is not right"})
        said = reply(json.loads(body))
        return self.answer(204 if said is None else 200, said)

    def answer(self, status, said):
        body = b"" if said is None else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass  # a call holds what people typed: log the event and the webhook-id, not the body


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 9000))), Responder)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
