//! The second place of a home's epoch: a file outside the home, so that a home that was copied, rolled
//! back or carried to another machine is noticed before it sends anything (D3.13).
//!
//! Before the first session of a run moves, a new random epoch is written into the database in that
//! very transaction, and its mark into the file: the hash of epoch and machine id. At the start the
//! mark has to be that of the database's epoch, or of the one before it, if the last run ended
//! between the two writes. Anything else is a state that went on elsewhere.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use sremp_core::{id::ContactId, rand_core::CryptoRng, wire::bytes::Hex};

use super::{HomeError, create};
use crate::store::{Epoch, Epochs, Store, StoreError, Tx};

/// Where systems keep a number of their own.
const MACHINE_IDS: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// The file outside.
#[derive(Clone, Debug)]
struct Witness {
    path: PathBuf,
    machine: Vec<u8>,
}

impl Witness {
    fn of(directory: &Path, identity: &ContactId) -> Self {
        let name = Sha256::new()
            .chain_update(b"SREMP/1/epoch-name\0")
            .chain_update(identity.as_bytes())
            .finalize();
        let machine = MACHINE_IDS.iter().find_map(|path| fs::read(path).ok());
        Self {
            path: directory.join(format!("{}.epoch", Hex(&name[..16]))),
            machine: machine.unwrap_or_default(),
        }
    }

    fn mark(&self, epoch: &Epoch) -> String {
        let mark = Sha256::new()
            .chain_update(b"SREMP/1/epoch\0")
            .chain_update(epoch)
            .chain_update(&self.machine)
            .finalize();
        format!("{}\n", Hex(&mark))
    }

    fn read(&self) -> Result<Option<String>, HomeError> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            // not what was written, whatever it is
            Err(e) if e.kind() == io::ErrorKind::InvalidData => Ok(Some(String::new())),
            Err(e) => Err(HomeError::io("reading", &self.path, e)),
        }
    }

    fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Keeps the two places of a home's epoch together.
#[derive(Debug)]
pub(crate) struct EpochKeeper {
    /// `None`: this system has no second place.
    witness: Option<Witness>,
    /// The epoch whose mark the file has.
    held: Option<Epoch>,
    /// This run has an epoch of its own.
    renewed: bool,
}

/// What is to be done about the file once a transaction is durable.
#[derive(Debug)]
pub(crate) enum Renewal {
    /// The new mark stands beside the file.
    Beside(Epoch, PathBuf),
    /// It is in the file: there was none.
    InPlace(Epoch),
}

impl EpochKeeper {
    /// Compares the places. A state that went on elsewhere is marked as restored in the store.
    ///
    /// # Errors
    /// [`HomeError`] if one of them cannot be read.
    pub(crate) fn check(store: &mut Store, directory: Option<&Path>) -> Result<Self, HomeError> {
        let (epochs, identity) = store
            .transaction(|tx| Ok::<_, StoreError>((tx.epochs()?, tx.own_identity()?.identity)))
            .map_err(HomeError::Store)?;
        let identity = sremp_core::identity::Identity::verify(&identity)
            .map_err(|_| HomeError::Damaged("the database"))?;
        let Some(directory) = directory else {
            return Ok(Self {
                witness: None,
                held: None,
                renewed: false,
            });
        };
        let witness = Witness::of(directory, &identity.id());
        let found = witness.read()?;
        let held = match (&epochs, &found) {
            (None, None) => None,
            (Some(epochs), Some(mark)) => {
                let both = [epochs.current, epochs.before];
                both.into_iter().find(|epoch| witness.mark(epoch) == *mark)
            }
            _ => None,
        };
        if held.is_none() && (epochs.is_some() || found.is_some()) {
            store
                .transaction(|tx| {
                    tx.mark_restored()?;
                    tx.forget_epoch()
                })
                .map_err(HomeError::Store)?;
            witness.remove();
        }
        Ok(Self {
            witness: Some(witness),
            held,
            renewed: false,
        })
    }

    /// Whether a copy of this home would be noticed.
    pub(crate) const fn watches(&self) -> bool {
        self.witness.is_some()
    }

    /// To be called at the end of every transaction: one that moves the first session of a run leaves a
    /// new epoch. What comes back is for [`Self::settle`].
    ///
    /// # Errors
    /// [`StoreError`] if the epoch cannot be written.
    pub(crate) fn renew<R: CryptoRng + ?Sized>(
        &mut self,
        tx: &mut Tx<'_>,
        rng: &mut R,
    ) -> Result<Option<Renewal>, StoreError> {
        let Some(witness) = self.witness.as_ref().filter(|_| !self.renewed) else {
            return Ok(None);
        };
        if !tx.moves_sessions() {
            return Ok(None);
        }
        let mut epoch = Epoch::default();
        rng.fill_bytes(&mut epoch);
        let renewal = match self.held {
            Some(_) => {
                let beside = witness.path.with_extension("new");
                write(&beside, &witness.mark(&epoch)).map(|()| Renewal::Beside(epoch, beside))
            }
            None => write(&witness.path, &witness.mark(&epoch)).map(|()| Renewal::InPlace(epoch)),
        };
        let renewal = match renewal {
            Ok(renewal) => renewal,
            Err(error) => {
                // the state of before stands in both places still; another run tries again
                tracing::warn!(%error, "the epoch cannot be renewed");
                self.renewed = true;
                return Ok(None);
            }
        };
        tx.set_epochs(&Epochs {
            current: epoch,
            before: self.held.unwrap_or(epoch),
        })?;
        Ok(Some(renewal))
    }

    /// The transaction is durable: the file follows.
    pub(crate) fn settle(&mut self, renewal: Option<Renewal>) {
        let (Some(witness), Some(renewal)) = (&self.witness, renewal) else {
            return;
        };
        self.renewed = true;
        self.held = match renewal {
            Renewal::InPlace(epoch) => Some(epoch),
            Renewal::Beside(epoch, beside) => match create::move_over(&beside, &witness.path) {
                Ok(()) => Some(epoch),
                // what stands there is what the database calls the epoch before
                Err(error) => {
                    tracing::warn!(%error, "the epoch outside the home is behind");
                    self.held
                }
            },
        };
    }

    /// The transaction was lost.
    pub(crate) fn undo(&mut self) {
        if let (Some(witness), None) = (&self.witness, self.held) {
            witness.remove();
        }
    }
}

fn write(path: &Path, mark: &str) -> Result<(), HomeError> {
    if let Some(directory) = path.parent() {
        create::directory(directory, true)?;
    }
    create::replace(path, mark.as_bytes())
}
