//! What a bad relay does.

/// What a relay does that it must not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Malice {
    /// Nothing.
    #[default]
    None,
    /// Promises to keep what it throws away.
    Drops,
    /// Hands items over in any order.
    Reorders,
    /// Hands every item over again and again.
    Replays,
    /// Names somebody else as the sender.
    Misattributes,
    /// Signs receipts that do not hold.
    ForgesReceipts,
    /// Confirms in the name of recipients.
    ForgesConfirmations,
    /// Gives another person's bundle.
    GivesAnothersBundle,
    /// Gives the first bundle that it ever had.
    GivesOldBundle,
    /// Takes no new bundle from whoever has one there.
    KeepsToOneBundle,
    /// Has no bundle for anybody.
    WithholdsBundles,
    /// Takes nothing.
    RefusesAll,
}
