//! Listed registrations page by page: in an order that nobody outside knows, begun anywhere (D5.6).

use std::{
    collections::BTreeSet,
    ops::Bound::{Excluded, Included, Unbounded},
};

use sha2::{Digest as _, Sha256};

use super::PeerInfo;
use crate::{
    id::IdentityKey,
    wire::bytes::{byte_newtype, public_bytes},
};

public_bytes! {
    /// A point of the circle on which the listed registrations stand, 16 bytes.
    Place, 16
}

byte_newtype! {
    /// Where the next page goes on: opaque to a client, 32 bytes. To a server the place where this
    /// walk began and the last one that it has told of; one that is made up begins elsewhere, and
    /// shows nothing that another would not.
    PageCursor, 32
}

impl std::fmt::Debug for PageCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageCursor")
    }
}

/// Some of the listed registrations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// At most 20.
    pub peers: Vec<PeerInfo>,
    /// Where the next page goes on; nil after the last.
    pub next: Option<PageCursor>,
}

/// The circle: keys by their places. The places follow from the keys and a secret of the server, so
/// the order tells nothing, and a walk goes on where it was however many come and go.
#[derive(Clone, Debug)]
pub(super) struct Circle {
    secret: [u8; 32],
    keys: BTreeSet<(Place, IdentityKey)>,
}

/// What is left of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    start: Place,
    last: Option<Place>,
}

impl Circle {
    pub(super) const fn new(secret: [u8; 32]) -> Self {
        Self {
            secret,
            keys: BTreeSet::new(),
        }
    }

    pub(super) fn with(secret: [u8; 32], keys: impl Iterator<Item = IdentityKey>) -> Self {
        let empty = Self::new(secret);
        let places = keys.map(|key| (empty.place(&key), key));
        Self {
            keys: places.collect(),
            secret,
        }
    }

    fn place(&self, key: &IdentityKey) -> Place {
        let hash = Sha256::new()
            .chain_update(b"SREMP/1/rdv-place")
            .chain_update(self.secret)
            .chain_update(key.as_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        Place(hash.first_chunk().copied().unwrap_or_default())
    }

    pub(super) fn insert(&mut self, key: IdentityKey) {
        self.keys.insert((self.place(&key), key));
    }

    pub(super) fn remove(&mut self, key: &IdentityKey) {
        self.keys.remove(&(self.place(key), *key));
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Keys from where the walk is to where it began, with their places.
    pub(super) fn ahead(&self, walk: Walk) -> impl Iterator<Item = &(Place, IdentityKey)> {
        let end = Excluded((walk.start, LEAST));
        let (first, second) = match walk.last {
            // round the circle: to its end, then from its beginning
            None => ((Included((walk.start, LEAST)), Unbounded), Some(end)),
            Some(last) if last >= walk.start => {
                ((Excluded((last, GREATEST)), Unbounded), Some(end))
            }
            Some(last) => ((Excluded((last, GREATEST)), end), None),
        };
        let rest = second.map(|end| self.keys.range((Unbounded, end)));
        self.keys.range(first).chain(rest.into_iter().flatten())
    }
}

const LEAST: IdentityKey = IdentityKey::new([0; 32]);
const GREATEST: IdentityKey = IdentityKey::new([0xff; 32]);

impl Walk {
    pub(super) fn of(cursor: Option<&PageCursor>, start: Place) -> Self {
        let Some(cursor) = cursor else {
            return Self { start, last: None };
        };
        let bytes = cursor.as_bytes();
        let place = |half: Option<&[u8; 16]>| half.copied().map_or(start, Place);
        Self {
            start: place(bytes.first_chunk()),
            last: Some(place(bytes.last_chunk())),
        }
    }

    /// The same walk, when it has come to here.
    pub(super) fn after(self, last: Place) -> PageCursor {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(self.start.0.iter().chain(&last.0)) {
            *to = *from;
        }
        PageCursor::new(bytes)
    }
}
