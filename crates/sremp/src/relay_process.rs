//! A relay of this program's own, in a process that can be killed.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use sremp_client::view::ErrorKind;
use sremp_relay::{home::RelayHome, operate};

use crate::cli::Failure;

/// A relay on loopback. It ends with this process, however that ends: the pipe to it closes.
pub(crate) struct RelayProcess {
    home: PathBuf,
    child: Option<Child>,
    link: String,
    environment: Vec<(&'static str, OsString)>,
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
        let mut relay = Self::init(home, settings)?;
        relay.run()?;
        Ok(relay)
    }

    /// As [`Self::start`], without starting it.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn init(home: &Path, settings: &str) -> Result<Self, Failure> {
        // the link names the port, so it has to be known before
        let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = format!("listen = \"{free}\"\n{settings}");
        operate::init(&RelayHome::at(home), &config).map_err(Failure::from)?;
        Ok(Self {
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
    /// What the system or the relay said.
    pub(crate) fn run(&mut self) -> Result<(), Failure> {
        let mut child = self.command()?.spawn()?;
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

    fn command(&self) -> Result<Command, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["relay", "run", "--with-parent", "--home"])
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
