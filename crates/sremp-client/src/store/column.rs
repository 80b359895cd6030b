//! How values lie in columns.

use rusqlite::{Row, types::ValueRef};
use sremp_core::{
    id::ContactId,
    identity::{Trust, VerifiedVia},
    route::Choice,
    time::UnixMillis,
};
use zeroize::Zeroizing;

use super::{ChangeKind, Fate, Fork, PrekeyKind, StoreError, error::vendor};
use crate::view::{MessageKind, Path, Standing, Status};

/// An enum that is stored as a number. The numbers never change their meaning.
pub(super) trait Code: Sized {
    fn code(self) -> i64;
    fn of(code: i64) -> Option<Self>;
}

macro_rules! stored_as {
    ($type:ty { $($variant:ident = $code:literal),+ $(,)? }) => {
        impl Code for $type {
            fn code(self) -> i64 {
                match self { $(Self::$variant => $code),+ }
            }
            fn of(code: i64) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

stored_as!(Standing { Accepted = 0, Request = 1 });
stored_as!(Trust { Unknown = 0, Trusted = 1, Rejected = 2 });
stored_as!(VerifiedVia { None = 0, Qr = 1, Number = 2 });
stored_as!(Choice { Default = 0, On = 1, Off = 2 });
stored_as!(Fork { None = 0, Open = 1, Settled = 2 });
stored_as!(MessageKind { Sent = 0, Received = 1, Notice = 2 });
// in the order in which a status may change: a message given up may still turn out to have arrived;
// from 2, because SQLite stores 0 and 1 in no byte and 2 in one: a row that keeps its length is
// overwritten in place, and no copy of its text is moved about
stored_as!(Status { Queued = 2, AtRelay = 3, Failed = 4, OnDevice = 5 });
stored_as!(Path { Direct = 0, Relay = 1 });
stored_as!(Fate { Edited = 0, TakenBack = 1, Opaque = 2 });
stored_as!(ChangeKind { Edit = 0, Delete = 1, Reaction = 2 });
stored_as!(PrekeyKind { DhIdentity = 0, Signed = 1, OneTime = 2, Envelope = 3 });

/// A time as it is stored.
pub(super) fn time(time: UnixMillis) -> i64 {
    saturating(time.get())
}

/// A number of a peer's that only orders rows; beyond `i64` they all come last.
pub(super) fn saturating(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Reads cells by their place in the row. A cell that does not hold what was written there is
/// [`StoreError::Damaged`].
pub(super) trait Cells {
    fn raw(&self, at: usize) -> Result<ValueRef<'_>, StoreError>;

    fn int(&self, at: usize) -> Result<i64, StoreError> {
        self.raw(at)?.as_i64().map_err(|_| StoreError::Damaged)
    }

    fn opt_int(&self, at: usize) -> Result<Option<i64>, StoreError> {
        self.raw(at)?
            .as_i64_or_null()
            .map_err(|_| StoreError::Damaged)
    }

    fn count(&self, at: usize) -> Result<u64, StoreError> {
        u64::try_from(self.int(at)?).map_err(|_| StoreError::Damaged)
    }

    fn small(&self, at: usize) -> Result<u32, StoreError> {
        u32::try_from(self.int(at)?).map_err(|_| StoreError::Damaged)
    }

    /// A counter over the whole range of `u64`, stored bit by bit.
    fn counter(&self, at: usize) -> Result<u64, StoreError> {
        Ok(self.int(at)?.cast_unsigned())
    }

    fn flag(&self, at: usize) -> Result<bool, StoreError> {
        Ok(self.int(at)? != 0)
    }

    fn time(&self, at: usize) -> Result<UnixMillis, StoreError> {
        UnixMillis::new(self.count(at)?).ok_or(StoreError::Damaged)
    }

    fn opt_time(&self, at: usize) -> Result<Option<UnixMillis>, StoreError> {
        self.opt_int(at)?.map(|_| self.time(at)).transpose()
    }

    fn code<T: Code>(&self, at: usize) -> Result<T, StoreError> {
        T::of(self.int(at)?).ok_or(StoreError::Damaged)
    }

    fn opt_code<T: Code>(&self, at: usize) -> Result<Option<T>, StoreError> {
        self.opt_int(at)?.map(|_| self.code(at)).transpose()
    }

    fn text(&self, at: usize) -> Result<String, StoreError> {
        let text = self.raw(at)?.as_str().map_err(|_| StoreError::Damaged)?;
        Ok(text.to_owned())
    }

    fn opt_text(&self, at: usize) -> Result<Option<String>, StoreError> {
        let text = self.raw(at)?.as_str_or_null();
        Ok(text.map_err(|_| StoreError::Damaged)?.map(str::to_owned))
    }

    fn opt_blob(&self, at: usize) -> Result<Option<&[u8]>, StoreError> {
        self.raw(at)?
            .as_blob_or_null()
            .map_err(|_| StoreError::Damaged)
    }

    fn blob(&self, at: usize) -> Result<&[u8], StoreError> {
        self.opt_blob(at)?.ok_or(StoreError::Damaged)
    }

    fn secret(&self, at: usize) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        Ok(Zeroizing::new(self.blob(at)?.to_vec()))
    }

    fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N], StoreError> {
        self.blob(at)?.try_into().map_err(|_| StoreError::Damaged)
    }

    fn opt_bytes<const N: usize>(&self, at: usize) -> Result<Option<[u8; N]>, StoreError> {
        self.opt_blob(at)?.map(|_| self.bytes(at)).transpose()
    }

    fn contact_id(&self, at: usize) -> Result<ContactId, StoreError> {
        ContactId::parse(&self.bytes(at)?).map_err(|_| StoreError::Damaged)
    }
}

impl Cells for Row<'_> {
    fn raw(&self, at: usize) -> Result<ValueRef<'_>, StoreError> {
        self.get_ref(at).map_err(vendor)
    }
}
