//! What the tests of the store share.

pub(crate) mod small_disk;

use std::path::Path;

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use sremp_client::{
    config::Config,
    home::{Home, HomeError, Passphrase},
    store::{ContactRow, NewContact, NewMessage, Store, StoreError, Tx},
    view::{MessageKind, Standing, Status},
};
use sremp_core::{
    id::{ContactId, MsgId},
    identity::{SecretIdentity, Username},
    key::NoiseSecret,
    time::UnixMillis,
};

pub(crate) const START: u64 = 1_760_000_000_000;

pub(crate) fn at(millis: u64) -> UnixMillis {
    UnixMillis::saturating(START + millis)
}

pub(crate) fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

/// A home without a passphrase, with the settings of a new one.
pub(crate) fn make_home(path: &Path) -> Result<Home, HomeError> {
    let home = Home::at(path);
    let config = Config::default();
    home.create(&Passphrase::None, &config, &somebody(1), at(0), &mut rng(1))?;
    Ok(home)
}

/// Opens the store of such a home, which nobody has open.
pub(crate) fn open(home: &Home) -> Result<Store, HomeError> {
    home.open(&home.lock()?, &Passphrase::None)
}

/// All bytes of the files in a directory.
pub(crate) fn files(directory: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(directory).unwrap();
    files
        .flat_map(|f| std::fs::read(f.unwrap().path()).unwrap())
        .collect()
}

/// Somebody with keys made of a number.
pub(crate) fn somebody(n: u16) -> SecretIdentity {
    let mut seed = [1; 32];
    seed[..2].copy_from_slice(&n.to_le_bytes());
    let noise = NoiseSecret::from_bytes(&[2; 32]);
    let name = Username::parse(&format!("person {n}")).unwrap();
    SecretIdentity::from_keys(&seed, noise, &name, at(0))
}

pub(crate) fn id_of(n: u16) -> ContactId {
    somebody(n).id()
}

pub(crate) fn msg_id(n: u64) -> MsgId {
    let mut bytes = [0x4d; 16];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    MsgId::new(bytes)
}

/// Runs a transaction that has to hold.
pub(crate) fn commit<T>(
    store: &mut Store,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
) -> T {
    store.transaction(work).unwrap()
}

pub(crate) fn befriend(store: &mut Store, n: u16) -> ContactRow {
    let new = NewContact {
        key: id_of(n),
        alias: Some(format!("friend {n}")),
        standing: Standing::Accepted,
        first_seen: at(0),
    };
    commit(store, |tx| tx.insert_contact(&new))
}

pub(crate) fn received(contact: ContactRow, seq: u64, text: &str) -> NewMessage<'_> {
    NewMessage {
        contact,
        msg_id: Some(msg_id(seq)),
        kind: MessageKind::Received,
        seq,
        text,
        sent: at(seq),
        received: Some(at(seq + 1)),
        status: None,
        path: None,
    }
}

pub(crate) fn sent(contact: ContactRow, seq: u64, text: &str) -> NewMessage<'_> {
    NewMessage {
        kind: MessageKind::Sent,
        received: None,
        status: Some(Status::Queued),
        ..received(contact, seq, text)
    }
}

/// The texts of a conversation, in its order.
pub(crate) fn texts(store: &mut Store, contact: ContactRow) -> Vec<String> {
    let lines = commit(store, |tx| tx.history(contact, None, u32::MAX));
    lines.into_iter().map(|line| line.text).collect()
}
