//! A relay of this program's own, in a process that can be killed.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use sremp_client::view::ErrorKind;
use sremp_relay::{home::RelayHome, operate};

use crate::cli::Failure;

/// A relay on loopback. It ends with this process, however that ends: the pipe to it closes.
pub(crate) struct RelayProcess {
    home: PathBuf,
    child: Option<Child>,
    link: String,
}

impl Drop for RelayProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

impl RelayProcess {
    /// Makes a relay in a directory that is not there yet, with these settings beside the address,
    /// and starts it.
    ///
    /// # Errors
    /// What the system or the relay said.
    pub(crate) fn start(home: &Path, settings: &str) -> Result<Self, Failure> {
        // the link names the port, so it has to be known before
        let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = format!("listen = \"{free}\"\n{settings}");
        operate::init(&RelayHome::at(home), &config).map_err(Failure::from)?;
        let mut relay = Self {
            home: home.to_owned(),
            child: None,
            link: String::new(),
        };
        relay.run()?;
        Ok(relay)
    }

    /// Starts it again after [`Self::kill`].
    ///
    /// # Errors
    /// What the system or the relay said.
    pub(crate) fn run(&mut self) -> Result<(), Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["relay", "run", "--with-parent", "--home"])
            .arg(&self.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        self.child = Some(child);
        let Some(link) = line.trim().strip_prefix("relay ready ") else {
            self.kill();
            let message = format!(
                "a relay of its own did not start in {}; try `sremp relay run` there",
                self.home.display()
            );
            return Err(Failure::new(ErrorKind::Failed, message));
        };
        self.link = link.to_owned();
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
