//! A crowd that goes on storing and reading while its relay is killed and started again, and knows
//! in the end what the relay owes it.
//!
//! | part | |
//! |---|---|
//! | `sender`, `reader` | what each of the crowd does over all lives of the relay |
//! | `line` | one connection |
//! | `ledger` | what was promised and given, and what does not fit together |
//! | `schedule` | when the relay dies |

mod ledger;
mod line;
mod reader;
mod schedule;
mod sender;

use std::{collections::HashSet, sync::Arc, time::Duration};

use sremp_core::{contact_card::RelayLink, id::IdentityKey, relay::MessageId};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use self::{ledger::judge, reader::Reader, sender::Sender};
use super::LoadError;

pub use self::{
    ledger::Findings,
    schedule::{Death, Schedule},
};

/// The longest time without any acknowledgement.
const PATIENCE: Duration = Duration::from_secs(30);
/// When to dial again if the relay is said to run and a connection was lost all the same.
const AGAIN: Duration = Duration::from_secs(2);

/// Who is there.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Connections that store.
    pub senders: usize,
    /// Stores that each has under way.
    pub window: usize,
    /// Mailboxes whose owners are there, and confirm.
    pub online: usize,
    /// Mailboxes whose owners come at the end.
    pub offline: usize,
    /// Bytes of an envelope: one of the seven sizes.
    pub envelope: usize,
}

/// What the crowd is told.
#[derive(Clone, Copy, Debug)]
struct Stage {
    /// How often the relay was started.
    life: u64,
    sending: bool,
    reading: bool,
    /// The relay does not come back.
    over: bool,
}

/// Waits until the relay lives another life than this; whether it does.
async fn lives(stage: &mut watch::Receiver<Stage>, life: u64) -> bool {
    let changed = stage.wait_for(|stage| stage.life > life || stage.over);
    // nobody dials a port at which nobody listens: the system might give it to the one who dials
    let _ = timeout(AGAIN, changed).await;
    !stage.borrow().over
}

/// Senders and readers of one relay.
pub struct Crowd {
    link: RelayLink,
    stage: watch::Sender<Stage>,
    acknowledged: watch::Receiver<u64>,
    senders: JoinSet<Sender>,
    readers: JoinSet<Reader>,
    away: Vec<Reader>,
}

impl std::fmt::Debug for Crowd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Crowd({:?})", self.stage.borrow())
    }
}

impl Crowd {
    /// Gives everybody a mailbox at a relay that runs, and begins to store and read.
    ///
    /// # Errors
    /// [`LoadError`] when the relay cannot be reached.
    pub async fn gather(link: &RelayLink, size: Size) -> Result<Self, LoadError> {
        let mut readers: Vec<Reader> = Vec::new();
        for _ in 0..size.online + size.offline {
            let reader = Reader::new();
            reader.move_in(link).await?;
            readers.push(reader);
        }
        let keys: Arc<[IdentityKey]> = readers.iter().map(Reader::key).collect();
        let began = Stage {
            life: 1,
            sending: true,
            reading: true,
            over: false,
        };
        let (count, acknowledged) = watch::channel(0);
        let mut crowd = Self {
            link: link.clone(),
            stage: watch::Sender::new(began),
            acknowledged,
            senders: JoinSet::new(),
            readers: JoinSet::new(),
            away: readers.split_off(size.online),
        };
        for reader in readers {
            let stage = crowd.stage.subscribe();
            crowd.readers.spawn(reader.stay(link.clone(), stage));
        }
        for n in 0..size.senders {
            let form = (size.window, size.envelope);
            let sender = Sender::new(keys.clone(), n, form, count.clone());
            let stage = crowd.stage.subscribe();
            crowd.senders.spawn(sender.stay(link.clone(), stage));
        }
        Ok(crowd)
    }

    /// Tells everybody that the relay runs again.
    pub fn relay_runs_again(&self) {
        self.stage.send_modify(|stage| stage.life += 1);
    }

    /// How many messages were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        *self.acknowledged.borrow()
    }

    /// Waits until so many messages are acknowledged.
    ///
    /// # Errors
    /// [`LoadError`] when none is for a long time.
    pub async fn reaches(&mut self, count: u64) -> Result<(), LoadError> {
        while *self.acknowledged.borrow_and_update() < count {
            match timeout(PATIENCE, self.acknowledged.changed()).await {
                Ok(Ok(())) => {}
                _ => return Err(LoadError("the relay acknowledges nothing".to_owned())),
            }
        }
        Ok(())
    }

    /// Compares without the relay, which does not start any more.
    pub async fn give_up(self) -> Findings {
        self.stage.send_modify(|stage| stage.over = true);
        let (senders, readers) = (self.senders.join_all(), self.readers.join_all());
        let senders = senders.await;
        let readers = readers.await.into_iter().chain(self.away).collect();
        compare(senders, readers)
    }

    /// Lets every sender have its answers, and every reader fetch what is there; nobody stores after.
    ///
    /// # Errors
    /// [`LoadError`] when the relay does not serve.
    pub async fn settle(self) -> Result<Settled, LoadError> {
        self.stage.send_modify(|stage| stage.sending = false);
        let senders = timeout(PATIENCE, self.senders.join_all()).await;
        let senders = senders.map_err(|_| LoadError("senders wait for answers".to_owned()))?;
        self.stage.send_modify(|stage| stage.reading = false);
        let mut readers = self.readers.join_all().await;
        readers.extend(self.away);
        let (told, over) = watch::channel(false);
        let mut listening = JoinSet::new();
        for sender in senders {
            listening.spawn(sender.listen(self.link.clone(), over.clone()));
        }
        let readers = drained(readers, &self.link).await;
        told.send_replace(true);
        let senders = listening.join_all().await;
        let readers = readers?;
        Ok(Settled {
            link: self.link,
            senders,
            readers,
        })
    }
}

async fn drained(readers: Vec<Reader>, link: &RelayLink) -> Result<Vec<Reader>, LoadError> {
    let mut draining = JoinSet::new();
    for reader in readers {
        draining.spawn(reader.drain(link.clone()));
    }
    draining.join_all().await.into_iter().collect()
}

/// A crowd that has fetched everything.
pub struct Settled {
    link: RelayLink,
    senders: Vec<Sender>,
    readers: Vec<Reader>,
}

impl std::fmt::Debug for Settled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Settled")
    }
}

impl Settled {
    /// Looks once more into every mailbox, lets the senders hear what the relay still has for them,
    /// and compares. The relay may have been killed since.
    ///
    /// # Errors
    /// [`LoadError`] when the relay does not serve.
    pub async fn audit(self) -> Result<Findings, LoadError> {
        let readers = drained(self.readers, &self.link).await?;
        let mut hearing = JoinSet::new();
        for sender in self.senders {
            let key = sender.outbox.owner();
            let settled = readers.iter().flat_map(|r| r.inbox.settled_of(key));
            let of: HashSet<MessageId> = settled.collect();
            hearing.spawn(sender.hear(self.link.clone(), of));
        }
        Ok(compare(hearing.join_all().await, readers))
    }

    /// Compares without the relay, which does not start any more.
    pub fn give_up(self) -> Findings {
        compare(self.senders, self.readers)
    }
}

fn compare(senders: Vec<Sender>, readers: Vec<Reader>) -> Findings {
    let outboxes: Vec<_> = senders.into_iter().map(|s| s.outbox).collect();
    let inboxes: Vec<_> = readers.into_iter().map(|r| r.inbox).collect();
    judge(&outboxes, &inboxes)
}
