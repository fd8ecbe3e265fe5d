//! Every key of `formgate.toml`: its name, its kind and what it is for. Owns the words of the schema and of the
//! reference; what the values come to is left to [`crate::config::apply`].

use crate::source::shape::Key;
use crate::source::shape::Kind;
use crate::source::shape::Shape;

const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, doc }
}

/// `formgate.toml`.
pub static CONFIG: Shape = Shape {
    title: "formgate.toml",
    doc: "The gateway's configuration. Every key is also a variable: `limits.body` is FORMGATE_LIMITS_BODY.",
    others: None,
    keys: &[
        key(
            "listen",
            Kind::Text,
            "The address to listen on. Default: 127.0.0.1:8080.",
        ),
        key(
            "backend",
            Kind::Text,
            "The form application behind the gateway. Default: http://127.0.0.1:3000.",
        ),
        key(
            "rules",
            Kind::Text,
            "The folder of rule files. Default: rules.",
        ),
        key(
            "project",
            Kind::Text,
            "What hooks are told as `project`. Default: default.",
        ),
        key(
            "hosts",
            Kind::Texts,
            "Hosts whose requests pass where a rule file's `hosts` names others. Default: none.",
        ),
        key(
            "trusted_proxies",
            Kind::Texts,
            "Addresses (`10.0.0.0/8`) that are believed about who is behind them. Default: none.",
        ),
        key(
            "key",
            Kind::Text,
            "The gateway's own key, as env:NAME or file:PATH, where several gateways must know each other's calls and flash cookies; of several with white space between them the first is used and all are believed. Default: a new one at every start.",
        ),
        key(
            "preserve_header_case",
            Kind::Flag,
            "Keep the letter case of HTTP/1 header names, for programs that mind it; costs about 1 µs a request. Default: false.",
        ),
        key(
            "ca",
            Kind::Text,
            "A PEM file of certificate authorities that are believed besides the system's.",
        ),
        key(
            "log",
            Kind::Text,
            "What is logged: error, warn, info, debug, or targets such as `info,formgate::job=off`. Default: info.",
        ),
        key(
            "tls",
            Kind::Table(&TLS),
            "TLS towards people. Default: none.",
        ),
        key(
            "limits",
            Kind::Table(&LIMITS),
            "What a request and a connection may take.",
        ),
        key(
            "backend_timeouts",
            Kind::Table(&BACKEND_TIMEOUTS),
            "How long the backend may take.",
        ),
        key(
            "backend_tls",
            Kind::Table(&BACKEND_TLS),
            "Certificates towards backends.",
        ),
        key(
            "egress",
            Kind::Table(&EGRESS),
            "Where hooks may be called, and how.",
        ),
        key(
            "store",
            Kind::Table(&STORE),
            "Where jobs are kept; without it they are only logged. Default: none.",
        ),
        key(
            "jwt",
            Kind::Table(&JWT),
            "How the site's own login tokens are verified, for `jwt:` and `api.claim` in rule files.",
        ),
        key(
            "admin",
            Kind::Table(&ADMIN),
            "Where probes and numbers are asked for. Default: nowhere.",
        ),
        key(
            "telemetry",
            Kind::Table(&TELEMETRY),
            "What operators are told: logs, the access log, traces.",
        ),
    ],
};

pub(in crate::config) static TLS: Shape = Shape {
    title: "[tls]",
    doc: "TLS towards people; read again when the files change.",
    others: None,
    keys: &[
        key("cert", Kind::Text, "The certificate chain in PEM."),
        key("key", Kind::Text, "The private key in PEM."),
    ],
};

pub(in crate::config) static LIMITS: Shape = Shape {
    title: "[limits]",
    doc: "What a request and a connection may take.",
    others: None,
    keys: &[
        key(
            "body",
            Kind::Size,
            "The largest submission, as it comes and unpacked. Default: 32MiB.",
        ),
        key(
            "field",
            Kind::Size,
            "The largest value of one field. Default: 1MiB.",
        ),
        key(
            "fields",
            Kind::Count,
            "The most different fields of a submission. Default: 2000.",
        ),
        key(
            "values",
            Kind::Count,
            "The most values of all fields together, files among them. Default: 20000.",
        ),
        key(
            "doc",
            Kind::Size,
            "The most bytes of all fields together, files' contents not counted. Default: 8MiB.",
        ),
        key(
            "depth",
            Kind::Count,
            "The deepest nesting of a JSON body. Default: 64.",
        ),
        key(
            "part_header",
            Kind::Size,
            "The largest header of one multipart part. Default: 8KiB.",
        ),
        key(
            "unpack_ratio",
            Kind::Count,
            "How many times its packed length a packed body may unpack to, once it is over 1 MiB. Default: 200.",
        ),
        key(
            "matched",
            Kind::Size,
            "The most text of a submission that one pattern is put to, and a quarter of it for a large pattern. Default: 64KiB.",
        ),
        key(
            "page",
            Kind::Size,
            "The most of a form's page that is held in memory. Default: 4MiB.",
        ),
        key(
            "spool_above",
            Kind::Size,
            "Multipart bodies over this size go to a temporary file. Default: 1MiB.",
        ),
        key(
            "spool_folder",
            Kind::Text,
            "The folder of temporary files. Default: the system's.",
        ),
        key(
            "body_pause",
            Kind::Duration,
            "The longest pause in a body, in either direction. Default: 30s.",
        ),
        key(
            "body_rate",
            Kind::Count,
            "How many bytes a second a body must bring, measured over `body_pause` of waiting for it; 0 for any. Default: 100.",
        ),
        key(
            "header_timeout",
            Kind::Duration,
            "How long a request's head may take. Default: 10s.",
        ),
        key(
            "header_size",
            Kind::Size,
            "The largest head of a request. Default: 32KiB.",
        ),
        key(
            "headers",
            Kind::Count,
            "The most header lines of a request, at most 100. Default: 100.",
        ),
        key(
            "idle",
            Kind::Duration,
            "How long a connection may be idle. Default: 60s.",
        ),
        key(
            "connections",
            Kind::Count,
            "The most connections at a time. Default: 10000.",
        ),
        key(
            "connections_per_address",
            Kind::Count,
            "The most connections of one address, or of one IPv6 network of 64 bits, at a time; trusted proxies have any number. Default: 1000.",
        ),
        key(
            "submissions",
            Kind::Count,
            "The most submissions of one form under way at a time. Default: 1000.",
        ),
        key(
            "drain",
            Kind::Duration,
            "How long what is under way may take at the end. Default: 30s.",
        ),
        key(
            "drain_delay",
            Kind::Duration,
            "How long new connections are still taken at the end, after `/readyz` has begun to say no. Default: 0s.",
        ),
    ],
};

pub(in crate::config) static BACKEND_TIMEOUTS: Shape = Shape {
    title: "[backend_timeouts]",
    doc: "How long the backend may take.",
    others: None,
    keys: &[
        key(
            "connect",
            Kind::Duration,
            "To take a connection. Default: 2s.",
        ),
        key(
            "response",
            Kind::Duration,
            "To begin its answer, and between two pieces of it. Default: 30s.",
        ),
        key(
            "idle",
            Kind::Duration,
            "How long an unused connection is kept. Default: 15s, or less if the backend says so.",
        ),
        key(
            "page",
            Kind::Duration,
            "To come to the form, where its page is fetched again for a stopped submission. Default: 5s.",
        ),
    ],
};

pub(in crate::config) static BACKEND_TLS: Shape = Shape {
    title: "[backend_tls]",
    doc: "Certificates towards backends; read again with the rule files.",
    others: None,
    keys: &[
        key(
            "ca",
            Kind::Text,
            "The certificate authorities that alone are believed, in PEM, as file:PATH or env:NAME. Default: the system's and those of `ca` above.",
        ),
        key(
            "client_certificate",
            Kind::Text,
            "The certificate that backends are shown, in PEM, as file:PATH or env:NAME. Default: none.",
        ),
        key("client_key", Kind::Text, "Its key."),
    ],
};

pub(in crate::config) static EGRESS: Shape = Shape {
    title: "[egress]",
    doc: "Where hooks may be called, judged by the address that is connected to; backends are not judged.",
    others: None,
    keys: &[
        key(
            "allow",
            Kind::Texts,
            "The only networks (`10.0.0.0/8`) in which hooks are called. Default: any.",
        ),
        key(
            "deny",
            Kind::Texts,
            "Networks in which hooks are not called, whatever `allow` says. Default: none.",
        ),
        key(
            "ca",
            Kind::Text,
            "The certificate authorities that alone are believed about responders, in PEM, as file:PATH or env:NAME; a hook may name others. Default: the system's and those of `ca` above.",
        ),
        key(
            "client_certificate",
            Kind::Text,
            "The certificate that responders are shown, in PEM, as file:PATH or env:NAME; a hook may name another. Default: none.",
        ),
        key("client_key", Kind::Text, "Its key."),
        key(
            "proxy",
            Kind::Text,
            "A proxy through which hooks are called, such as `http://proxy:3128`. Default: none.",
        ),
        key(
            "proxy_credentials",
            Kind::Text,
            "`user:password` for the proxy, as env:NAME or file:PATH. Default: none.",
        ),
        key(
            "no_proxy",
            Kind::Texts,
            "Hosts, with all names below them, addresses and networks that are called without the proxy; `*` for all. Default: none.",
        ),
    ],
};

pub(in crate::config) static STORE: Shape = Shape {
    title: "[store]",
    doc: "Where jobs are kept. Without it nothing is; the gateway needs none to work.",
    others: None,
    keys: &[
        key(
            "url",
            Kind::Text,
            "`sqlite:FILE` for one gateway, `postgres://USER@HOST/DATABASE` for several.",
        ),
        key(
            "password",
            Kind::Text,
            "The database's password, as env:NAME or file:PATH.",
        ),
        key(
            "keep_jobs",
            Kind::Duration,
            "How long jobs and timelines are kept. Default: 30d.",
        ),
        key(
            "keep_bodies",
            Kind::Duration,
            "How long bodies, headers and changes are kept; 0 for not at all. Default: 7d.",
        ),
        key(
            "queue",
            Kind::Size,
            "How much of bodies may wait to be written; what is over it is dropped and counted. Default: 32MiB.",
        ),
    ],
};

pub(in crate::config) static JWT: Shape = Shape {
    title: "[jwt]",
    doc: "How the site's own login tokens are verified.",
    others: None,
    keys: &[
        key(
            "key",
            Kind::Text,
            "The public key in PEM, or the shared secret of the HS algorithms, as env:NAME or file:PATH.",
        ),
        key(
            "algorithms",
            Kind::Texts,
            "The algorithms that are taken, all of one family: [\"RS256\"].",
        ),
        key(
            "issuer",
            Kind::Text,
            "`iss` must be this. Default: anything.",
        ),
        key(
            "audience",
            Kind::Text,
            "`aud` must hold this. Default: anything.",
        ),
        key(
            "from",
            Kind::Text,
            "Where the token is: `header:authorization` (the default) or `cookie:NAME`.",
        ),
    ],
};

pub(in crate::config) static ADMIN: Shape = Shape {
    title: "[admin]",
    doc: "A listener for probes and numbers, which nothing that comes through the gateway can reach.",
    others: None,
    keys: &[key(
        "listen",
        Kind::Text,
        "The address to listen on, such as 127.0.0.1:8081; whoever reaches it may ask. Default: none.",
    )],
};

pub(in crate::config) static TELEMETRY: Shape = Shape {
    title: "[telemetry]",
    doc: "What operators are told: logs, the access log, traces.",
    others: None,
    keys: &[
        key(
            "log",
            Kind::Word(&["text", "json"]),
            "Text for people, or JSON lines. Default: text.",
        ),
        key(
            "access_log",
            Kind::Word(&["off", "text", "json"]),
            "Write a line for each request. Default: off.",
        ),
        key(
            "access_log_file",
            Kind::Text,
            "The file of these lines, opened anew on SIGHUP. Without it, they go to standard output.",
        ),
        key(
            "access_log_addresses",
            Kind::Word(&["none", "short", "full"]),
            "How much of a person's address they have: nothing, the network (24 bits of IPv4, 48 of IPv6), all of it. Default: none.",
        ),
        key(
            "otlp",
            Kind::Text,
            "The collector that traces are sent to, in OTLP over HTTP (`http://127.0.0.1:4318`). Default: none.",
        ),
        key(
            "otlp_headers",
            Kind::Texts,
            "Headers for the collector, as `NAME=value`; secrets as `NAME=env:VARIABLE` or `NAME=file:PATH`. Default: none.",
        ),
        key(
            "otlp_timeout",
            Kind::Duration,
            "How long sending one batch may take. Default: 10s.",
        ),
        key(
            "sample",
            Kind::Bound,
            "The share of traces that are written down, from 0 to 1, where none goes on that was begun elsewhere. Default: 1.",
        ),
        key(
            "trace_context",
            Kind::Word(&["trusted", "always", "never"]),
            "Whose `traceparent` a trace goes on with: that of `trusted_proxies`, anybody's, nobody's. Default: trusted.",
        ),
        key(
            "service",
            Kind::Text,
            "The gateway's `service.name` in traces. Default: formgate.",
        ),
        key(
            "resource",
            Kind::Texts,
            "More attributes of the gateway in traces, as `NAME=value`. Default: none.",
        ),
    ],
};
