//! What may be typed after `formgate`. Owns the words and their help; the commands themselves are beside it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap::Parser;
use clap::Subcommand;

use crate::config::Flags;
use crate::config::flag;

/// A synchronous form-hook gateway: asks your hooks about a form submission while the person waits.
#[derive(Debug, Parser)]
#[command(name = "formgate", version, about, max_term_width = 100)]
pub struct Args {
    /// The configuration file. Default: formgate.toml, if there is one
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Output for machines
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve: stand in front of a backend and ask the hooks
    Serve(Serve),
    /// Try it: a small site, its rules and a responder, all in this program
    Demo(Demo),
}

/// What may be said about the configuration on the command line.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Overrides {
    /// The form application behind the gateway
    #[arg(long, value_name = "URL")]
    pub backend: Option<String>,
    /// The folder of rule files
    #[arg(long, value_name = "FOLDER")]
    pub rules: Option<PathBuf>,
}

impl Overrides {
    /// The same as lines of the configuration.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let mut flags = Flags::new();
        flags.extend(
            self.backend
                .as_ref()
                .map(|value| flag("backend", value, "--backend")),
        );
        flags.extend(
            self.rules
                .as_ref()
                .map(|value| flag("rules", &value.display().to_string(), "--rules")),
        );
        flags
    }
}

/// `formgate serve`
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  formgate serve --backend http://localhost:3000\n  formgate serve --config /etc/formgate/formgate.toml\n  FORMGATE_LOG=warn formgate serve --listen 0.0.0.0:8080"
)]
pub struct Serve {
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// What else may be said
    #[command(flatten)]
    pub overrides: Overrides,
}

impl Serve {
    /// The same as lines of the configuration.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let mut flags = self.overrides.flags();
        flags.extend(
            self.listen
                .as_ref()
                .map(|value| flag("listen", &value.to_string(), "--listen")),
        );
        flags
    }
}

/// `formgate demo`
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  formgate demo\n  formgate demo --listen 127.0.0.1:9000\n  formgate demo --json | jq .decision"
)]
pub struct Demo {
    /// The address to listen on. Default: 127.0.0.1:8080, or the next free port
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}
