//! The second place of a home's epoch: a file outside the home, so that a home that was copied, rolled
//! back or carried to another machine is noticed before it sends anything (D3.13).
//!
//! Before the first session of a run moves, a new random epoch is written into the database in that
//! very transaction, and its mark into the file: the hash of epoch and machine id. At the start the
//! mark has to be that of the database's epoch, or of the one before it, if the last run ended
//! between the two writes. Anything else is a state that went on elsewhere. While a home is used the
//! place is locked: a copy of it on the same machine would pass for it until it moves a session.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use sremp_core::{id::ContactId, rand_core::CryptoRng, wire::bytes::Hex};

use super::{HomeError, HomeLock, create};
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
            Err(e) => Err(HomeError::reading(&self.path, e)),
        }
    }

    /// Keeps copies of the home from being used beside it. `None`: the place cannot be written, which
    /// whoever moves a session says.
    fn lock(&self) -> Result<Option<HomeLock>, HomeError> {
        let path = self.path.with_extension("lock");
        let made = path
            .parent()
            .map(|directory| create::directory(directory, true));
        match made
            .unwrap_or(Ok(()))
            .and_then(|()| HomeLock::take(&path, &path))
        {
            Ok(lock) => Ok(Some(lock)),
            Err(HomeError::InUse { pid }) => Err(HomeError::CopyInUse { pid }),
            Err(_) => Ok(None),
        }
    }

    fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Keeps every home of the identity of a store from being used, as long as what comes back is kept.
///
/// # Errors
/// [`HomeError::CopyInUse`]: one is used.
pub(super) fn only_use(
    store: &mut Store,
    directory: Option<&Path>,
) -> Result<Option<HomeLock>, HomeError> {
    match directory {
        Some(directory) => Witness::of(directory, &identity(store)?).lock(),
        None => Ok(None),
    }
}

fn identity(store: &mut Store) -> Result<ContactId, HomeError> {
    let own = store.transaction(|tx| tx.own_identity());
    let own = own.map_err(HomeError::Store)?;
    match sremp_core::identity::Identity::verify(&own.identity) {
        Ok(identity) => Ok(identity.id()),
        Err(_) => Err(HomeError::Damaged("the database")),
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
    _lock: Option<HomeLock>,
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
    /// [`HomeError`] if one of them cannot be read; [`HomeError::CopyInUse`].
    pub(crate) fn check(store: &mut Store, directory: Option<&Path>) -> Result<Self, HomeError> {
        let identity = identity(store)?;
        let epochs = store.transaction(|tx| tx.epochs());
        let epochs = epochs.map_err(HomeError::Store)?;
        let Some(directory) = directory else {
            return Ok(Self {
                witness: None,
                held: None,
                renewed: false,
                _lock: None,
            });
        };
        let witness = Witness::of(directory, &identity);
        let lock = witness.lock()?;
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
        let mut keeper = Self {
            witness: Some(witness),
            held,
            renewed: false,
            _lock: lock,
        };
        keeper.catch_up(epochs);
        Ok(keeper)
    }

    /// The last run ended between the two writes: what it encrypted may go out in this one, and the
    /// state of before would still pass.
    fn catch_up(&mut self, epochs: Option<Epochs>) {
        let (Some(witness), Some(epochs), Some(held)) = (&self.witness, epochs, self.held) else {
            return;
        };
        if held == epochs.current {
            return;
        }
        match write(&witness.path, &witness.mark(&epochs.current)) {
            Ok(()) => self.held = Some(epochs.current),
            Err(error) => tracing::warn!(%error, "the epoch outside the home is behind"),
        }
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
        self.held = match renewal {
            Renewal::InPlace(epoch) => Some(epoch),
            Renewal::Beside(epoch, beside) => match create::move_over(&beside, &witness.path) {
                Ok(()) => Some(epoch),
                // what stands there is what the database calls the epoch before; the next session
                // that moves tries again
                Err(error) => {
                    tracing::warn!(%error, "the epoch outside the home is behind");
                    return;
                }
            },
        };
        self.renewed = true;
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

#[cfg(test)]
mod tests {
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
    use sremp_core::{
        id::SessionId,
        identity::{SecretIdentity, Username},
        time::UnixMillis,
    };

    use super::*;
    use crate::{
        store::{ContactRow, NewContact},
        view::Standing,
    };

    fn person(n: u64) -> SecretIdentity {
        let name = Username::parse("ann").unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(n);
        SecretIdentity::generate(&name, UnixMillis::saturating(1), &mut rng)
    }

    /// A home's store with one contact, and the place outside.
    struct Place {
        store: Store,
        outside: tempfile::TempDir,
        rng: ChaCha20Rng,
    }

    impl Place {
        fn new() -> Self {
            let mut store = Store::in_memory().unwrap();
            let made = store.transaction(|tx| {
                tx.save_own_identity(&person(1).to_parts())?;
                tx.insert_contact(&NewContact {
                    key: person(2).id(),
                    alias: None,
                    standing: Standing::Accepted,
                    first_seen: UnixMillis::saturating(1),
                })
            });
            made.unwrap();
            Self {
                store,
                outside: tempfile::tempdir().unwrap(),
                rng: ChaCha20Rng::seed_from_u64(3),
            }
        }

        fn start(&mut self) -> EpochKeeper {
            EpochKeeper::check(&mut self.store, Some(self.outside.path())).unwrap()
        }

        /// A run that moves a session and ends as `end` says.
        fn run(&mut self, end: End) {
            let mut keeper = self.start();
            if let Some(renewal) = self.step(&mut keeper, end) {
                keeper.settle(Some(renewal));
            }
        }

        /// One step that moves a session; what is to be settled, if the process lives that long.
        fn step(&mut self, keeper: &mut EpochKeeper, end: End) -> Option<Renewal> {
            let rng = &mut self.rng;
            let mut renewal = None;
            let done = self.store.transaction(|tx| {
                let contact = tx.contact_row(&person(2).id())?;
                let contact = contact.unwrap_or(ContactRow(0));
                tx.save_session(contact, &SessionId::new([1; 16]), b"moved")?;
                renewal = keeper.renew(tx, rng)?;
                match end {
                    End::Settled | End::Committed => Ok(()),
                    End::Lost | End::Undone => Err(StoreError::Other("lost".into())),
                }
            });
            assert_eq!(done.is_ok(), matches!(end, End::Settled | End::Committed));
            if matches!(end, End::Undone) {
                keeper.undo();
            }
            renewal.filter(|_| matches!(end, End::Settled))
        }

        fn begins_anew(&mut self) -> bool {
            drop(self.start());
            self.was_noticed()
        }

        fn was_noticed(&mut self) -> bool {
            let noticed = self.store.transaction(|tx| {
                let noticed = tx.is_restored()?;
                tx.unmark_restored()?;
                Ok::<_, StoreError>(noticed)
            });
            noticed.unwrap()
        }

        fn mark(&self) -> PathBuf {
            Witness::of(self.outside.path(), &person(1).id()).path
        }
    }

    /// How a step ends.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum End {
        /// Both places are written.
        Settled,
        /// The process dies when the database has it, and before the file does.
        Committed,
        /// The process dies when the file is prepared, and before the database has it.
        Lost,
        /// The transaction fails and the process goes on.
        Undone,
    }

    #[test]
    fn a_run_after_another_goes_on_and_so_does_one_in_which_no_session_moved() {
        let mut home = Place::new();
        assert!(!home.begins_anew(), "a new home");
        for _ in 0..3 {
            home.run(End::Settled);
            assert!(!home.begins_anew());
        }
    }

    #[test]
    fn a_process_that_dies_between_the_two_places_goes_on() {
        let mut home = Place::new();
        home.run(End::Settled);
        for end in [End::Committed, End::Lost, End::Undone, End::Committed] {
            home.run(end);
            assert!(!home.begins_anew());
        }
        home.run(End::Settled);
        assert!(!home.begins_anew());
    }

    #[test]
    fn the_first_run_of_all_that_loses_its_transaction_goes_on_if_it_lives() {
        let mut home = Place::new();
        home.run(End::Undone);
        assert!(!home.begins_anew());
        // one that dies leaves a mark of which the database knows nothing: it may have been rolled back
        home.run(End::Lost);
        assert!(home.begins_anew());
        assert!(!home.begins_anew(), "once");
    }

    #[test]
    fn a_state_of_before_is_noticed() {
        let mut home = Place::new();
        home.run(End::Settled);
        let old = home.store.copy().unwrap();
        home.run(End::Settled);
        home.store = old;
        assert!(home.begins_anew());
        assert!(!home.begins_anew(), "once");
        home.run(End::Settled);
        assert!(!home.begins_anew());
    }

    #[test]
    fn a_state_of_before_the_first_session_is_noticed() {
        let mut home = Place::new();
        let old = home.store.copy().unwrap();
        home.run(End::Settled);
        home.store = old;
        assert!(home.begins_anew());
    }

    #[test]
    fn a_state_of_before_a_run_that_died_between_the_two_places_is_noticed() {
        let mut home = Place::new();
        home.run(End::Settled);
        let old = home.store.copy().unwrap();
        home.run(End::Committed);
        // what that run encrypted goes out in this one, in which no session moves
        assert!(!home.begins_anew());
        home.store = old;
        assert!(home.begins_anew());
    }

    #[test]
    fn a_mark_that_could_not_be_moved_is_tried_again_with_the_next_session_that_moves() {
        let mut home = Place::new();
        home.run(End::Settled);
        let old = home.store.copy().unwrap();
        let mut keeper = home.start();
        let renewal = home.step(&mut keeper, End::Settled);
        // the prepared file is gone, so that it cannot be moved
        fs::remove_file(home.mark().with_extension("new")).unwrap();
        keeper.settle(renewal);
        let renewal = home.step(&mut keeper, End::Settled);
        assert!(renewal.is_some());
        keeper.settle(renewal);
        assert!(home.step(&mut keeper, End::Settled).is_none(), "once a run");
        drop(keeper);
        assert!(!home.begins_anew());
        home.store = old;
        assert!(home.begins_anew());
    }

    #[test]
    fn a_mark_that_is_gone_or_of_another_machine_is_noticed_once() {
        let mut home = Place::new();
        for change in [
            None,
            Some("of another machine\n".to_owned()),
            Some(String::new()),
        ] {
            home.run(End::Settled);
            match change {
                None => fs::remove_file(home.mark()).unwrap(),
                Some(text) => fs::write(home.mark(), text).unwrap(),
            }
            assert!(home.begins_anew());
            assert!(!home.begins_anew());
        }
    }

    #[test]
    fn the_mark_of_an_epoch_is_another_on_another_machine() {
        let here = Witness {
            path: PathBuf::new(),
            machine: b"here".to_vec(),
        };
        let there = Witness {
            machine: b"there".to_vec(),
            ..here.clone()
        };
        assert_ne!(here.mark(&[1; 16]), there.mark(&[1; 16]));
        assert_ne!(here.mark(&[1; 16]), here.mark(&[2; 16]));
    }

    #[test]
    fn of_a_home_and_its_copy_exactly_the_one_that_is_used_later_begins_anew() {
        let mut home = Place::new();
        home.run(End::Settled);
        let copy = home.store.copy().unwrap();
        let original = std::mem::replace(&mut home.store, copy);
        home.run(End::Settled);
        assert!(!home.was_noticed(), "the copy was used first");
        home.store = original;
        assert!(home.begins_anew());
    }

    #[test]
    fn a_copy_is_not_used_beside_the_home_that_it_was_made_of() {
        let mut home = Place::new();
        let running = home.start();
        let mut copy = home.store.copy().unwrap();
        let refused = EpochKeeper::check(&mut copy, Some(home.outside.path()));
        assert!(
            matches!(refused, Err(HomeError::CopyInUse { pid: Some(pid) }) if pid == std::process::id())
        );
        drop(running);
        assert!(EpochKeeper::check(&mut copy, Some(home.outside.path())).is_ok());
    }
}
