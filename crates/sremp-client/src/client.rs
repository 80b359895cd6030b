//! The handle that faces hold: a client in this process, or the socket of one that runs already.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use sremp_core::{
    contact_card::RelayLink,
    identity::{SecretIdentity, Username},
};
use sremp_net::clock::wall;

use crate::{
    config::{Config, check_relays, check_rendezvous},
    control::{Client, ControlServer, Remote, dial},
    engine::{Mode, forget_own_places},
    home::{EpochKeeper, Home, HomeLock, Passphrase},
    runtime::{FaceId, Kept, Respond, Runtime, STOPPED},
    store::StoreError,
    view::{Command, CommandError, ErrorKind, IdView, Reply},
};

/// What `init` needs to know.
pub struct InitParams {
    /// The name on the card.
    pub name: String,
    /// Protects the home.
    pub passphrase: Passphrase,
    /// Where the client listens, `ADDR:PORT`; port 0 is replaced by a free one at once.
    pub listen: Option<String>,
    /// The endpoint on the card, `HOST:PORT`.
    pub advertise: Option<String>,
    /// Links of relays, the preferred one first.
    pub relays: Vec<String>,
    /// Rendezvous servers: links, or domains that name them. None: those that come with the program.
    pub rendezvous: Vec<String>,
}

/// Makes an identity and its home.
///
/// # Errors
/// [`CommandError`]: a name that breaks a rule, a home that is there already, a disk that is full.
/// Nothing is left half made.
pub fn init(home: &Home, params: &InitParams) -> Result<IdView, CommandError> {
    let usage = |message: String| CommandError::new(ErrorKind::Usage, message);
    let name =
        Username::enforce(&params.name).map_err(|e| usage(format!("{e}; choose another")))?;
    if let Some(advertise) = &params.advertise {
        advertise
            .parse::<sremp_core::contact_card::Endpoint>()
            .map_err(|_| usage(format!("{advertise} is no endpoint; give HOST:PORT")))?;
    }
    let relays: Result<Vec<RelayLink>, _> = params.relays.iter().map(|l| l.parse()).collect();
    let relays = relays.map_err(|e| usage(e.to_string()))?;
    check_relays(&relays).map_err(usage)?;
    let rendezvous = match params.rendezvous.as_slice() {
        [] => None,
        places => Some(check_rendezvous(places).map_err(usage)?),
    };
    let listen = params.listen.as_deref().map(fix_port).transpose()?;
    let config = Config {
        listen,
        advertise: params.advertise.clone(),
        relays,
        rendezvous,
        ..Config::default()
    };
    let mut rng = rand::rng();
    let now = wall();
    let identity = SecretIdentity::generate(&name, now, &mut rng);
    home.create(&params.passphrase, &config, &identity, now, &mut rng)?;
    id_of(home, &params.passphrase, StartOptions::default())
}

/// Makes a home of a backup. Its sessions begin anew with this; contacts are told once it is online.
/// `state` is where the home's epoch is kept ([`StartOptions::state`]).
///
/// # Errors
/// [`CommandError`]: no backup, a wrong passphrase, a home that is there already, another home of the
/// identity that is in use, a damaged file, a disk that is full. Nothing is left half made.
pub fn restore(
    home: &Home,
    from: &std::path::Path,
    passphrase: &Passphrase,
    state: Option<std::path::PathBuf>,
) -> Result<IdView, CommandError> {
    home.restore(from, passphrase, state.as_deref(), &mut rand::rng())?;
    let options = StartOptions {
        state,
        ..StartOptions::default()
    };
    id_of(home, passphrase, options)
}

/// Makes a home of a backup that only shows what the home has that the backup was made of: a screen.
/// `at` is where that home is reached, `HOST:PORT`, unless the backup says so.
///
/// # Errors
/// As [`restore`]; the home had no built-in relay, or it is not known where it is.
pub fn restore_screen(
    home: &Home,
    from: &std::path::Path,
    passphrase: &Passphrase,
    at: Option<&str>,
) -> Result<IdView, CommandError> {
    if let Some(at) = at.filter(|at| at.parse::<sremp_core::contact_card::Endpoint>().is_err()) {
        let message = format!("{at} is no endpoint; give HOST:PORT");
        return Err(CommandError::new(ErrorKind::Usage, message));
    }
    home.restore_screen(from, passphrase, at, &mut rand::rng())?;
    id_of(home, passphrase, StartOptions::default())
}

fn id_of(
    home: &Home,
    passphrase: &Passphrase,
    options: StartOptions,
) -> Result<IdView, CommandError> {
    let face = Face::start(home, passphrase, &options)?;
    match face.call(&Command::Id)? {
        Reply::Id(view) => Ok(view),
        _ => Err(CommandError::new(ErrorKind::Failed, "no identity was made")),
    }
}

/// A card made before the first start has to name a port: a free one is chosen now.
fn fix_port(listen: &str) -> Result<String, CommandError> {
    let usage = || {
        let message = format!("{listen} is no address to listen on; give ADDR:PORT, as 0.0.0.0:0");
        CommandError::new(ErrorKind::Usage, message)
    };
    let mut address: std::net::SocketAddr = listen.parse().map_err(|_| usage())?;
    if address.port() == 0 {
        let free = std::net::TcpListener::bind(address).and_then(|l| l.local_addr());
        let free = free.map_err(|e| {
            let message = format!("cannot listen on {listen}: {e}; choose another with --listen");
            CommandError::new(ErrorKind::Network, message)
        })?;
        address.set_port(free.port());
    }
    Ok(address.to_string())
}

/// How to start a client in this process.
#[derive(Clone, Debug, Default)]
pub struct StartOptions {
    /// Listens here instead of where the config says.
    pub listen: Option<String>,
    /// Listens nowhere, whatever the config says.
    pub deaf: bool,
    /// Uses the network; else only the store.
    pub online: bool,
    /// Opens the socket for other faces.
    pub serve: bool,
    /// Stays: is to be found through rendezvous servers, as a client that serves always is.
    pub resident: bool,
    /// A directory outside the home, and outside what is copied with it, where the home's epoch is
    /// kept (protocol D3.13); `None`: a copy of the home is not noticed.
    pub state: Option<std::path::PathBuf>,
    /// Dials private addresses that contacts name, whatever the config says (protocol D5.4).
    pub allow_private_addresses: bool,
}

/// A client, near or far.
pub struct Face(Kind);

enum Kind {
    Local {
        // in the order in which they have to go
        control: Option<ControlServer>,
        runtime: Arc<Runtime>,
        _lock: HomeLock,
    },
    Remote(Remote),
}

impl Face {
    /// The running client of a home, `None` if there is none.
    ///
    /// # Errors
    /// [`CommandError`] if there is one that cannot be reached.
    pub fn attach(home: &Home) -> Result<Option<Self>, CommandError> {
        let remote = Remote::connect(home).map_err(|e| {
            let message =
                format!("the running client cannot be reached: {e}; is it another user's?");
            CommandError::new(ErrorKind::Home, message)
        })?;
        Ok(remote.map(|remote| Self(Kind::Remote(remote))))
    }

    /// Starts the client of a home in this process.
    ///
    /// # Errors
    /// [`CommandError`]: no home, a wrong passphrase, another process on the same home, a damaged
    /// or newer store, a port in use.
    pub fn start(
        home: &Home,
        passphrase: &Passphrase,
        options: &StartOptions,
    ) -> Result<Self, CommandError> {
        let lock = home.lock()?;
        let mut config = home.config()?;
        config.allow_private_addresses |= options.allow_private_addresses;
        let mut store = home.open(&lock, passphrase)?;
        // a screen has no sessions that a copy of it could move
        let screen = store.transaction(|tx| tx.screen());
        let screen = screen.map_err(<CommandError as From<StoreError>>::from)?;
        let state = options.state.as_deref().filter(|_| screen.is_none());
        let epoch = EpochKeeper::check(&mut store, state)?;
        let listen = options.listen.clone().or_else(|| config.listen.clone());
        let listens = listen.is_some();
        let listen = listen.filter(|_| !options.deaf);
        if options.resident && !listens && screen.is_none() {
            let forgotten = store.transaction(forget_own_places);
            forgotten.map_err(<CommandError as From<StoreError>>::from)?;
        }
        let mode = match (options.online, options.serve || options.resident) {
            (false, _) => Mode::Offline,
            (true, false) => Mode::Visiting,
            (true, true) => Mode::Resident,
        };
        let kept = Kept {
            home: home.clone(),
            store,
            epoch,
        };
        let runtime = Runtime::start(kept, config, listen.as_deref(), mode)?;
        let runtime = Arc::new(runtime);
        let control = match options.serve {
            true => Some(serve(home, &runtime)?),
            false => None,
        };
        Ok(Self(Kind::Local {
            control,
            runtime,
            _lock: lock,
        }))
    }

    /// Asks the client and waits for its answer.
    ///
    /// # Errors
    /// [`CommandError`] as the command says.
    pub fn call(&self, command: &Command) -> Result<Reply, CommandError> {
        match &self.0 {
            Kind::Local { runtime, .. } => runtime.call(command.clone()),
            Kind::Remote(remote) => remote.call(command),
        }
    }

    /// Waits until a client in this process has ended, at most so long; `None`: it still runs. A
    /// far one is not waited for.
    pub fn wait(&self, timeout: Duration) -> Option<Result<(), CommandError>> {
        match &self.0 {
            Kind::Local { runtime, .. } => runtime.wait(timeout),
            Kind::Remote(_) => Some(Ok(())),
        }
    }

    /// Whether the client runs in another process.
    pub fn is_remote(&self) -> bool {
        matches!(self.0, Kind::Remote(_))
    }

    /// Ends a client in this process: peers are told, the store is closed. A far one runs on.
    pub fn stop(self) {
        if let Kind::Local {
            control, runtime, ..
        } = self.0
        {
            drop(control);
            let _ = runtime.call(Command::Stop);
            let _ = runtime.wait(Duration::from_secs(10));
        }
    }
}

impl Client for Weak<Runtime> {
    fn ask(&self, face: FaceId, command: Command, respond: Respond) {
        match self.upgrade() {
            Some(runtime) => runtime.ask(face, command, respond),
            None => respond(Err(CommandError::new(ErrorKind::Failed, STOPPED))),
        }
    }

    fn left(&self, face: FaceId) {
        if let Some(runtime) = self.upgrade() {
            runtime.left(face);
        }
    }
}

fn serve(home: &Home, runtime: &Arc<Runtime>) -> Result<ControlServer, CommandError> {
    let client = Arc::new(Arc::downgrade(runtime));
    ControlServer::open(&home.socket_path(), client).map_err(|e| {
        let message = format!("the socket in the home cannot be opened: {e}");
        CommandError::new(ErrorKind::Home, message)
    })
}

/// A connection to the socket of a home's running client, for whoever speaks JSON-RPC 2.0 on it.
///
/// # Errors
/// Those of connecting: there is no such client, or not for this user.
pub fn connect(home: &Home) -> std::io::Result<std::os::unix::net::UnixStream> {
    dial(&home.socket_path())
}
