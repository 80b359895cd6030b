//! Connections to rendezvous servers: one task each.

use std::{collections::HashMap, num::NonZeroU16, time::Duration};

use rand::{SeedableRng as _, rngs::StdRng};
use sremp_core::channel::Message;
use sremp_net::{
    NetworkChanges,
    bootstrap::{self, NameServer},
    mapping::{self, KeptMapping, MappingRequest},
    tls::{NamedServer, Trust, connect_to},
};
use tokio::{runtime::Handle, sync::mpsc, task::JoinSet, time::timeout};

use super::Work;
use crate::engine::{Input, ServerLink, ServerOpened, ServerTarget};

/// How long the end waits for the answers to what was said last.
const LAST_WORD: Duration = Duration::from_millis(1_500);
/// Messages that wait for a server; one that takes no more is left.
const QUEUE: usize = 64;

/// The connections that are open or being made.
pub(super) struct ServerTasks {
    handle: Handle,
    work: mpsc::Sender<Work>,
    open: HashMap<ServerLink, mpsc::Sender<Message>>,
    tasks: JoinSet<()>,
}

impl ServerTasks {
    pub(super) fn new(handle: Handle, work: mpsc::Sender<Work>) -> Self {
        Self {
            handle,
            work,
            open: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Asks DNS for a domain's servers.
    pub(super) fn resolve(&self, domain: String) {
        let work = self.work.clone();
        self.handle.spawn(async move {
            let mut rng = StdRng::from_rng(&mut rand::rng());
            let answer = bootstrap::lookup(&domain, NameServer::System, &mut rng).await;
            let input = Input::Resolved { domain, answer };
            let _ = work.send(Work::Server(Box::new(input))).await;
        });
    }

    /// Tells the engine whenever the network of this host changes.
    pub(super) fn watch_network(&self) {
        let work = self.work.clone();
        self.handle.spawn(async move {
            let Some(mut changes) = NetworkChanges::watch() else {
                return;
            };
            loop {
                changes.next().await;
                let input = Work::Server(Box::new(Input::NetworkChanged));
                if work.send(input).await.is_err() {
                    return;
                }
            }
        });
    }

    /// Has the router lead to this port, and tells what comes of it.
    pub(super) fn map(&self, port: NonZeroU16, allow_private: bool) -> KeptMapping {
        let request = MappingRequest {
            allow_private,
            ..MappingRequest::new(port)
        };
        let _inside = self.handle.enter();
        let kept = mapping::keep(request);
        let (mut seen, work) = (kept.watch(), self.work.clone());
        self.handle.spawn(async move {
            while seen.changed().await.is_ok() {
                let mapping = *seen.borrow_and_update();
                let input = Input::Mapped(mapping);
                if work.send(Work::Server(Box::new(input))).await.is_err() {
                    break;
                }
            }
        });
        kept
    }

    pub(super) fn connect(&mut self, target: ServerTarget) {
        let (to_server, queue) = mpsc::channel(QUEUE);
        self.open.insert(target.link, to_server);
        while self.tasks.try_join_next().is_some() {}
        let work = self.work.clone();
        self.tasks.spawn_on(keep(target, queue, work), &self.handle);
    }

    /// A server that takes too little is left: the end of its queue ends its task.
    pub(super) fn ask(&mut self, link: ServerLink, message: Message) {
        let sent = self.open.get(&link).map(|queue| queue.try_send(message));
        if matches!(sent, Some(Err(_))) {
            self.open.remove(&link);
        }
    }

    pub(super) fn disconnect(&mut self, link: ServerLink) {
        self.open.remove(&link);
    }

    /// Every connection is lost to the engine, which begins again.
    pub(super) fn disconnect_all(&mut self) {
        self.open.clear();
    }

    /// Sends what is queued and closes every connection.
    pub(super) async fn shutdown(&mut self) {
        self.open.clear();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// One connection, from its making to its end.
async fn keep(target: ServerTarget, mut queue: mpsc::Receiver<Message>, work: mpsc::Sender<Work>) {
    let link = target.link;
    // what DNS says of a key narrows a name, and does not replace it (7.5)
    let (trust, spki) = match (target.pin, &target.tls_name) {
        (Some(pin), None) => (Trust::Pin(pin), None),
        (pin, _) => (Trust::Name, pin),
    };
    let server = NamedServer {
        endpoint: &target.endpoint,
        name: target.tls_name.as_deref().unwrap_or(target.endpoint.host()),
        spki: spki.as_ref(),
    };
    let connecting = connect_to(&server, &trust, target.public_only);
    let tell = async |input| work.send(Work::Server(Box::new(input))).await.is_ok();
    let gone = |cause: String| Input::ServerClosed { link, cause };
    let mut server = match connecting.await {
        Ok(server) => server,
        Err(error) => {
            tell(gone(error.to_string())).await;
            return;
        }
    };
    let opened = ServerOpened {
        link,
        exporter: *server.exporter(),
        local: server.local_ip(),
    };
    if !tell(Input::ServerOpened(opened)).await {
        return server.close().await;
    }
    let mut unanswered: u32 = 0;
    let cause = loop {
        tokio::select! {
            message = queue.recv() => match message {
                None => {
                    // a registration that is taken back is so once the server says it
                    let _ = timeout(LAST_WORD, async {
                        while unanswered > 0 && server.next().await.is_ok() {
                            unanswered -= 1;
                        }
                    })
                    .await;
                    server.close().await;
                    break "the connection was ended here".to_owned();
                }
                Some(message) => {
                    unanswered += 1;
                    if let Err(error) = server.send(&message).await {
                        break error.cause().to_owned();
                    }
                }
            },
            message = server.next() => match message {
                Ok(message) => {
                    unanswered = unanswered.saturating_sub(1);
                    if !tell(Input::ServerMessage { link, message }).await {
                        return server.close().await;
                    }
                }
                Err(error) => break error.cause().to_owned(),
            },
        }
    };
    tell(gone(cause)).await;
}
