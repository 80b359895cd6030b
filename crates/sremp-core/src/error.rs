//! The error codes of chapter 10: what goes into CLOSE and ERROR, and what stays local.

/// An error code, a `u16` on the wire (chapter 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
#[allow(
    missing_docs,
    reason = "the names are the specification's; `meaning` tells"
)]
pub enum ErrorCode {
    VersionMismatch = 0x0001,
    BadMagic = 0x0002,
    FrameInvalid = 0x0003,
    HandshakeFailed = 0x0004,
    Timeout = 0x0005,
    DecryptFailed = 0x0006,
    ChunkInvalid = 0x0007,
    TooLarge = 0x0008,
    ProtocolViolation = 0x0009,
    Duplicate = 0x000A,
    GoingAway = 0x000B,
    Busy = 0x000C,
    IdentityInvalid = 0x0101,
    StaticMismatch = 0x0102,
    WrongPeer = 0x0103,
    StaleIdentity = 0x0104,
    Refused = 0x0105,
    IdentityFork = 0x0106,
    Tombstoned = 0x0107,
    NoSession = 0x0201,
    Decrypt = 0x0202,
    SkipLimit = 0x0203,
    Replay = 0x0204,
    PrekeyUnknown = 0x0205,
    BundleInvalid = 0x0206,
    Suite = 0x0207,
    BadProof = 0x0301,
    StaleSeq = 0x0302,
    Expired = 0x0303,
    Unreachable = 0x0304,
    RateLimited = 0x0305,
    NotAllowed = 0x0306,
    Auth = 0x0401,
    Denied = 0x0402,
    Quota = 0x0403,
    PowRequired = 0x0404,
    NoPrekey = 0x0405,
    Cursor = 0x0406,
    Superseded = 0x0407,
    Conflict = 0x0408,
    InviteRequired = 0x0409,
    Full = 0x040A,
    Storage = 0x0501,
}

/// Where a code may appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Never sent: the connection is closed without a word, or nothing is said at all.
    Local,
    /// Sent in a CLOSE.
    Close,
    /// Sent as an ERROR reply, or in a reply's error field.
    Reply,
}

/// One row of the table of chapter 10.
#[derive(Clone, Copy, Debug)]
pub struct ErrorRow {
    /// The code.
    pub code: ErrorCode,
    /// The name in the specification.
    pub name: &'static str,
    /// Where it may appear.
    pub scope: Scope,
    /// What happened, for a person.
    pub meaning: &'static str,
}

const fn row(code: ErrorCode, name: &'static str, scope: Scope, meaning: &'static str) -> ErrorRow {
    ErrorRow {
        code,
        name,
        scope,
        meaning,
    }
}

/// Every error code, ascending.
#[rustfmt::skip]
pub const ERRORS: [ErrorRow; 43] = [
    row(ErrorCode::VersionMismatch, "VERSION_MISMATCH", Scope::Close, "the peer speaks another major version, or the version header was changed on the way"),
    row(ErrorCode::BadMagic, "BAD_MAGIC", Scope::Local, "what answered does not speak SREMP"),
    row(ErrorCode::FrameInvalid, "FRAME_INVALID", Scope::Local, "a frame has an impossible length"),
    row(ErrorCode::HandshakeFailed, "HANDSHAKE_FAILED", Scope::Local, "the Noise handshake failed"),
    row(ErrorCode::Timeout, "TIMEOUT", Scope::Local, "the peer took too long"),
    row(ErrorCode::DecryptFailed, "DECRYPT_FAILED", Scope::Local, "a frame was changed, replayed or reordered on the way"),
    row(ErrorCode::ChunkInvalid, "CHUNK_INVALID", Scope::Close, "a chunk contradicts the message it belongs to"),
    row(ErrorCode::TooLarge, "TOO_LARGE", Scope::Close, "a message is larger than allowed"),
    row(ErrorCode::ProtocolViolation, "PROTOCOL_VIOLATION", Scope::Close, "the peer broke the protocol"),
    row(ErrorCode::Duplicate, "DUPLICATE", Scope::Close, "another connection to the same peer was kept"),
    row(ErrorCode::GoingAway, "GOING_AWAY", Scope::Close, "the peer is shutting down"),
    row(ErrorCode::Busy, "BUSY", Scope::Close, "the peer has no room for this connection"),
    row(ErrorCode::IdentityInvalid, "IDENTITY_INVALID", Scope::Close, "the identity that was shown is not valid"),
    row(ErrorCode::StaticMismatch, "STATIC_MISMATCH", Scope::Close, "the connection's key is not the identity's noise key"),
    row(ErrorCode::WrongPeer, "WRONG_PEER", Scope::Close, "somebody else answered at this address"),
    row(ErrorCode::StaleIdentity, "STALE_IDENTITY", Scope::Close, "an older version of the identity was shown than is known"),
    row(ErrorCode::Refused, "REFUSED", Scope::Close, "the peer does not accept this connection"),
    row(ErrorCode::IdentityFork, "IDENTITY_FORK", Scope::Local, "two different identities carry the same key and version"),
    row(ErrorCode::Tombstoned, "TOMBSTONED", Scope::Local, "the owner has withdrawn this identity for good"),
    row(ErrorCode::NoSession, "NO_SESSION", Scope::Local, "there is no session that could read this message"),
    row(ErrorCode::Decrypt, "DECRYPT", Scope::Local, "a message could not be decrypted"),
    row(ErrorCode::SkipLimit, "SKIP_LIMIT", Scope::Local, "a message is too far ahead of its chain"),
    row(ErrorCode::Replay, "REPLAY", Scope::Local, "a message came a second time"),
    row(ErrorCode::PrekeyUnknown, "PREKEY_UNKNOWN", Scope::Local, "a first message names a prekey that is not here (any more)"),
    row(ErrorCode::BundleInvalid, "BUNDLE_INVALID", Scope::Local, "a prekey bundle is not valid"),
    row(ErrorCode::Suite, "SUITE", Scope::Local, "the peer uses a cipher suite that is not known here"),
    row(ErrorCode::BadProof, "BAD_PROOF", Scope::Reply, "a proof of identity does not hold"),
    row(ErrorCode::StaleSeq, "STALE_SEQ", Scope::Reply, "a newer record is known"),
    row(ErrorCode::Expired, "EXPIRED", Scope::Reply, "a signed record has expired"),
    row(ErrorCode::Unreachable, "UNREACHABLE", Scope::Reply, "the address could not be dialled back"),
    row(ErrorCode::RateLimited, "RATE_LIMITED", Scope::Reply, "too many requests"),
    row(ErrorCode::NotAllowed, "NOT_ALLOWED", Scope::Reply, "the request is not allowed"),
    row(ErrorCode::Auth, "AUTH", Scope::Reply, "the authentication does not hold"),
    row(ErrorCode::Denied, "DENIED", Scope::Reply, "the recipient does not take messages from this sender here"),
    row(ErrorCode::Quota, "QUOTA", Scope::Reply, "the mailbox is full"),
    row(ErrorCode::PowRequired, "POW_REQUIRED", Scope::Reply, "a proof of work is required"),
    row(ErrorCode::NoPrekey, "NO_PREKEY", Scope::Reply, "no prekey bundle can be given now"),
    row(ErrorCode::Cursor, "CURSOR", Scope::Reply, "the cursor lies beyond the mailbox"),
    row(ErrorCode::Superseded, "SUPERSEDED", Scope::Reply, "a newer connection took over"),
    row(ErrorCode::Conflict, "CONFLICT", Scope::Reply, "the message id is taken by another message"),
    row(ErrorCode::InviteRequired, "INVITE_REQUIRED", Scope::Reply, "the relay asks for an invite"),
    row(ErrorCode::Full, "FULL", Scope::Reply, "the relay has no room"),
    row(ErrorCode::Storage, "STORAGE", Scope::Local, "the disk is full or a write failed"),
];

impl ErrorCode {
    /// The code as on the wire.
    pub const fn to_u16(self) -> u16 {
        self as u16
    }

    /// The code with this number, if the specification names it.
    pub fn from_u16(code: u16) -> Option<Self> {
        ERRORS
            .iter()
            .map(|row| row.code)
            .find(|c| c.to_u16() == code)
    }

    fn row(self) -> Option<&'static ErrorRow> {
        ERRORS.iter().find(|row| row.code == self)
    }

    /// The name in the specification.
    pub fn name(self) -> &'static str {
        self.row().map_or("", |row| row.name)
    }

    /// What happened, for a person.
    pub fn meaning(self) -> &'static str {
        self.row().map_or("", |row| row.meaning)
    }

    /// Where the code may appear.
    pub fn scope(self) -> Scope {
        self.row().map_or(Scope::Local, |row| row.scope)
    }

    /// Whether only a bug or an attack of the peer explains it: what it is banned for. Nobody between
    /// the two can bring it about, unlike frames that do not hold.
    pub const fn is_violation(self) -> bool {
        matches!(
            self,
            Self::ChunkInvalid | Self::TooLarge | Self::ProtocolViolation
        )
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} ({:04X}): {}",
            self.name(),
            self.to_u16(),
            self.meaning()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_row_in_ascending_order() {
        assert!(ERRORS.windows(2).all(|w| w[0].code < w[1].code));
        for row in ERRORS {
            assert_eq!(ErrorCode::from_u16(row.code.to_u16()), Some(row.code));
            assert!(!row.name.is_empty() && !row.meaning.is_empty());
        }
        assert_eq!(ErrorCode::from_u16(0), None);
        assert_eq!(ErrorCode::from_u16(0x0502), None);
    }

    #[test]
    fn the_codes_of_chapter_10_are_these_with_their_names_and_scopes() {
        let chapter = include_str!("../../../docs/protocol/10-errors.md");
        let row = |line: &str| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let code = u16::from_str_radix(cells.get(1)?, 16).ok()?;
            Some((code, cells[2].to_owned(), cells[3].to_owned()))
        };
        let told: Vec<_> = chapter.lines().filter_map(row).collect();
        let known = ERRORS.map(|row| {
            let scope = format!("{:?}", row.scope).to_lowercase();
            (row.code.to_u16(), row.name.to_owned(), scope)
        });
        assert_eq!(told, known);
    }
}
