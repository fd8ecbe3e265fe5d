//! How others are reached: `[egress]`, `[backend_tls]`, `ca`. Owns taking these keys over and reading what they name –
//! certificates, credentials – which is done again at every reload.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

use crate::config::Config;
use crate::config::apply::networks;
use crate::config::apply::parsed;
use crate::config::apply::set;
use crate::flow::snapshot::Reach;
use crate::model::origin::Origin;
use crate::source::certificate::Authorities;
use crate::source::certificate::Certificates;
use crate::source::certificate::Sources;
use crate::source::secret;
use crate::source::table::Table;
use crate::wire::client_tls::ClientTls;
use crate::wire::connect::Connector;
use crate::wire::pool;
use crate::wire::proxy;
use crate::wire::proxy::Proxy;

/// How long a hook's connection may take, of the hook's own time.
const HOOK_CONNECT: Duration = Duration::from_secs(2);

/// What is said of a proxy towards hooks.
#[derive(Debug, Clone, Default)]
pub struct ProxySource {
    /// Where it is.
    pub origin: Option<Origin>,
    /// Where `user:password` is, as `env:NAME` or `file:PATH`.
    pub credentials: Option<String>,
    /// What is called without it.
    pub except: Vec<String>,
}

impl Config {
    pub(in crate::config) fn apply_egress(&mut self, table: &Table<'_>, folder: &Path) {
        if table.is_empty_list("allow") {
            table.complain(
                "allow",
                "no network is left to call a hook in",
                "leave `allow` out, or name the networks",
            );
        }
        if let Some(nets) = networks(table, "allow") {
            self.egress.allow = Some(nets);
        }
        set(&mut self.egress.deny, networks(table, "deny"));
        self.hook_certificates.take(table, folder);
        let origin = parsed(table, "proxy", proxy_origin);
        self.proxy.origin = origin.or(self.proxy.origin.take());
        if let Some(text) = table.text("proxy_credentials") {
            self.proxy.credentials = Some(secret::from_folder(&text.value, folder));
        }
        if table.has("no_proxy") {
            let texts = table.texts("no_proxy");
            let texts = texts.iter();
            let except = texts.filter_map(|text| Some(table.parsed(text, exception)?.value));
            self.proxy.except = except.collect();
        }
    }

    /// How others are reached, with the certificates and credentials as they are now.
    ///
    /// # Errors
    /// The key that is wrong, and why.
    pub fn reach(&self) -> Result<Reach, (String, String)> {
        let usual = self.usual_tls()?;
        let to_backends = usual.with(&certificates("backend_tls", &self.backend_certificates)?);
        let to_hooks = usual.with(&certificates("egress", &self.hook_certificates)?);
        let networks = self.egress.clone();
        Ok(Reach {
            backend: self.backend.clone(),
            to_backends: Connector::open(to_backends, self.backend_connect),
            backend_pool: self.backend_pool.clone(),
            to_hooks: Connector::guarded(to_hooks, HOOK_CONNECT, networks, self.proxy.read()?),
            // Each hook has its own time; the pool's is the longest a hook can have.
            hook_pool: pool::Settings::default(),
        })
    }

    /// TLS as a client, with the authorities that are believed everywhere.
    pub(in crate::config) fn usual_tls(&self) -> Result<ClientTls, (String, String)> {
        let extra = self.ca.as_deref().map(authorities).transpose();
        let extra = extra.map_err(|why| ("ca".to_owned(), why))?;
        Ok(ClientTls::usual(extra.as_ref()))
    }

    /// The files that [`Config::reach`] reads.
    #[must_use]
    pub fn reach_files(&self) -> Vec<PathBuf> {
        let certificates = [&self.backend_certificates, &self.hook_certificates];
        let certificates = certificates.into_iter().flat_map(Sources::said);
        let said = certificates.map(|(_, said)| said);
        let files = said.chain(self.proxy.credentials.as_deref());
        let files = files.filter_map(secret::file).map(Path::to_path_buf);
        files.chain(self.ca.clone()).collect()
    }

    /// These keys as `formgate config` shows them.
    pub(in crate::config) fn reach_shown(&self) -> Vec<(&'static str, String)> {
        let quoted = |text: &str| Value::from(text).to_string();
        let list = |texts: Vec<String>| Value::from(texts).to_string();
        let nets = |nets: &[IpNet]| list(nets.iter().map(ToString::to_string).collect());
        let mut shown = vec![
            ("egress.deny", nets(&self.egress.deny)),
            ("egress.no_proxy", list(self.proxy.except.clone())),
        ];
        let allow = self.egress.allow.as_deref();
        shown.extend(allow.map(|allow| ("egress.allow", nets(allow))));
        let ca = self.ca.as_ref().map(|ca| ca.display().to_string());
        shown.extend(ca.map(|ca| ("ca", quoted(&ca))));
        for (paths, sources) in [
            (BACKEND_TLS, &self.backend_certificates),
            (EGRESS_TLS, &self.hook_certificates),
        ] {
            let said = [&sources.ca, &sources.certificate, &sources.key];
            let said = paths.into_iter().zip(said);
            shown.extend(said.filter_map(|(path, said)| Some((path, quoted(said.as_deref()?)))));
        }
        let proxy = self.proxy.origin.as_ref();
        shown.extend(proxy.map(|proxy| ("egress.proxy", quoted(&proxy.to_string()))));
        let credentials = self.proxy.credentials.as_deref();
        shown.extend(credentials.map(|said| ("egress.proxy_credentials", quoted(said))));
        shown
    }
}

const BACKEND_TLS: [&str; 3] = [
    "backend_tls.ca",
    "backend_tls.client_certificate",
    "backend_tls.client_key",
];
const EGRESS_TLS: [&str; 3] = [
    "egress.ca",
    "egress.client_certificate",
    "egress.client_key",
];

impl ProxySource {
    fn read(&self) -> Result<Option<Proxy>, (String, String)> {
        let wrong = |why: String| ("egress.proxy_credentials".to_owned(), why);
        let Some(origin) = &self.origin else {
            return match self.credentials {
                Some(_) => Err(wrong("there is no `egress.proxy` for them".to_owned())),
                None => Ok(None),
            };
        };
        let credentials = self.credentials.as_deref().map(|said| {
            let wanted =
                "the credentials must not stand here in plain text; write env:NAME or file:PATH";
            let resolved = secret::resolve(said, Path::new(""));
            let secret = resolved.unwrap_or_else(|| Err(wanted.to_owned()))?;
            if !secret.expose().contains(':') {
                return Err("the credentials are not `user:password`".to_owned());
            }
            Ok(secret)
        });
        Ok(Some(Proxy::new(proxy::Settings {
            origin: origin.clone(),
            credentials: credentials.transpose().map_err(wrong)?,
            except: self.except.clone(),
        })))
    }
}

fn certificates(table: &str, sources: &Sources) -> Result<Certificates, (String, String)> {
    let read = sources.read();
    read.map_err(|(key, why)| (format!("{table}.{key}"), why))
}

fn authorities(path: &Path) -> Result<Authorities, String> {
    let pem = fs::read(path);
    let pem = pem.map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    Authorities::from_pem(&pem).map_err(|why| format!("`{}`: {why}", path.display()))
}

fn proxy_origin(text: &str) -> Result<Origin, String> {
    let origin = Origin::parse(text)?;
    if origin.tls {
        return Err(format!(
            "a proxy is spoken to without TLS (calls to `https` hooks are TLS within it); write http:// in `{text}`"
        ));
    }
    Ok(origin)
}

fn exception(text: &str) -> Result<String, String> {
    let host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let known = text == "*"
        || text.parse::<IpNet>().is_ok()
        || text.parse::<IpAddr>().is_ok()
        || (!text.is_empty() && text.chars().all(host));
    let wrong = || {
        format!(
            "`{text}` is no host, address or network; write for example \"internal.example.org\" or \"10.0.0.0/8\""
        )
    };
    known.then(|| text.to_owned()).ok_or_else(wrong)
}
