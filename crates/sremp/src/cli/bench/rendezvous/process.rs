//! A rendezvous server in a process of its own.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use sremp_client::view::ErrorKind;
use sremp_rendezvous::{
    home::RendezvousHome,
    operate,
    run::{RendezvousLink, RendezvousLinkError},
};

use crate::cli::Failure;

/// A server on loopback. It ends with this process, however that ends: the pipe to it closes.
pub(super) struct RendezvousProcess {
    home: RendezvousHome,
    child: Option<Child>,
    link: String,
}

impl Drop for RendezvousProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

impl RendezvousProcess {
    /// Makes a server in a directory that is not there yet, with these settings beside the address,
    /// and does not start it.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn init(home: &Path, settings: &str) -> Result<Self, Failure> {
        // the link names the port, so it has to be known before
        let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let home = RendezvousHome::at(home);
        let config = format!("listen = \"{free}\"\n{settings}");
        operate::init(&home, &config).map_err(Failure::from)?;
        Ok(Self {
            home,
            child: None,
            link: String::new(),
        })
    }

    /// Starts it; it is ready when this returns.
    ///
    /// # Errors
    /// What the system or the server said.
    pub(super) fn run(&mut self) -> Result<(), Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["rendezvous", "run", "--with-parent", "--home"])
            .arg(self.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        self.child = Some(child);
        match line.trim().strip_prefix("rendezvous ready ") {
            Some(link) => self.link = link.to_owned(),
            None => {
                self.kill();
                let message = "a rendezvous server of its own did not start";
                return Err(Failure::new(ErrorKind::Failed, message.to_owned()));
            }
        }
        Ok(())
    }

    /// Ends it as a loss of power would end the process.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its link.
    ///
    /// # Errors
    /// None once it runs.
    pub(super) fn link(&self) -> Result<RendezvousLink, Failure> {
        let parsed = self.link.parse();
        parsed.map_err(|e: RendezvousLinkError| Failure::new(ErrorKind::Failed, e.to_string()))
    }

    /// Its directory.
    pub(super) fn home(&self) -> RendezvousHome {
        self.home.clone()
    }

    /// Its process, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
}
