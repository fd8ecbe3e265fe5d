"""A form application to try the gateway in front of: a contact form. Standard library only; Python 3.9 or later.

    PORT=3000 python3 examples/backend.py

Owns a page with the form, and keeping what was sent until it ends; it knows nothing of the gateway.
"""

import html
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

FORM = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Contact</title><h1>Contact</h1><form method="post" action="/contact">
<p><label>Name <input name="name" autocomplete="name"></label></p>
<p><label>E-mail <input name="email" type="email" autocomplete="email"></label></p>
<p><label>City <input name="city"></label></p>
<p><label>Topic <select name="topic"><option value="question">Question<option value="press">Press</select></label></p>
<p><label>Message <textarea name="message"></textarea></label></p><p><button>Send</button></p></form>"""
PAGE = '<!doctype html><html lang="en"><meta charset="utf-8"><title>{0}</title><h1>{0}</h1>{1}'
RECEIVED = []


class Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body go out together; one after the other they would cost 40 ms on a kept connection

    def do_GET(self):
        if self.path in ("/", "/contact"):
            self.answer(200, FORM)
        elif self.path == "/received":
            self.answer(200, json.dumps(RECEIVED), "application/json")
        elif self.path == "/thanks":
            rows = "".join(f"<dt>{html.escape(name)}<dd>{html.escape(text)}" for name, text in RECEIVED[-1:] and RECEIVED[-1].items())
            self.answer(200, PAGE.format("Thank you", f"<dl>{rows}</dl>"))
        elif self.path == "/press":
            self.answer(200, PAGE.format("For the press", "<p>Nothing was submitted."))
        else:
            self.answer(404, PAGE.format("Not found", ""))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        if self.path != "/contact":
            return self.answer(404, PAGE.format("Not found", ""))
        RECEIVED.append(dict(parse_qsl(body, keep_blank_values=True)))
        return self.answer(303, "", headers={"location": "/thanks"})

    def answer(self, status, text, kind="text/html; charset=utf-8", headers={}):
        body = text.encode()
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 3000))), Backend)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
