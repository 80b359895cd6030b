//! How much a store keeps.

/// Most one-time prekeys of a mailbox: two full deliveries, and what is left of a third.
pub const MAX_ONE_TIME_PREKEYS: u32 = 250;
/// Most keys that an owner has accepted or blocked.
pub const MAX_RULES: u32 = 10_000;
/// Most intro tokens of a mailbox (SENDERS_SET).
pub const MAX_INTROS: usize = 64;
/// Most confirmations that wait for one sender or one relay.
pub const MAX_WAITING: usize = 10_000;
/// One asker gets one one-time prekey of a recipient in this time, in milliseconds (D6.3).
pub const PREKEY_INTERVAL: u64 = 60 * 60 * 1_000;

/// The owner's last visit is noted when the one noted is older than this, in milliseconds: one write
/// a day and mailbox suffices for a limit of half a year.
pub(super) const VISIT_ROUNDED: u64 = 24 * 60 * 60 * 1_000;

/// Bounds on mailboxes (D6.3), the same for all of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Mailboxes.
    pub mailboxes: u64,
    /// Items of a mailbox.
    pub items: u32,
    /// Bytes of a mailbox.
    pub bytes: u64,
    /// Items of one accepted sender in a mailbox.
    pub sender_items: u32,
    /// Bytes of one accepted sender in a mailbox.
    pub sender_bytes: u64,
    /// Items in a mailbox of all together whom its owner has not accepted.
    pub request_items: u32,
    /// Bytes of each of those.
    pub request_size: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            mailboxes: 1_000_000,
            items: 10_000,
            bytes: 64 * 1024 * 1024,
            sender_items: 1_000,
            sender_bytes: 16 * 1024 * 1024,
            request_items: 64,
            request_size: 32 * 1024,
        }
    }
}

impl Limits {
    /// No bounds: for measuring.
    pub const NONE: Self = Self {
        mailboxes: u64::MAX,
        items: u32::MAX,
        bytes: u64::MAX,
        sender_items: u32::MAX,
        sender_bytes: u64::MAX,
        request_items: u32::MAX,
        request_size: u32::MAX,
    };
}

/// When a disk counts as full. New messages are then refused, before anything is lost; new
/// mailboxes at twice the room, so that old ones do not suffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskGuard {
    /// Fuller than this, in percent.
    pub full: u8,
    /// Less room left than this, in bytes.
    pub room: u64,
}

impl Default for DiskGuard {
    fn default() -> Self {
        Self {
            full: 95,
            room: 256 * 1024 * 1024,
        }
    }
}
