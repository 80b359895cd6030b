//! Carries out what the engine decides: one thread for the engine and its store, one small tokio
//! runtime for the network. The only asynchronous part of this crate.

mod asking;
mod backing_up;
mod ended;
mod keeping;
mod listen;
mod measure;
mod recovering;
mod servers;

use std::{
    collections::HashMap,
    net::SocketAddr,
    num::NonZeroU16,
    sync::{Arc, PoisonError},
    thread::JoinHandle,
};

use sremp_core::{error::ErrorCode, id::ContactId};
use sremp_net::{
    Admission, AdmissionLimits, DialTarget, LinkCommand, LinkEvent, LinkHandle, LinkId, Listening,
    LocalIdentity, Network, Service,
    clock::{self, Clock},
    mapping::KeptMapping,
};
use tokio::sync::{mpsc, oneshot, watch};

use self::{
    asking::{Asker, question},
    ended::{BROKEN, Ended, Signal},
    keeping::HomeMailbox,
    listen::{listen_on, parse_listen, remembered},
    servers::ServerTasks,
};
use crate::{
    config::{Config, Direct},
    engine::{Engine, Input, Keep, Mode, Now, Output, Ticket},
    home::{EpochKeeper, Home},
    store::{Store, StoreError},
    view::{Command, CommandError, ErrorKind, Reply},
};

pub(crate) use self::asking::{Answer, FaceId, Respond, STOPPED};

/// Inputs that wait for the engine; whoever brings more waits.
const QUEUE: usize = 1_024;
/// Inputs that share one transaction, and so the cost of its commit.
const BATCH: usize = 256;

/// How long the end waits for rendezvous servers to be told.
const LEAVE: std::time::Duration = std::time::Duration::from_secs(2);

/// What `status` says where a copy of the home would not be noticed.
const UNWATCHED: &str = "this system has no directory for state outside the home, so a copy of it that is used \
     would not be noticed: name one in SREMP_STATE_DIR";

enum Work {
    Command(Command, Asker),
    Left(FaceId),
    Link(Box<LinkEvent>),
    Listening(SocketAddr),
    Server(Box<Input>),
    Shutdown,
}

/// The running client.
pub(crate) struct Runtime {
    work: mpsc::Sender<Work>,
    engine: Option<JoinHandle<()>>,
    ended: Arc<Ended>,
    tokio: Option<tokio::runtime::Runtime>,
}

impl Runtime {
    /// Starts the engine of a store; online, it listens and dials.
    pub(crate) fn start(
        kept: Kept,
        config: Config,
        listen: Option<&str>,
        mode: Mode,
    ) -> Result<Self, CommandError> {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("sremp-net")
            .enable_all()
            .build()
            .map_err(|e| failed(&format!("the network cannot be started: {e}")))?;
        let clock = Clock::start();
        let Kept {
            home,
            mut store,
            epoch,
        } = kept;
        let engine = load(&mut store, &config, mode, now(clock))?;
        let mailbox = keeping::open(&home, &store, &engine, &config, mode, now(clock))?;
        let (identity, identity_seen) =
            watch::channel(Arc::new(LocalIdentity::new(engine.shown())));
        let (link_events, mut from_links) = mpsc::channel(QUEUE);
        let (work, queue) = mpsc::channel(QUEUE);
        let network = {
            let _inside = tokio.enter();
            Network::new(identity_seen, link_events, AdmissionLimits::CLIENT)
        };
        let forward = work.clone();
        tokio.spawn(async move {
            while let Some(event) = from_links.recv().await {
                if forward.send(Work::Link(Box::new(event))).await.is_err() {
                    break;
                }
            }
        });
        let mut listening = None;
        let hidden = mode == Mode::Offline || engine.is_screen();
        if let Some(listen) = listen.filter(|_| !hidden) {
            let configured = config.listen.as_deref().and_then(|l| parse_listen(l).ok());
            let known = remembered(&mut store)?.into_iter().chain(configured);
            let listener = listen_on(&tokio, &network, listen, known)?;
            let _ = work.blocking_send(Work::Listening(listener.local_addr()));
            listening = Some(listener);
        }
        let servers = ServerTasks::new(tokio.handle().clone(), work.clone());
        if mode != Mode::Offline {
            servers.watch_network();
        }
        let port = listening.as_ref().map(|l| l.local_addr().port());
        let wished = config.map_port && config.direct != Direct::Never;
        let port = port.filter(|_| wished && mode == Mode::Resident);
        let mapping = port
            .and_then(NonZeroU16::new)
            .map(|port| servers.map(port, config.allow_private_addresses));
        let ended = Arc::new(Ended::default());
        let shell = Shell {
            home,
            store,
            epoch,
            engine,
            config,
            mode,
            clock,
            identity,
            network,
            listening,
            servers,
            again: Vec::new(),
            disk_failed: false,
            mapping,
            handle: tokio.handle().clone(),
            queue,
            mailbox,
            to_keep: Vec::new(),
            kept: Vec::new(),
            next_ticket: 0,
            last_step: 0,
            asked: HashMap::new(),
            answers: HashMap::new(),
            links: HashMap::new(),
            stop: false,
            retired: false,
        };
        let signal = Arc::clone(&ended);
        let engine = std::thread::Builder::new()
            .name("sremp-engine".to_owned())
            .spawn(move || {
                let mut signal = Signal(signal, Err(failed(BROKEN)));
                signal.1 = shell.run();
            })
            .map_err(|e| failed(&format!("the engine cannot be started: {e}")))?;
        Ok(Self {
            work,
            engine: Some(engine),
            ended,
            tokio: Some(tokio),
        })
    }

    /// Waits until the client has ended, at most so long; `None`: it is still running.
    pub(crate) fn wait(&self, timeout: std::time::Duration) -> Option<Result<(), CommandError>> {
        let reason = self
            .ended
            .reason
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (reason, _) = self
            .ended
            .changed
            .wait_timeout_while(reason, timeout, |r| r.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        reason.clone()
    }

    /// Ends the client: connections are told, the store is closed.
    pub(crate) fn stop(&mut self) {
        let _ = self.work.blocking_send(Work::Shutdown);
        if let Some(engine) = self.engine.take() {
            let _ = engine.join();
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.stop();
        // a name lookup that hangs must not hold the end up
        if let Some(tokio) = self.tokio.take() {
            tokio.shutdown_background();
        }
    }
}

/// The home that a client works with.
pub(crate) struct Kept {
    pub(crate) home: Home,
    pub(crate) store: Store,
    pub(crate) epoch: EpochKeeper,
}

/// Both clocks.
fn now(clock: Clock) -> Now {
    Now {
        wall: clock::wall(),
        tick: clock.now(),
    }
}

/// What the shell knows of a connection.
struct Known {
    handle: LinkHandle,
    service: Service,
    /// Whom it was dialled for, until it is open.
    dialled: Option<ContactId>,
}

/// The engine's thread.
struct Shell {
    home: Home,
    store: Store,
    epoch: EpochKeeper,
    engine: Engine,
    config: Config,
    mode: Mode,
    clock: Clock,
    identity: watch::Sender<Arc<LocalIdentity>>,
    network: Network,
    listening: Option<Listening>,
    servers: ServerTasks,
    /// What an engine that begins anew has to be told once more.
    again: Vec<Input>,
    /// The disk refused what was to be kept, and has not been seen to take it since.
    disk_failed: bool,
    mapping: Option<KeptMapping>,
    handle: tokio::runtime::Handle,
    queue: mpsc::Receiver<Work>,
    /// The mailbox of the built-in relay.
    mailbox: Option<HomeMailbox>,
    /// Envelopes of the step under way that are to be in it.
    to_keep: Vec<Keep>,
    /// What has come of it.
    kept: Vec<Input>,
    next_ticket: u64,
    /// The last ticket before the step that is under way.
    last_step: u64,
    asked: HashMap<Ticket, Asker>,
    answers: HashMap<LinkId, oneshot::Sender<Admission>>,
    links: HashMap<LinkId, Known>,
    stop: bool,
    /// The identity has moved elsewhere: what came after that is not for this home.
    retired: bool,
}

impl Shell {
    fn run(mut self) -> Result<(), CommandError> {
        let mut result = Ok(());
        while !self.stop {
            self.last_step = self.next_ticket;
            let inputs = self.next_inputs();
            if self.retired {
                break;
            }
            let now = now(self.clock);
            let (engine, epoch) = (&mut self.engine, &mut self.epoch);
            let step = self.store.transaction(|tx| {
                let outputs = engine.step(tx, inputs, now, &mut rand::rng())?;
                let renewal = epoch.renew(tx, &mut rand::rng())?;
                Ok::<_, StoreError>((outputs, renewal))
            });
            match step {
                Ok((outputs, renewal)) => {
                    self.epoch.settle(renewal);
                    outputs.into_iter().for_each(|output| self.perform(output));
                    self.keep();
                }
                Err(error) => {
                    self.epoch.undo();
                    if let Err(fatal) = self.recover(&error) {
                        result = Err(fatal);
                        break;
                    }
                }
            }
        }
        self.end(result.clone());
        result
    }

    /// Waits for something to happen and takes what has come until then.
    fn next_inputs(&mut self) -> Vec<Input> {
        self.mind_mailbox();
        let deadline = self.clock.instant(self.deadline());
        let queue = &mut self.queue;
        let first = self.handle.block_on(async {
            tokio::select! {
                work = queue.recv() => Some(work),
                () = tokio::time::sleep_until(deadline) => None,
            }
        });
        let mut inputs = vec![Input::Deadline];
        inputs.append(&mut self.again);
        inputs.append(&mut self.kept);
        let mut next = match first {
            None => return inputs,
            Some(work) => Some(work.unwrap_or(Work::Shutdown)),
        };
        while let Some(work) = next {
            inputs.extend(self.translate(work));
            next = match inputs.len() < BATCH && !self.stop {
                true => self.queue.try_recv().ok(),
                false => None,
            };
        }
        inputs
    }

    fn translate(&mut self, work: Work) -> Option<Input> {
        match work {
            Work::Command(Command::Backup { file, retire }, asker) if !self.engine.is_screen() => {
                self.back_up(&file, retire, asker);
                None
            }
            Work::Command(command, asker) => {
                self.next_ticket += 1;
                let ticket = Ticket(self.next_ticket);
                self.asked.insert(ticket, asker);
                Some(question(ticket, command, &mut self.store))
            }
            Work::Left(face) => {
                let asked = self.asked.iter().filter(|(_, asker)| asker.face == face);
                Some(Input::Left(asked.map(|(ticket, _)| *ticket).collect()))
            }
            Work::Listening(address) => Some(Input::Listening(Some(address))),
            Work::Shutdown => {
                self.stop = true;
                None
            }
            Work::Link(event) => Some(self.translate_link(*event)),
            Work::Server(input) => Some(*input),
        }
    }

    fn translate_link(&mut self, event: LinkEvent) -> Input {
        match event {
            LinkEvent::Shown {
                link,
                identity,
                intro,
                answer,
                ..
            } => {
                self.answers.insert(link, answer);
                Input::Shown {
                    link,
                    service: self.service_of(link),
                    identity: Box::new(identity),
                    intro,
                }
            }
            LinkEvent::Opened {
                link,
                direction,
                peer,
                channel_binding,
                handle,
            } => {
                let service = self.service_of(link);
                // from now on its end is no failed dial
                let dialled = None;
                let known = Known {
                    handle,
                    service,
                    dialled,
                };
                self.links.insert(link, known);
                Input::Opened {
                    link,
                    service,
                    direction,
                    identity: Box::new(peer),
                    binding: channel_binding,
                }
            }
            LinkEvent::Message { link, message } => Input::Message { link, message },
            LinkEvent::Pong { link } => Input::Pong(link),
            LinkEvent::Closed { link, reason, .. } => {
                self.answers.remove(&link);
                let service = self.service_of(link);
                let dialled = self.links.remove(&link).and_then(|known| known.dialled);
                Input::Closed {
                    link,
                    service,
                    dialled,
                    reason,
                }
            }
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Reply { ticket, mut result } => {
                if let Ok(Reply::Status(view)) = result.as_mut() {
                    if !self.epoch.watches() && !self.engine.is_screen() {
                        view.warnings.push(UNWATCHED.to_owned());
                    }
                    view.warnings.extend(self.disk_warning());
                }
                if let Some(asker) = self.asked.remove(&ticket) {
                    (asker.respond)(*result);
                }
            }
            Output::Dial(target) => self.dial(*target),
            Output::Admit { link, admission } => {
                if let Some(answer) = self.answers.remove(&link) {
                    let _ = answer.send(admission);
                }
            }
            Output::Send { link, message } => self.tell(link, LinkCommand::Send(message)),
            Output::Probe(link) => self.tell(link, LinkCommand::Probe),
            Output::Close { link, code } => self.tell(link, LinkCommand::Close(code)),
            Output::IdentityChanged => {
                let identity = Arc::new(LocalIdentity::new(self.engine.shown()));
                self.identity.send_replace(identity);
            }
            Output::Connect(target) => self.servers.connect(*target),
            Output::Ask { link, message } => self.servers.ask(link, message),
            Output::Disconnect(link) => self.servers.disconnect(link),
            Output::Resolve(domain) => self.servers.resolve(domain),
            Output::Keep(keep) => self.to_keep.push(*keep),
            Output::Discard(cursor) => self.discard(cursor),
            Output::Stop => self.stop = true,
        }
    }

    fn dial(&mut self, target: DialTarget) {
        let (service, dialled) = (target.service, target.expected);
        let _inside = self.handle.enter();
        let (link, handle) = self.network.dial(target);
        let known = Known {
            handle,
            service,
            dialled,
        };
        self.links.insert(link, known);
    }

    /// What a connection is for: whoever dials us is a person.
    fn service_of(&self, link: LinkId) -> Service {
        let known = self.links.get(&link);
        known.map_or(Service::P2p, |known| known.service)
    }

    /// A connection whose queue is full reads too slowly: it is closed, and everything unconfirmed
    /// is sent again on the next one.
    fn tell(&mut self, link: LinkId, command: LinkCommand) {
        if let Some(known) = self.links.get(&link)
            && known.handle.try_send(command).is_err()
        {
            let _ = known.handle.try_send(LinkCommand::Close(ErrorCode::Busy));
        }
    }
}

fn load(store: &mut Store, config: &Config, mode: Mode, now: Now) -> Result<Engine, CommandError> {
    store
        .transaction(|tx| Engine::load(tx, config.clone(), mode, now, &mut rand::rng()))
        .map_err(<CommandError as From<StoreError>>::from)
}

fn failed(message: &str) -> CommandError {
    CommandError::new(ErrorKind::Failed, message)
}
