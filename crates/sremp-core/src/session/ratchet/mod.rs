//! One session: the Double Ratchet with signed ratchet keys (D3.4, D3.7 to D3.9).
//!
//! The state has the names of Signal's specification. Two things differ from it: every ratchet key
//! is signed by its side's identity under an `epoch` that counts that side's keys, and a side makes
//! its next key when it next sends, not when it receives, so that receiving needs neither
//! randomness nor the identity key. The bytes on the wire are the same either way.

mod receive;
mod send;

use std::collections::VecDeque;

use zeroize::Zeroizing;

use super::{
    DecryptError,
    agreement::Agreed,
    chain::{ChainKey, KeptKey},
    header::{InitHeader, RatchetMessage},
    key::{DhPublicKey, RatchetPublicKey, RatchetSecret},
    prekey::SignedPrekey,
    root::RootKey,
};
use crate::{
    constants::{DHLEN, MAX_CHAIN_WITHOUT_REPLY, MAX_RECEIVING_CHAINS, SKIPPED_KEY_AGE, SUITE},
    id::{ContactId, SessionId},
    signature::Signature,
    time::UnixMillis,
};

/// Which side one is; signed with every ratchet key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::session) enum Role {
    Initiator = 0,
    Responder = 1,
}

impl Role {
    const fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// The chain on which one sends, under one's newest ratchet key (DHs, CKs, Ns).
pub(in crate::session) struct SendingChain {
    pub(in crate::session) key: RatchetSecret,
    pub(in crate::session) key_sig: Signature,
    pub(in crate::session) epoch: u32,
    pub(in crate::session) ck: ChainKey,
    /// Number of the next message.
    pub(in crate::session) n: u32,
}

/// A chain of the peer (DHr, CKr, Nr).
pub(in crate::session) struct ReceivingChain {
    pub(in crate::session) dh_pub: RatchetPublicKey,
    /// Checked once; every message of the chain must carry the same bytes.
    pub(in crate::session) key_sig: Signature,
    pub(in crate::session) epoch: u32,
    /// Number of the next message; the number of all messages once the chain is closed.
    pub(in crate::session) n: u32,
    /// `None` when a newer chain has closed this one: only its skipped keys are left. Boxed: a chain that
    /// moves within its list leaves no copy of it behind.
    pub(in crate::session) ck: Option<Box<ChainKey>>,
    /// Skipped keys of it were deleted unused: a message without a key may never have been read.
    pub(in crate::session) lossy: bool,
}

/// The key of a message that has not come yet, by chain and number (MKSKIPPED).
pub(in crate::session) struct SkippedKey {
    pub(in crate::session) epoch: u32,
    pub(in crate::session) n: u32,
    /// When it was put aside.
    pub(in crate::session) at: UnixMillis,
    pub(in crate::session) key: KeptKey,
}

/// The state of one session on one side.
pub(in crate::session) struct Session {
    pub(in crate::session) id: SessionId,
    pub(in crate::session) role: Role,
    /// DHK_A, DHK_B.
    pub(in crate::session) dhks: [DhPublicKey; 2],
    /// Additional data of every message up to `session_id`.
    pub(in crate::session) associated: Vec<u8>,
    pub(in crate::session) root: RootKey,
    /// The peer's newest ratchet key; B's first is SPK.
    pub(in crate::session) peer_key: RatchetPublicKey,
    /// `None` from the moment a new key of the peer came until one sends again.
    pub(in crate::session) sending: Option<SendingChain>,
    /// Own ratchet keys made so far: the next one's epoch.
    pub(in crate::session) sent_keys: u32,
    /// Length of the previous sending chain.
    pub(in crate::session) pn: u32,
    /// The peer's chains, oldest first; the last is open. Before the newest only those of which
    /// something is still to come.
    pub(in crate::session) receiving: Vec<ReceivingChain>,
    /// The peer's ratchet keys accepted so far: the next one's epoch.
    pub(in crate::session) received_keys: u32,
    /// The first eight bytes of the keys of chains that are gone and were read whole, oldest first. A
    /// copy of their messages (by relay, after days of direct talk) must not look like a broken
    /// session.
    pub(in crate::session) forgotten: VecDeque<[u8; 8]>,
    /// Oldest first.
    pub(in crate::session) skipped: VecDeque<SkippedKey>,
    /// What every message starts with until the first one comes back. Its absence is the
    /// confirmation.
    pub(in crate::session) init: Option<Box<InitHeader>>,
    /// When to give up waiting for that and start anew.
    pub(in crate::session) renew_at: UnixMillis,
}

/// Where a message key stands in its session.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct KeyPlace {
    pub(in crate::session) epoch: u32,
    pub(in crate::session) n: u32,
}

/// The parts of a session that name its two sides.
pub(in crate::session) struct Sides<'a> {
    pub(in crate::session) own: &'a ContactId,
    pub(in crate::session) peer: &'a ContactId,
}

/// `session_id ‖ role ‖ epoch ‖ dh_pub`: what the signature of a ratchet key covers.
fn signed_key(id: &SessionId, role: Role, epoch: u32, dh_pub: &RatchetPublicKey) -> [u8; 53] {
    let mut payload = [0; 53];
    let parts = id
        .as_bytes()
        .iter()
        .copied()
        .chain([role as u8])
        .chain(epoch.to_le_bytes())
        .chain(dh_pub.as_bytes().iter().copied());
    for (to, from) in payload.iter_mut().zip(parts) {
        *to = from;
    }
    payload
}

/// `"SREMP/1/dr-ad" ‖ 00 ‖ suite ‖ id_A ‖ id_B ‖ DHK_A ‖ DHK_B ‖ session_id`.
fn associated_data(
    sides: &Sides<'_>,
    role: Role,
    [dhk_a, dhk_b]: &[DhPublicKey; 2],
    id: &SessionId,
) -> Vec<u8> {
    let (id_a, id_b) = match role {
        Role::Initiator => (sides.own, sides.peer),
        Role::Responder => (sides.peer, sides.own),
    };
    let parts = [
        b"SREMP/1/dr-ad\0".as_slice(),
        &[SUITE],
        id_a.as_bytes(),
        id_b.as_bytes(),
        dhk_a.as_bytes(),
        dhk_b.as_bytes(),
        id.as_bytes(),
    ];
    parts.concat()
}

impl Session {
    /// A's session after the agreement; `spk` is B's first ratchet key.
    pub(in crate::session) fn initiate(
        sides: &Sides<'_>,
        agreed: Agreed,
        dhks: [DhPublicKey; 2],
        spk: &[u8; DHLEN],
        init: Box<InitHeader>,
        renew_at: UnixMillis,
    ) -> Self {
        let (id, spk) = (agreed.session_id, RatchetPublicKey::new(*spk));
        Self {
            init: Some(init),
            renew_at,
            ..Self::from_parts(sides, id, Role::Initiator, dhks, agreed.sk, spk)
        }
    }

    /// B's session, which exists only if the first message that came authenticates: SPK is the
    /// ratchet key that it answers.
    ///
    /// # Errors
    /// As [`Self::decrypt`].
    pub(in crate::session) fn accept(
        sides: &Sides<'_>,
        agreed: Agreed,
        dhks: [DhPublicKey; 2],
        spk: &SignedPrekey,
        message: &RatchetMessage<'_>,
        now: UnixMillis,
    ) -> Result<(Self, Zeroizing<Vec<u8>>), DecryptError> {
        let (id, key) = (agreed.session_id, message.dh_pub);
        let mut session = Self::from_parts(sides, id, Role::Responder, dhks, agreed.sk, key);
        let content = session.turn(sides.peer, spk.x.expose(), message, now)?;
        Ok((session, content))
    }

    /// A session that has neither sent nor received.
    pub(in crate::session) fn from_parts(
        sides: &Sides<'_>,
        id: SessionId,
        role: Role,
        dhks: [DhPublicKey; 2],
        root: RootKey,
        peer_key: RatchetPublicKey,
    ) -> Self {
        Self {
            id,
            role,
            dhks,
            associated: associated_data(sides, role, &dhks, &id),
            root,
            peer_key,
            sending: None,
            sent_keys: 0,
            pn: 0,
            receiving: Vec::with_capacity(MAX_RECEIVING_CHAINS + 1),
            received_keys: 0,
            forgotten: VecDeque::new(),
            skipped: VecDeque::new(),
            init: None,
            renew_at: UnixMillis::ZERO,
        }
    }

    /// The peer's DHK, which lasts until the peer is restored from a backup.
    pub(in crate::session) const fn peer_dhk(&self) -> DhPublicKey {
        let [dhk_a, dhk_b] = self.dhks;
        match self.role {
            Role::Initiator => dhk_b,
            Role::Responder => dhk_a,
        }
    }

    /// Whether a message of the peer came on this session.
    pub(in crate::session) const fn is_confirmed(&self) -> bool {
        self.init.is_none()
    }

    /// Whether it has sent too much or waited too long without an answer (D3.8).
    pub(in crate::session) fn is_worn(&self, now: UnixMillis) -> bool {
        let unanswered = self.sending.as_ref().map_or(0, |chain| chain.n);
        unanswered >= MAX_CHAIN_WITHOUT_REPLY || self.is_overdue(now)
    }

    /// Whether it has waited too long for its first answer.
    pub(in crate::session) fn is_overdue(&self, now: UnixMillis) -> bool {
        !self.is_confirmed() && now >= self.renew_at
    }

    /// Deletes skipped keys that are too old; whether there were any.
    pub(in crate::session) fn prune(&mut self, now: UnixMillis) -> bool {
        let is_old = |key: &SkippedKey| now.since(key.at) >= SKIPPED_KEY_AGE;
        let mut gone: Vec<u32> = self
            .skipped
            .iter()
            .filter(|key| is_old(key))
            .map(|key| key.epoch)
            .collect();
        if gone.is_empty() {
            return false;
        }
        self.skipped.retain(|key| !is_old(key));
        gone.dedup();
        for epoch in gone {
            self.mark_lossy(epoch);
        }
        self.forget_old_chains();
        true
    }
}
