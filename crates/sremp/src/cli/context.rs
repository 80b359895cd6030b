//! What is meant by the options that every verb shares: which home, and how to reach its client.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use etcetera::BaseStrategy as _;
use sremp_client::{
    client::{Face, StartOptions},
    home::{Home, HomeError, Passphrase},
    view::{CommandError, ErrorKind},
};

use super::{Failure, Out, args::Shared, passphrase::Unlock};

/// How long another verb may keep the home before this one gives up.
const OTHERS_TURN: Duration = Duration::from_secs(3);

/// How often to try again although the home is free.
const DOUBTS: u32 = 3;

/// How often to look whether the home is free.
const GLANCE: Duration = Duration::from_millis(20);

/// A home and the ways to its client.
pub(crate) struct Context {
    /// The home's directory, absolute.
    pub(crate) path: PathBuf,
    /// The home.
    pub(crate) home: Home,
    /// Where its passphrase comes from.
    pub(crate) unlock: Unlock,
    /// Where what is kept outside of homes lies.
    pub(crate) state: Option<PathBuf>,
    /// How results are printed.
    pub(crate) out: Out,
}

/// A client to ask: somebody else's process, or this one.
pub(crate) struct Client {
    /// The handle.
    pub(crate) face: Face,
    /// Whether the engine runs in this process and ends with it.
    pub(crate) ours: bool,
}

impl Context {
    /// Makes out what the shared options mean.
    ///
    /// # Errors
    /// [`ErrorKind::Home`] if the platform has no place for data.
    pub(crate) fn meant(shared: Shared, out: Out) -> Result<Self, CommandError> {
        let path = home_path(shared.home.as_deref())?;
        Ok(Self {
            home: Home::at(&path),
            path,
            unlock: Unlock::meant(shared.passphrase_file),
            state: state_path(),
            out,
        })
    }

    /// Does work with the running client, or else with the home's data and no network.
    ///
    /// # Errors
    /// Those of attaching, opening and of the work.
    pub(crate) fn locally<T>(
        &self,
        work: impl FnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let options = StartOptions {
            allow_private_addresses: private_addresses_allowed(),
            state: self.state.clone(),
            ..StartOptions::default()
        };
        self.with(|passphrase| self.start(passphrase, &options), work)
    }

    /// Does work with the running client, or else runs one in this process. `serve` lets other
    /// faces use it meanwhile.
    ///
    /// # Errors
    /// Those of attaching, opening and of the work.
    pub(crate) fn online<T>(
        &self,
        serve: bool,
        work: impl FnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let options = self.for_a_while(serve);
        self.with(|passphrase| self.start(passphrase, &options), work)
    }

    /// The same, although nothing can listen where the settings say; the second result is why not.
    ///
    /// # Errors
    /// Those of attaching, opening and of the work.
    pub(crate) fn online_although_deaf<T>(
        &self,
        work: impl FnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<(T, Option<CommandError>), Failure> {
        let mut deaf = None;
        let done = self.with(
            |passphrase| {
                let mut options = self.for_a_while(false);
                let started = self.start(passphrase, &options);
                match started {
                    Err(error) if error.kind == ErrorKind::Network => deaf = Some(error),
                    started => return started,
                }
                options.deaf = true;
                self.start(passphrase, &options)
            },
            work,
        )?;
        Ok((done, deaf))
    }

    fn for_a_while(&self, serve: bool) -> StartOptions {
        StartOptions {
            online: true,
            serve,
            state: self.state.clone(),
            allow_private_addresses: private_addresses_allowed(),
            ..StartOptions::default()
        }
    }

    fn with<T>(
        &self,
        start: impl FnMut(&Passphrase) -> Result<Client, CommandError>,
        work: impl FnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let client = match self.running()? {
            Some(face) => Client { face, ours: false },
            None => self.unlock.open(&self.home, start)?,
        };
        let result = work(&client);
        client.face.stop();
        result
    }

    /// The client that runs in another process.
    ///
    /// # Errors
    /// [`ErrorKind::Home`] if there is no home.
    pub(crate) fn running(&self) -> Result<Option<Face>, CommandError> {
        Face::attach(&self.home)
    }

    /// Waits for a process that has the home and cannot be asked: it may be about to end.
    ///
    /// # Errors
    /// [`ErrorKind::Home`] if it still has the home after a while, or there is none.
    pub(crate) fn wait_until_free(&self) -> Result<(), CommandError> {
        let end = Instant::now() + OTHERS_TURN;
        loop {
            match self.home.lock() {
                Err(HomeError::InUse { .. }) if Instant::now() <= end => thread::sleep(GLANCE),
                Err(error @ (HomeError::InUse { .. } | HomeError::NotFound(_))) => {
                    return Err(error.into());
                }
                _ => return Ok(()),
            }
        }
    }

    /// Starts a client. Another verb that has the home for a moment is waited for, and a client that
    /// has been started meanwhile is asked instead.
    ///
    /// # Errors
    /// Those of opening.
    pub(crate) fn start(
        &self,
        passphrase: &Passphrase,
        options: &StartOptions,
    ) -> Result<Client, CommandError> {
        let end = Instant::now() + OTHERS_TURN;
        let mut doubts = 0;
        loop {
            let error = match Face::start(&self.home, passphrase, options) {
                Ok(face) => return Ok(Client { face, ours: true }),
                Err(error) => error,
            };
            if error.kind != ErrorKind::Home || Instant::now() > end {
                return Err(error);
            }
            if let Some(face) = self.running()? {
                return Ok(Client { face, ours: false });
            }
            match self.home.lock() {
                Err(HomeError::InUse { .. }) => {}
                // Whoever had it may have left since: only then is another try worth it.
                Ok(_) if doubts < DOUBTS => doubts += 1,
                _ => return Err(error),
            }
            thread::sleep(GLANCE);
        }
    }
}

/// Whether `allow_private_addresses` is set for this process.
pub(crate) fn private_addresses_allowed() -> bool {
    std::env::var_os("SREMP_ALLOW_PRIVATE_ADDRESSES").is_some_and(|value| value == "1")
}

/// The home's directory: as given, or the platform's.
///
/// # Errors
/// [`ErrorKind::Home`] if the platform has no place for data, [`ErrorKind::Usage`] if what is given
/// is empty.
pub(crate) fn home_path(given: Option<&Path>) -> Result<PathBuf, CommandError> {
    let path = match given {
        Some(path) if path.as_os_str().is_empty() => return Err(empty_home()),
        Some(path) => path.to_owned(),
        None => etcetera::choose_base_strategy()
            .map_err(|_| nowhere("the user has no home directory"))?
            .data_dir()
            .join("sremp"),
    };
    std::path::absolute(path).map_err(|error| nowhere(&error.to_string()))
}

/// The directory for what is kept outside of homes; `None` if the platform has none.
pub(crate) fn state_path() -> Option<PathBuf> {
    let given = std::env::var_os("SREMP_STATE_DIR").filter(|path| !path.is_empty());
    match given {
        Some(path) => std::path::absolute(path).ok(),
        None => {
            let platform = etcetera::choose_base_strategy().ok()?;
            Some(platform.state_dir()?.join("sremp"))
        }
    }
}

/// A script that sets a variable from another one that is not set does not want the platform's home.
pub(crate) fn empty_home() -> CommandError {
    let from_variable = std::env::var_os("SREMP_HOME").is_some_and(|value| value.is_empty());
    let message = match from_variable {
        true => "SREMP_HOME is empty; set it to a directory, or unset it for the platform's own",
        false => "--home is empty; give a directory, or leave it out for the platform's own",
    };
    CommandError::new(ErrorKind::Usage, message)
}

fn nowhere(why: &str) -> CommandError {
    CommandError::new(
        ErrorKind::Home,
        format!("there is no place for data: {why}; choose one with --home DIR or SREMP_HOME"),
    )
}
