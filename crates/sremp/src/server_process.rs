//! A server of this program's own, in a process that can be killed.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use sremp_client::view::ErrorKind;
use sremp_relay::home::RelayHome;
use sremp_rendezvous::home::RendezvousHome;

use crate::cli::Failure;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Relay,
    Rendezvous,
}

impl Kind {
    /// The verb that runs it.
    const fn verb(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Rendezvous => "rendezvous",
        }
    }
}

/// A server on loopback. It ends with this process, however that ends: the pipe to it closes.
pub(crate) struct ServerProcess {
    kind: Kind,
    home: PathBuf,
    child: Option<Child>,
    link: String,
    environment: Vec<(&'static str, OsString)>,
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

impl ServerProcess {
    /// Makes a server in a directory that is not there yet, with these settings beside the address,
    /// and starts it.
    ///
    /// # Errors
    /// What the system or the server said.
    pub(crate) fn start(kind: Kind, home: &Path, settings: &str) -> Result<Self, Failure> {
        let mut server = Self::init(kind, home, settings)?;
        server.run()?;
        Ok(server)
    }

    /// As [`Self::start`], without starting it.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn init(kind: Kind, home: &Path, settings: &str) -> Result<Self, Failure> {
        // the link names the port, so it has to be known before
        let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = format!("listen = \"{free}\"\n{settings}");
        match kind {
            Kind::Relay => sremp_relay::operate::init(&RelayHome::at(home), &config).map(|_| ())?,
            Kind::Rendezvous => {
                sremp_rendezvous::operate::init(&RendezvousHome::at(home), &config).map(|_| ())?;
            }
        }
        Ok(Self {
            kind,
            home: home.to_owned(),
            child: None,
            link: String::new(),
            environment: Vec::new(),
        })
    }

    /// What the next process finds in its environment besides.
    pub(crate) fn surround(&mut self, environment: Vec<(&'static str, OsString)>) {
        self.environment = environment;
    }

    /// Starts it again after [`Self::kill`].
    ///
    /// # Errors
    /// What the system or the server said.
    pub(crate) fn run(&mut self) -> Result<(), Failure> {
        let mut child = self.command()?.spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        self.child = Some(child);
        let verb = self.kind.verb();
        let ready = line.trim().strip_prefix(verb);
        let Some(link) = ready.and_then(|line| line.strip_prefix(" ready ")) else {
            self.kill();
            let message = format!(
                "a {verb} server of its own did not start in {}; try `sremp {verb} run` there",
                self.home.display()
            );
            return Err(Failure::new(ErrorKind::Failed, message));
        };
        self.link = link.to_owned();
        Ok(())
    }

    fn command(&self) -> Result<Command, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args([self.kind.verb(), "run", "--with-parent", "--home"])
            .arg(&self.home)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Ok(command)
    }

    /// Starts it and kills it after so much time, ready or not.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn run_for(&mut self, time: Duration) -> Result<(), Failure> {
        self.child = Some(self.command()?.spawn()?);
        std::thread::sleep(time);
        self.kill();
        Ok(())
    }

    /// Ends it as a loss of power would end the process.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its link.
    pub(crate) fn link(&self) -> &str {
        &self.link
    }

    /// Its directory.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Its process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
}
