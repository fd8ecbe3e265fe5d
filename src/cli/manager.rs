//! The service manager that started the process, if one did: the sockets it hands over, and what it wants to be told
//! (systemd's `sd_listen_fds` and `sd_notify`, which others speak, too). Owns both; without a manager nothing is
//! handed over and nobody is told.

use std::env;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::Context;
use anyhow::bail;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use socket2::SockRef;
use tokio::time::MissedTickBehavior;

/// The name of the socket on which the operator's own requests come; all others are people's.
const ADMIN: &str = "admin";

/// Sockets that were handed over.
#[derive(Debug, Default)]
pub struct Handed {
    /// For people.
    pub public: Vec<TcpListener>,
    /// For the operator.
    pub admin: Option<TcpListener>,
}

impl Handed {
    /// Takes what the manager hands over, and the word of it off the environment: to be called while the process has
    /// one thread.
    ///
    /// # Errors
    /// Something that is no TCP socket that listens, or two that are named `admin`.
    pub fn take() -> anyhow::Result<Self> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut sockets = ListenFd::from_env();
        let mut handed = Self::default();
        for number in 0..sockets.len() {
            let name = names.next().unwrap_or_default();
            let socket = sockets
                .take_tcp_listener(number)
                .with_context(|| format!("the service manager handed over `{name}`"))?;
            let listens = |socket: &TcpListener| SockRef::from(socket).is_listener();
            if !socket.as_ref().map_or(Ok(true), listens)? {
                bail!(
                    "the service manager handed over `{name}`, which is a connection and does not listen"
                );
            }
            match socket {
                Some(_) if name == ADMIN && handed.admin.is_some() => {
                    bail!("the service manager handed over two sockets named `{ADMIN}`");
                }
                Some(socket) if name == ADMIN => handed.admin = Some(socket),
                socket => handed.public.extend(socket),
            }
        }
        Ok(handed)
    }
}

/// Whoever wants to be told how the process is.
#[derive(Debug)]
pub struct Manager {
    listens: bool,
}

impl Manager {
    /// The one that the environment names.
    #[must_use]
    pub fn of_environment() -> Self {
        Self {
            listens: env::var_os("NOTIFY_SOCKET").is_some(),
        }
    }

    /// Says that it serves, again after each [`Manager::reloading`].
    pub fn ready(&self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Says that it reads everything again.
    pub fn reloading(&self) {
        let now = self.listens.then(NotifyState::monotonic_usec_now);
        if let Some(Ok(now)) = now {
            self.tell(&[NotifyState::Reloading, now]);
        }
    }

    /// Says that it ends, and asks for so much time.
    pub fn stopping(&self, status: &str, within: Duration) {
        let within = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
        self.tell(&[
            NotifyState::Stopping,
            NotifyState::Status(status),
            NotifyState::ExtendTimeoutUsec(within),
        ]);
    }

    /// Keeps saying that it is alive, if the manager wants that: from within the runtime that serves, so that one in
    /// which nothing turns any more is replaced.
    pub fn watch(&self) {
        let Some(within) = sd_notify::watchdog_enabled().filter(|time| !time.is_zero()) else {
            return;
        };
        let manager = Self {
            listens: self.listens,
        };
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(within / 2);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                manager.tell(&[NotifyState::Watchdog]);
            }
        });
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        if !self.listens {
            return;
        }
        if let Err(error) = sd_notify::notify(states) {
            tracing::warn!(target: "formgate::gateway", %error, "the service manager could not be told");
        }
    }
}
