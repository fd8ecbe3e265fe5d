//! The configuration as it is in force, for `formgate config`. Owns how values are written as TOML again; of secrets it
//! shows only where they come from.

use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

use crate::codec::jwt::TokenSource;
use crate::config::Config;
use crate::source::measure::show_duration;
use crate::source::measure::show_size;

impl Config {
    /// Every key that has a value, and its value as TOML; of secrets only where they come from.
    #[must_use]
    pub fn shown(&self) -> Vec<(&'static str, String)> {
        // A JSON text is a TOML text, and so is a list of them.
        let quoted = |text: &str| Value::from(text).to_string();
        let list = |texts: &[String]| Value::from(texts.to_vec()).to_string();
        let path = |path: &Path| quoted(&path.display().to_string());
        let time = |duration: Duration| quoted(&show_duration(duration));
        let size = |bytes: u64| quoted(&show_size(bytes));
        let memory = |bytes: usize| quoted(&show_size(u64::try_from(bytes).unwrap_or(u64::MAX)));
        let nets = |nets: &[IpNet]| {
            let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
            list(&nets)
        };
        let (intake, limits) = (&self.intake, &self.limits);
        let mut shown = vec![
            ("listen", quoted(&self.listen.to_string())),
            ("backend", quoted(&self.backend.to_string())),
            ("rules", path(&self.rules)),
            ("project", quoted(&self.project)),
            ("hosts", list(&self.hosts)),
            ("trusted_proxies", nets(&self.trusted_proxies)),
            ("preserve_header_case", limits.header_case.to_string()),
            ("log", quoted(&self.log)),
            ("limits.body", size(intake.body)),
            ("limits.field", memory(intake.limits.field)),
            ("limits.fields", intake.limits.fields.to_string()),
            ("limits.values", intake.limits.values.to_string()),
            ("limits.doc", memory(intake.limits.doc)),
            ("limits.depth", intake.limits.depth.to_string()),
            ("limits.part_header", memory(intake.limits.part_header)),
            (
                "limits.unpack_ratio",
                intake.limits.unpack_ratio.to_string(),
            ),
            ("limits.page", memory(self.pages.held)),
            ("limits.spool_above", size(intake.spool.above)),
            ("limits.spool_folder", path(&intake.spool.folder)),
            ("limits.body_pause", time(limits.body_pause)),
            ("limits.body_rate", limits.body_rate.to_string()),
            ("limits.header_timeout", time(limits.header_timeout)),
            ("limits.header_size", memory(limits.header_size)),
            ("limits.headers", limits.headers.to_string()),
            ("limits.idle", time(limits.idle)),
            ("limits.connections", limits.connections.to_string()),
            (
                "limits.connections_per_address",
                limits.connections_per_address.to_string(),
            ),
            ("limits.matched", memory(self.matched)),
            ("limits.submissions", self.submissions.to_string()),
            ("limits.drain", time(limits.drain)),
            ("limits.drain_delay", time(limits.drain_delay)),
            ("backend_timeouts.connect", time(self.backend_connect)),
            (
                "backend_timeouts.response",
                time(self.backend_pool.response),
            ),
            ("backend_timeouts.idle", time(self.backend_pool.idle)),
            ("backend_timeouts.page", time(self.pages.wait)),
        ];
        let admin = self.admin.map(|address| address.to_string());
        shown.extend(admin.map(|address| ("admin.listen", quoted(&address))));
        shown.extend(self.telemetry.shown());
        // Where a secret comes from may be seen; what it is may not.
        let reference = |path: &'static str| {
            let found = self.references.get(path);
            found.map(|reference| (path, quoted(reference)))
        };
        shown.extend(reference("key"));
        shown.extend(self.reach_shown());
        if let Some(files) = &self.tls {
            shown.extend([
                ("tls.cert", path(&files.cert)),
                ("tls.key", path(&files.key)),
            ]);
        }
        shown.extend(self.shown_store());
        if let Some(jwt) = &self.jwt {
            let from = match &jwt.from {
                TokenSource::Header(name) => format!("header:{name}"),
                TokenSource::Cookie(name) => format!("cookie:{name}"),
            };
            shown.extend([
                ("jwt.algorithms", list(&jwt.algorithms)),
                ("jwt.from", quoted(&from)),
            ]);
            shown.extend(reference("jwt.key"));
            shown.extend(
                jwt.issuer
                    .as_ref()
                    .map(|issuer| ("jwt.issuer", quoted(issuer))),
            );
            shown.extend(
                jwt.audience
                    .as_ref()
                    .map(|audience| ("jwt.audience", quoted(audience))),
            );
        }
        shown
    }
}
