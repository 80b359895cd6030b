//! The stored form of a session: at most 3.4 KB without skipped keys, and 137 bytes more for each older
//! chain of which something has not come.

use std::collections::VecDeque;

use zeroize::Zeroizing;

use super::{
    BadState,
    chain::{ChainKey, MessageKey},
    header::INIT_LEN,
    key::{DhPublicKey, RatchetPublicKey, RatchetSecret},
    layout::{Reader, Writer},
    ratchet::{ReceivingChain, Role, SendingChain, Session, Sides, SkippedKey},
    root::RootKey,
};
use crate::{
    constants::{MAX_FORGOTTEN_CHAINS, MAX_LATE_CHAINS, MAX_RECEIVING_CHAINS, MAX_SKIPPED_KEYS},
    id::SessionId,
    signature::Signature,
};

const FORMAT: u8 = 1;
/// Everything but the parts that may be absent or repeat.
const FIXED_LEN: usize = 16 + 1 + 2 * 32 + 32 + 32 + 1 + 4 + 4 + 4 + 4 + 4 + 1 + 8;
const SENDING_LEN: usize = 32 + 64 + 4 + 32 + 4;
const RECEIVING_LEN: usize = 32 + 64 + 4 + 4 + 1 + 32;
const SKIPPED_LEN: usize = 4 + 4 + 8 + 32;

impl Session {
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let capacity = FIXED_LEN
            + SENDING_LEN
            + self.receiving.len() * RECEIVING_LEN
            + (4 + self.forgotten.len() * 8)
            + self.skipped.len() * SKIPPED_LEN
            + self.init.as_ref().map_or(0, |_| INIT_LEN);
        let mut w = Writer::new(FORMAT, capacity);
        w.bytes(self.id.as_bytes());
        w.u8(self.role as u8);
        for dhk in &self.dhks {
            w.bytes(dhk.as_bytes());
        }
        w.bytes(self.root.expose());
        w.bytes(self.peer_key.as_bytes());
        w.bool(self.sending.is_some());
        if let Some(chain) = &self.sending {
            w.bytes(chain.key.expose());
            w.bytes(chain.key_sig.as_bytes());
            w.u32(chain.epoch);
            w.bytes(chain.ck.expose());
            w.u32(chain.n);
        }
        w.u32(self.sent_keys);
        w.u32(self.pn);
        w.len(self.receiving.len());
        for chain in &self.receiving {
            w.bytes(chain.dh_pub.as_bytes());
            w.bytes(chain.key_sig.as_bytes());
            w.u32(chain.epoch);
            w.u32(chain.n);
            w.u8(u8::from(chain.ck.is_some()) | (u8::from(chain.lossy) << 1));
            if let Some(ck) = &chain.ck {
                w.bytes(ck.expose());
            }
        }
        w.u32(self.received_keys);
        w.len(self.forgotten.len());
        for gone in &self.forgotten {
            w.bytes(gone);
        }
        w.len(self.skipped.len());
        for key in &self.skipped {
            w.u32(key.epoch);
            w.u32(key.n);
            w.time(key.at);
            w.bytes(key.key.expose());
        }
        w.bool(self.init.is_some());
        if let Some(init) = &self.init {
            w.bytes(init.as_slice());
        }
        w.time(self.renew_at);
        w.finish()
    }

    pub(super) fn from_bytes(sides: &Sides<'_>, bytes: &[u8]) -> Result<Self, BadState> {
        let mut r = Reader::new(FORMAT, bytes)?;
        let id = SessionId::new(*r.array()?);
        let role = if r.bool()? {
            Role::Responder
        } else {
            Role::Initiator
        };
        let dhks = [DhPublicKey::new(*r.array()?), DhPublicKey::new(*r.array()?)];
        let root = RootKey::new(Zeroizing::new(*r.array()?));
        let peer_key = RatchetPublicKey::new(*r.array()?);
        let sending = if r.bool()? {
            Some(read_sending(&mut r)?)
        } else {
            None
        };
        let (sent_keys, pn) = (r.u32()?, r.u32()?);
        let mut receiving = Vec::with_capacity(MAX_RECEIVING_CHAINS + 1);
        for _ in 0..r.len(MAX_RECEIVING_CHAINS + MAX_LATE_CHAINS)? {
            receiving.push(read_receiving(&mut r)?);
        }
        let received_keys = r.u32()?;
        let mut forgotten = VecDeque::new();
        for _ in 0..r.len(MAX_FORGOTTEN_CHAINS)? {
            forgotten.push_back(*r.array()?);
        }
        let count = r.len(MAX_SKIPPED_KEYS)?;
        let mut skipped = VecDeque::with_capacity(count);
        for _ in 0..count {
            skipped.push_back(SkippedKey {
                epoch: r.u32()?,
                n: r.u32()?,
                at: r.time()?,
                key: Box::new(MessageKey::from_bytes(r.array()?)),
            });
        }
        let init = if r.bool()? {
            Some(Box::new(*r.array()?))
        } else {
            None
        };
        let renew_at = r.time()?;
        r.end()?;
        let session = Self::from_parts(sides, id, role, dhks, root, peer_key);
        let session = Self {
            sending,
            sent_keys,
            pn,
            receiving,
            received_keys,
            forgotten,
            skipped,
            init,
            renew_at,
            ..session
        };
        if session.is_consistent() {
            Ok(session)
        } else {
            Err(BadState)
        }
    }

    /// Whether the counters agree with each other.
    fn is_consistent(&self) -> bool {
        let sent = self
            .sending
            .as_ref()
            .is_none_or(|chain| chain.epoch.checked_add(1) == Some(self.sent_keys));
        let mut later = self.received_keys;
        let received = self.receiving.iter().rev().all(|chain| {
            let newest = later == self.received_keys;
            let next = chain.epoch.checked_add(1);
            let follows = match newest {
                true => next == Some(later),
                false => next.is_some_and(|next| next <= later),
            };
            later = chain.epoch;
            follows && chain.ck.is_some() == newest
        });
        let answered = match self.receiving.last() {
            Some(chain) => chain.dh_pub == self.peer_key,
            None => self.received_keys == 0 && self.role == Role::Initiator,
        };
        let skipped = self.skipped.iter().all(|key| {
            self.receiving
                .iter()
                .any(|c| c.epoch == key.epoch && key.n < c.n)
        });
        let unconfirmed =
            self.init.is_none() || (self.role == Role::Initiator && self.receiving.is_empty());
        sent && received && answered && skipped && unconfirmed
    }
}

fn read_sending(r: &mut Reader<'_>) -> Result<SendingChain, BadState> {
    Ok(SendingChain {
        key: RatchetSecret::from_bytes(r.array()?),
        key_sig: Signature::new(*r.array()?),
        epoch: r.u32()?,
        ck: ChainKey::new(Zeroizing::new(*r.array()?)),
        n: r.u32()?,
    })
}

fn read_receiving(r: &mut Reader<'_>) -> Result<ReceivingChain, BadState> {
    let dh_pub = RatchetPublicKey::new(*r.array()?);
    let key_sig = Signature::new(*r.array()?);
    let (epoch, n) = (r.u32()?, r.u32()?);
    let (open, lossy) = match r.u8()? {
        flags @ 0..=3 => (flags & 1 != 0, flags & 2 != 0),
        _ => return Err(BadState),
    };
    let ck = match open {
        true => Some(Box::new(ChainKey::new(Zeroizing::new(*r.array()?)))),
        false => None,
    };
    Ok(ReceivingChain {
        dh_pub,
        key_sig,
        epoch,
        n,
        ck,
        lossy,
    })
}
