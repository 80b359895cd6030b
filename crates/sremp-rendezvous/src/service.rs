//! What a server does with its connections: decide in core, then ask the directory.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use sremp_core::{
    channel::{ErrorReply, LocalIdentity, Message},
    error::ErrorCode,
    id::IdentityKey,
    rendezvous::{
        Entry, Gossip, LookupResponse, PageCursor, Place, Refusal, Register, RegisterResponse,
        Registration, RendezvousLink, RendezvousMessage, Request, ServerConnection, ServerRecord,
        Servers, Verdict,
    },
};
use sremp_net::{
    clock::{self, Clock},
    dial_back,
    tls::{TlsAnswer, TlsArrival, TlsGuest, TlsServe},
};
use tokio::sync::Semaphore;

use crate::{
    config::Config,
    gossip,
    keeper::{Keeper, SharedDirectory},
    limits::{AddressBucket, Limits},
    metrics::Metrics,
};

/// Seconds after which to come again when too many are dialled back, or wait for the disk.
const BUSY_RETRY: u32 = 5;

/// What all connections of a server share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) local: Arc<LocalIdentity>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) directory: SharedDirectory,
    pub(crate) keeper: Keeper,
    pub(crate) gossip: Mutex<Gossip>,
    pub(crate) peers: Vec<RendezvousLink>,
    pub(crate) ticks: Clock,
    /// The server's word on itself; made anew now and then.
    pub(crate) own: RwLock<ServerRecord>,
    pub(crate) dial_backs: Semaphore,
}

impl Inner {
    /// The server's word on itself.
    pub(crate) fn own(&self) -> ServerRecord {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        own.clone()
    }

    /// Whether places of a LAN are good.
    pub(crate) const fn private(&self) -> bool {
        self.config.allow_private_addresses
    }

    /// The how manieth of the settings this peer is, counted from 1.
    pub(crate) fn place_of(&self, peer: &RendezvousLink) -> usize {
        let place = self.peers.iter().position(|link| link == peer);
        place.map_or(0, |n| n.saturating_add(1))
    }
}

/// The service of a listener.
pub(crate) struct Service(pub(crate) Arc<Inner>);

impl TlsServe for Service {
    type Guest = Guest;

    fn arrived(&self, arrival: TlsArrival) -> Guest {
        self.0.metrics.connections.inc();
        Guest {
            machine: ServerConnection::new(arrival.exporter),
            source: arrival.source,
            bucket: self.0.limits.address(arrival.source),
            present: None,
            inner: self.0.clone(),
        }
    }
}

/// One connection.
pub(crate) struct Guest {
    inner: Arc<Inner>,
    machine: ServerConnection,
    source: IpAddr,
    bucket: AddressBucket,
    /// Who counts as online by this connection.
    present: Option<IdentityKey>,
}

/// Why a request is refused: a code, or a time to wait as well.
struct No(ErrorReply);

impl From<ErrorCode> for No {
    fn from(code: ErrorCode) -> Self {
        Self(code.into())
    }
}

/// To come again after so many seconds.
fn wait(seconds: u32) -> No {
    No(ErrorReply {
        retry_after_s: seconds,
        ..ErrorCode::RateLimited.into()
    })
}

impl TlsGuest for Guest {
    async fn answer(&mut self, message: Message) -> TlsAnswer {
        let req_id = message.req_id;
        match self.serve(&message).await {
            Ok(answer) => TlsAnswer::Reply(answer.to_message(req_id)),
            Err(Refusal::Ignore) => TlsAnswer::Nothing,
            Err(Refusal::Reply(error)) => {
                self.count(error.code);
                TlsAnswer::Reply(RendezvousMessage::Error(error).to_message(req_id))
            }
            Err(Refusal::Close(code)) => {
                self.count(code.to_u16());
                TlsAnswer::End(RendezvousMessage::Error(code.into()).to_message(0))
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.inner.metrics.connections.dec();
        if let Some(key) = self.present {
            let mut directory = self
                .inner
                .directory
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            directory.depart(&key, clock::wall());
        }
    }
}

impl Guest {
    fn count(&self, code: u16) {
        let code = ErrorCode::from_u16(code);
        self.inner
            .metrics
            .refuse(code.map_or("other", ErrorCode::name));
    }

    async fn serve(&mut self, message: &Message) -> Result<RendezvousMessage, Refusal> {
        let refuse = |No(error): No| Refusal::Reply(error);
        let inner = self.inner.clone();
        inner
            .limits
            .request(self.bucket)
            .map_err(|s| refuse(wait(s)))?;
        match self.machine.handle(message, clock::wall())? {
            Request::Register(register) => self.register(register).await.map_err(refuse),
            Request::Lookup(key) => Ok(self.lookup(&key)),
            Request::Page(cursor) => self.page(cursor.as_ref()).map_err(refuse),
            Request::Servers(own) => Ok(self.servers(own).await),
            Request::Address => Ok(RendezvousMessage::AddressResponse {
                host: self.source.to_canonical().to_string(),
            }),
        }
    }

    /// What refuses a registration for what it is goes into its own answer.
    async fn register(&mut self, register: Register) -> Result<RendezvousMessage, No> {
        self.inner.limits.register_from(self.bucket).map_err(wait)?;
        let response = match self.try_register(&register).await {
            Ok(response) => response,
            Err(No(error)) if error.code == ErrorCode::RateLimited.to_u16() => {
                return Err(No(error));
            }
            Err(No(error)) => {
                self.count(error.code);
                let code = ErrorCode::from_u16(error.code).unwrap_or(ErrorCode::NotAllowed);
                RegisterResponse::refused(code, code.meaning())
            }
        };
        Ok(RendezvousMessage::RegisterResponse(response))
    }

    async fn try_register(&mut self, register: &Register) -> Result<RegisterResponse, No> {
        let inner = self.inner.clone();
        let now = clock::wall();
        let knows = |key: &IdentityKey| {
            let directory = inner.directory.read();
            let directory = directory.unwrap_or_else(PoisonError::into_inner);
            directory.knows(key, &register.identity)
        };
        let registration = self.machine.check_known(register, now, knows)?;
        let key: IdentityKey = registration.record().owner().into();
        inner.limits.register(&key).map_err(wait)?;
        let entry = Entry::new(&registration, now);
        let known = {
            let directory = inner
                .directory
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            directory.judge(&entry)?
        };
        if known != Verdict::Same {
            self.dial_back(&registration).await?;
            let kept = inner.keeper.register(entry).await;
            kept.map_err(|code| match code {
                ErrorCode::Busy => wait(BUSY_RETRY),
                code => code.into(),
            })?;
            inner.metrics.registered.inc();
        }
        self.machine.registered(&registration);
        if self.present.is_none() {
            self.present = Some(key);
            let mut directory = inner
                .directory
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            directory.arrive(&key, now);
        }
        Ok(RegisterResponse::registered(registration.record()))
    }

    /// Whether whoever registers is where they say to be.
    async fn dial_back(&self, registration: &Registration) -> Result<(), No> {
        let inner = &self.inner;
        let private = inner.config.allow_private_addresses;
        for endpoint in registration.to_dial_back(self.source, private)? {
            let Ok(_permit) = inner.dial_backs.try_acquire() else {
                return Err(wait(BUSY_RETRY));
            };
            inner.metrics.dialled_back.inc();
            dial_back(&endpoint, registration.identity(), &inner.local, private).await?;
        }
        Ok(())
    }

    fn lookup(&self, key: &IdentityKey) -> RendezvousMessage {
        let found = {
            let directory = self.inner.directory.read();
            let directory = directory.unwrap_or_else(PoisonError::into_inner);
            directory.lookup(key, clock::wall())
        };
        match found {
            Some(_) => self.inner.metrics.found.inc(),
            None => self.inner.metrics.not_found.inc(),
        };
        RendezvousMessage::LookupResponse(LookupResponse {
            peers: found.into_iter().collect(),
            ..LookupResponse::default()
        })
    }

    fn page(&self, cursor: Option<&PageCursor>) -> Result<RendezvousMessage, No> {
        // the machine lets only those browse who have registered
        let key = self.machine.registered_as().ok_or(ErrorCode::NotAllowed)?;
        if !self.inner.config.browse {
            return Err(ErrorCode::NotAllowed.into());
        }
        self.inner.limits.page(&key.into()).map_err(wait)?;
        let page = {
            let directory = self.inner.directory.read();
            let directory = directory.unwrap_or_else(PoisonError::into_inner);
            directory.page(cursor, Place::new(rand::random()), clock::wall())
        };
        self.inner.metrics.pages.inc();
        Ok(RendezvousMessage::LookupResponse(LookupResponse {
            peers: page.peers,
            error_message: None,
            next: page.next,
        }))
    }

    async fn servers(&self, told: Option<Box<ServerRecord>>) -> RendezvousMessage {
        let inner = &self.inner;
        if let Some(told) = told {
            // to be known as a server costs what a registration does
            match inner.limits.register_from(self.bucket) {
                Ok(()) => gossip::hear(inner, *told, self.source, self.bucket.0).await,
                Err(_) => inner.metrics.refuse_candidates(1),
            }
        }
        RendezvousMessage::Servers(Servers {
            servers: gossip::named(inner),
            timestamp: clock::wall(),
        })
    }
}
