//! Every number of the specification, by chapter of `docs/protocol`.

use std::time::Duration;

// ---- 0 Conventions ----------------------------------------------------------------------------

/// Largest Noise message on the wire in bytes, tag included (Noise rev 34, section 3).
pub const MAX_FRAME: usize = 65_535;
/// Largest transport plaintext in bytes: [`MAX_FRAME`] less the 16-byte tag.
pub const MAX_PLAIN: usize = MAX_FRAME - TAG_LEN;
/// Largest reassembled message in bytes.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// Largest envelope in bytes.
pub const MAX_ENVELOPE: usize = 61_440;
/// Largest encoded `Identity` in bytes.
pub const MAX_IDENTITY: usize = 16_384;
/// Most message keys that one message may skip in a chain.
pub const MAX_SKIP: u32 = 1_000;
/// Length of an X25519 public key, private key or shared secret in bytes.
pub const DHLEN: usize = 32;
/// Length of a ChaCha20-Poly1305 tag in bytes.
pub const TAG_LEN: usize = 16;
/// Deepest nesting that SMP1 decodes.
pub const MAX_SMP1_DEPTH: usize = 8;
/// Latest representable time, 9999-12-31T23:59:59.999Z, in Unix milliseconds.
pub const MAX_UNIX_MILLIS: u64 = 253_402_300_799_999;

// ---- 1 Transport ------------------------------------------------------------------------------

/// `protocol_name` of the version header.
pub const PROTOCOL_NAME: [u8; 5] = *b"SREMP";
/// The major version spoken here.
pub const VERSION_MAJOR: u8 = 1;
/// The newest minor version spoken here.
pub const VERSION_MINOR: u8 = 0;
/// Length of the version header in bytes.
pub const VERSION_HEADER_LEN: usize = 7;
/// The Noise protocol name; it is hashed, so its spelling matters.
pub const NOISE_PROTOCOL: &str = "Noise_XX_25519_ChaChaPoly_BLAKE2s";
/// Lengths of the three handshake messages in bytes; the payloads are empty.
pub const HANDSHAKE_LEN: [usize; 3] = [32, 96, 64];
/// Smallest transport frame: a type byte and the tag.
pub const MIN_TRANSPORT_FRAME: usize = TAG_LEN + 1;
/// A HELLO, type byte included, is padded to a multiple of this many bytes.
pub const HELLO_PAD: usize = 1_024;
/// Largest HELLO in bytes, type byte and padding included: an identity of [`MAX_IDENTITY`] and the
/// other fields, rounded up to [`HELLO_PAD`].
pub const MAX_HELLO: usize = 17 * HELLO_PAD;
/// Bytes that may wait, still encrypted, while it is decided whether the peer is let in.
pub const MAX_HELD_BYTES: usize = 2 * MAX_FRAME;
/// Longest text of a CLOSE or ERROR in bytes.
pub const MAX_ERROR_TEXT: usize = 128;
/// Most requests that wait for an answer at once, per direction.
pub const MAX_OPEN_REQUESTS: usize = 64;

/// Frames sent under one transport key before REKEY.
pub const REKEY_AFTER_FRAMES: u64 = 1 << 20;
/// Bytes sent under one transport key before REKEY.
pub const REKEY_AFTER_BYTES: u64 = 1 << 30;
/// Age of one transport key before REKEY.
pub const REKEY_AFTER: Duration = Duration::from_secs(60 * 60);
/// A peer may send one REKEY in this time.
pub const REKEY_MIN_INTERVAL: Duration = Duration::from_secs(60);
/// Time that a sender leaves between two REKEYs, twice what the peer demands: a stalled network may
/// deliver them closer together than they were sent.
pub const REKEY_SEND_INTERVAL: Duration = Duration::from_secs(2 * 60);
/// Age at which a connection is closed and made anew, for fresh Diffie-Hellman keys.
pub const CONNECTION_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Silence before a PING, before jitter.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(100);
/// Share of [`KEEPALIVE_INTERVAL`] by which it varies, in percent.
pub const KEEPALIVE_JITTER_PERCENT: u64 = 20;
/// Time that each of two PINGs may stay unanswered.
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// A peer may send one PING in this time; more are not answered.
pub const PING_MIN_INTERVAL: Duration = Duration::from_secs(5);
/// PINGs that may come at once, because the network delivered them together.
pub const PING_BURST: u32 = 2;
/// PINGs that may stay unanswered; then the connection is dead.
pub const MAX_UNANSWERED_PINGS: u8 = 2;
/// Time that a PONG may take when a duplicate connection is being judged.
pub const DUPLICATE_PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Age from which the older of two connections has to prove itself alive.
pub const DUPLICATE_PROBE_AGE: Duration = Duration::from_secs(30);

/// Time for the peer's version header.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for each handshake message.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time from accept to the end of the HELLO exchange.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for the body of a frame after its length.
pub const FRAME_BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Time that a write may make no progress.
pub const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Time that a closing connection may take to flush.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that wait to be written to one connection.
pub const WRITE_QUEUE: usize = 1024 * 1024;

/// Time between the starts of two dial attempts of one race (RFC 8305, section 5).
pub const DIAL_STAGGER: Duration = Duration::from_millis(250);
/// Dial attempts of one race that run at once.
pub const DIAL_PARALLEL: usize = 3;
/// Time of one dial attempt, until its HELLO is done.
pub const DIAL_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
/// Time of a whole dial race, the name lookup included.
pub const DIAL_BUDGET: Duration = Duration::from_secs(6);
/// Addresses that one dial tries at most.
pub const MAX_DIAL_ADDRESSES: usize = 12;
/// Different endpoints that one contact only claims and that are dialled in one [`CLAIMS_INTERVAL`].
pub const MAX_CLAIMS_DIALLED: usize = 3;
/// Time in which the endpoints that a contact claims are counted.
pub const CLAIMS_INTERVAL: Duration = Duration::from_secs(60);
/// Prefixes whose rate of new connections is remembered.
pub const MAX_RATED_PREFIXES: usize = 65_536;

/// Half-open connections of a client.
pub const CLIENT_HALF_OPEN: usize = 64;
/// Half-open connections of a client from one IPv4 address or IPv6 /64.
pub const CLIENT_HALF_OPEN_PER_PREFIX: usize = 4;
/// New connections of a client from one prefix per minute.
pub const CLIENT_ACCEPTS_PER_MINUTE: usize = 10;
/// Half-open connections of a relay.
pub const RELAY_HALF_OPEN: usize = 1_024;
/// Half-open connections of a relay from one prefix.
pub const RELAY_HALF_OPEN_PER_PREFIX: usize = 16;
/// New connections of a relay from one prefix per minute.
pub const RELAY_ACCEPTS_PER_MINUTE: usize = 120;
/// Of those so many at once: a handshake costs a third of a millisecond, and those who are connected
/// already wait for it.
pub const RELAY_ACCEPTS_AT_ONCE: usize = 12;
/// A connection that comes earlier than its prefix may waits for its turn, but no longer than this:
/// whoever dials gives up after [`DIAL_ATTEMPT_TIMEOUT`].
pub const RELAY_ACCEPT_WAIT: Duration = Duration::from_secs(2);

/// Length of a chunk header in bytes, after the type byte.
pub const CHUNK_HEADER_LEN: usize = 14;
/// Payload of every chunk but the last, in bytes.
pub const CHUNK_SIZE: usize = 32_768;
/// Most chunks of one message.
pub const MAX_CHUNKS: u16 = 128;
/// Open reassemblies of one connection.
pub const MAX_REASSEMBLIES: usize = 8;
/// How far a chunked message may start ahead of the oldest one that is not finished.
pub const REASSEMBLY_WINDOW: u64 = 2 * MAX_REASSEMBLIES as u64;
/// Bytes held for reassembly by one connection.
pub const MAX_REASSEMBLY_BYTES: usize = 8 * 1024 * 1024;
/// Bytes held for reassembly by one process.
pub const MAX_REASSEMBLY_BYTES_PROCESS: usize = 256 * 1024 * 1024;
/// Time after the last new chunk at which a message is dropped.
pub const REASSEMBLY_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time after the first chunk at which a message is dropped.
pub const REASSEMBLY_TIMEOUT: Duration = Duration::from_secs(120);

// ---- 2 Identity -------------------------------------------------------------------------------

/// Most Unicode scalar values of a username.
pub const MAX_USERNAME_CHARS: usize = 40;
/// Most bytes of a username.
pub const MAX_USERNAME_BYTES: usize = 160;
/// Most combining marks in a row in a username.
pub const MAX_MARKS_IN_A_ROW: usize = 3;
/// Largest profile picture that is shown, in bytes; a larger one is ignored.
pub const MAX_PROFILE_PICTURE: usize = 8 * 1024;
/// Largest side of a profile picture in pixels.
pub const MAX_PROFILE_PICTURE_SIDE: u32 = 256;
/// Most entries of `additional_metadata`.
pub const MAX_METADATA_ENTRIES: usize = 16;
/// Longest key of `additional_metadata` in bytes.
pub const MAX_METADATA_KEY: usize = 64;
/// Longest value of `additional_metadata` in bytes.
pub const MAX_METADATA_VALUE: usize = 1_024;
/// Most bytes of all keys and values of `additional_metadata`.
pub const MAX_METADATA_BYTES: usize = 4 * 1024;
/// Metadata key that marks a tombstone.
pub const METADATA_TOMBSTONE: &str = "sremp.tombstone";
/// Highest version of an identity, 2^53; only a tombstone carries it.
pub const MAX_IDENTITY_VERSION: u64 = 1 << 53;
/// `created` may lie this far in the future before the user is warned.
pub const CREATED_WARN_AHEAD: Duration = Duration::from_secs(24 * 60 * 60);
/// Age at which the noise key is rotated.
pub const NOISE_KEY_ROTATION: Duration = Duration::from_secs(90 * 24 * 60 * 60);

// ---- 3 Sessions -------------------------------------------------------------------------------

/// The device id of version 1.
pub const DEVICE_ID: u32 = 1;
/// Suite 01: X25519, ML-KEM-768, HKDF-SHA-256, ChaCha20-Poly1305.
pub const SUITE: u8 = 1;
/// Age at which the signed prekey is rotated.
pub const SIGNED_PREKEY_ROTATION: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Age at which a signed prekey expires.
pub const SIGNED_PREKEY_EXPIRY: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Age at which the private part of a signed prekey is deleted.
pub const SIGNED_PREKEY_DELETION: Duration = Duration::from_secs(35 * 24 * 60 * 60);
/// Age at which an unused one-time prekey is deleted.
pub const ONE_TIME_PREKEY_DELETION: Duration = Duration::from_secs(60 * 24 * 60 * 60);
/// Age at which an unused one-time prekey expires: [`ONE_TIME_PREKEY_DELETION`] less the 14 days
/// that a relay keeps the first message made with it.
pub const ONE_TIME_PREKEY_EXPIRY: Duration = Duration::from_secs(46 * 24 * 60 * 60);
/// Age at which the envelope key is rotated.
pub const ENVELOPE_KEY_ROTATION: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Age at which an envelope key expires: [`ENVELOPE_KEY_DELETION`] less the 14 days that a relay
/// keeps what was sealed with it.
pub const ENVELOPE_KEY_EXPIRY: Duration = Duration::from_secs(46 * 24 * 60 * 60);
/// Age at which the private part of an envelope key is deleted.
pub const ENVELOPE_KEY_DELETION: Duration = Duration::from_secs(60 * 24 * 60 * 60);
/// A contact may ask for one prekey bundle in this time.
pub const PREKEY_REQUEST_INTERVAL: Duration = Duration::from_secs(60);
/// A contact that leaves something unconfirmed for this time may have other keys by now: its bundle
/// is fetched again.
pub const BUNDLE_REFETCH: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Time after which that is tried again if no relay gave a bundle.
pub const BUNDLE_REFETCH_RETRY: Duration = Duration::from_secs(24 * 60 * 60);
/// Time by which the clocks of two peers may differ when one judges the other's expiries.
pub const CLOCK_SKEW: Duration = Duration::from_secs(300);
/// Largest encoded prekey bundle in bytes.
pub const MAX_BUNDLE: usize = MAX_IDENTITY + 8 * 1024;
/// Stored skipped message keys of one contact; the oldest goes first.
pub const MAX_SKIPPED_KEYS: usize = 2_000;
/// Age at which a skipped message key is deleted.
pub const SKIPPED_KEY_AGE: Duration = Duration::from_secs(35 * 24 * 60 * 60);
/// Receiving chains that a session remembers, the current one included.
pub const MAX_RECEIVING_CHAINS: usize = 5;
/// Older receiving chains that it remembers for the messages of them that have not come.
pub const MAX_LATE_CHAINS: usize = 64;
/// Older receiving chains of which a session remembers that they were read whole: what comes of them
/// is a replay, not a failure.
pub const MAX_FORGOTTEN_CHAINS: usize = 64;
/// Messages in one sending chain without an answer before a new session is started.
pub const MAX_CHAIN_WITHOUT_REPLY: u32 = 5_000;
/// Messages received in a row after which a client that has nothing to say sends PROFILE_UPDATE, so
/// that the other's sending chain ends before [`MAX_CHAIN_WITHOUT_REPLY`].
pub const ANSWER_AFTER: u32 = 1_000;
/// Age of an unanswered session before a new one is started.
pub const UNACKNOWLEDGED_SESSION_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Inactive sessions that can still receive, per contact.
pub const MAX_INACTIVE_SESSIONS: usize = 5;
/// Age at which an inactive session is deleted.
pub const INACTIVE_SESSION_AGE: Duration = Duration::from_secs(35 * 24 * 60 * 60);
/// Time that a signed prekey's private part has to outlive an envelope that names it: the longest
/// that a relay keeps one by default.
pub const RELAY_STORAGE: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Accepted first messages that are remembered per contact, while the signed prekeys that they name
/// live; beyond that the contact cannot start sessions.
pub const MAX_INIT_RECORDS: usize = 256;
/// Messages in a row on a session that lost the choice, with none on the chosen one, after which
/// the peer is followed.
pub const STRAYS_BEFORE_FOLLOWING: u32 = 8;
/// Failing envelopes of a known session before RESET.
pub const RESET_AFTER_FAILURES: u32 = 3;
/// Time without a good envelope after a failing one before RESET.
pub const RESET_AFTER: Duration = Duration::from_secs(10 * 60);
/// One RESET in this time per contact.
pub const RESET_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// RESETs of one contact per day.
pub const RESETS_PER_DAY: usize = 5;
/// Sizes of an envelope in bytes, tag included.
pub const ENVELOPE_BUCKETS: [usize; 7] = [1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 61_440];
/// Largest encoded content in bytes.
pub const MAX_CONTENT: usize = 58 * 1024;
/// Longest text of a contact request in bytes.
pub const MAX_REQUEST_TEXT: usize = 4 * 1024;
/// Shortest time in seconds after which messages disappear; what is shorter counts as this.
pub const MIN_TIMER: u32 = 30;
/// How far ahead a TIMER's `sent` may be of its reader's clock; what is further counts as this.
pub const TIMER_AHEAD: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest reaction in bytes.
pub const MAX_REACTION: usize = 32;
/// Message ids in one receipt.
pub const MAX_RECEIPT_IDS: usize = 64;
/// Relays that a peer may name.
pub const MAX_RELAY_HINTS: usize = 3;
/// Direct endpoints that a peer may name.
pub const MAX_ENDPOINTS: usize = 4;
/// Longest host name in bytes (RFC 1035).
pub const MAX_HOST: usize = 253;
/// Time for which the ids of received messages are remembered.
pub const DEDUP_AGE: Duration = Duration::from_secs(60 * 24 * 60 * 60);

// ---- chapter 5: rendezvous ----------------------------------------------------------------------

/// ALPN protocol of a rendezvous server.
pub const RDV_ALPN: &[u8] = b"sremp-rdv/1";
/// Length of the length before each message, bytes.
pub const RDV_LENGTH_LEN: usize = 4;
/// Largest message of a client, bytes.
pub const MAX_RDV_REQUEST: usize = 32 * 1024;
/// Largest message of a server, bytes.
pub const MAX_RDV_RESPONSE: usize = 256 * 1024;
/// Requests of one connection that wait for their answer.
pub const MAX_RDV_OPEN: usize = 16;
/// Silence after which a connection is closed.
pub const RDV_IDLE: Duration = Duration::from_secs(60);
/// Largest RECORD in bytes.
pub const MAX_RECORD: usize = 2_560;
/// Shortest life of a RECORD.
pub const MIN_RECORD_TTL: Duration = Duration::from_secs(60);
/// Life of a RECORD unless its owner wishes another.
pub const RECORD_TTL: Duration = Duration::from_secs(60 * 60);
/// Longest life of a RECORD.
pub const MAX_RECORD_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// Time after its expiry for which a server remembers a RECORD's seq, a tombstone's as well.
pub const RECORD_MEMORY: Duration = Duration::from_secs(24 * 60 * 60);
/// Share of its life after which a RECORD is renewed, in percent: a random one between these.
pub const RENEW_PERCENT: (u32, u32) = (50, 80);
/// Largest SERVER_RECORD in bytes.
pub const MAX_SERVER_RECORD: usize = 384;
/// Longest life of a SERVER_RECORD.
pub const MAX_SERVER_RECORD_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// After so long a server has made its SERVER_RECORD anew.
pub const SERVER_RENEWAL: Duration = Duration::from_secs(30 * 60);
/// Age up to which a server names the SERVER_RECORD of another.
pub const SERVER_FRESH: Duration = Duration::from_secs(2 * 60 * 60);
/// Exchanges that a server's peer may miss before it is not named any more.
pub const MISSED_EXCHANGES: u32 = 3;
/// Pause after the first exchange that fails; doubled with each further one.
pub const EXCHANGE_RETRY: Duration = Duration::from_secs(60);
/// Longest pause, in times of the usual one.
pub const MAX_EXCHANGE_PAUSE: u32 = 4;
/// Servers with which one exchanges lists.
pub const MAX_SERVER_PEERS: usize = 16;
/// Registrations of one LOOKUP_RESPONSE.
pub const MAX_PAGE: usize = 20;
/// Entries that are looked at for one page, those that have just expired included.
pub const MAX_PAGE_SCAN: usize = 200;
/// Pages that a client asks for in one connection.
pub const MAX_PAGES: u32 = 500;
/// To what `last_seen` is rounded down.
pub const PRESENCE_STEP: Duration = Duration::from_secs(60 * 60);
/// Servers of one LIST_SERVERS_RESPONSE, and candidates that are kept.
pub const MAX_CANDIDATES: usize = 64;
/// Candidates that are kept of one source.
pub const MAX_CANDIDATES_PER_SOURCE: usize = 8;
/// Of those, servers that told of themselves.
pub const MAX_ANNOUNCED: usize = 32;
/// Registrations of one key in a minute.
pub const REGISTERS_PER_KEY: u32 = 5;
/// Registrations from one address prefix in a minute.
pub const REGISTERS_PER_PREFIX: u32 = 20;
/// Pages of one key in a minute.
pub const PAGES_PER_MINUTE: u32 = 6;
/// Endpoints of one contact that a client dials in a minute because a server named them.
pub const RDV_DIALS_PER_MINUTE: usize = 3;
/// Lowest port, 443 excepted, that is dialled because a stranger named it.
pub const MIN_PUBLIC_PORT: u16 = 1_024;

// ---- chapter 7: paths ---------------------------------------------------------------------------

/// Lease that a gateway is asked for.
pub const MAPPING_LEASE: Duration = Duration::from_secs(60 * 60);
/// Longest lease that is relied on, whatever a gateway grants.
pub const MAX_MAPPING_LEASE: Duration = Duration::from_secs(2 * 60 * 60);
/// Shortest lease that is taken (RFC 6887, section 15).
pub const MIN_MAPPING_LEASE: Duration = Duration::from_secs(120);
/// Share of the rest of its lease after which a mapping is renewed, in percent: a random one between
/// these.
pub const MAPPING_RENEW_PERCENT: (u32, u32) = (50, 60);
/// Rest of a lease in which it is not tried any more (RFC 6887, section 11.2.1).
pub const MAPPING_RENEW_MIN: Duration = Duration::from_secs(4);
/// Rest after no gateway gave a mapping: the first, and the longest after doublings.
pub const MAPPING_RETRY: (Duration, Duration) =
    (Duration::from_secs(60), Duration::from_secs(60 * 60));
/// Share of [`MAPPING_RETRY`] by which it varies, in percent.
pub const MAPPING_RETRY_JITTER_PERCENT: u32 = 25;
/// Times that a PCP or NAT-PMP request waits for its answer, one for each time that it is sent.
pub const MAPPING_WAITS: [Duration; 3] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
];
/// Time for a mapping to be given back.
pub const MAPPING_RETURN_TIMEOUT: Duration = Duration::from_secs(3);
/// External ports that are tried when those before are somebody else's.
pub const MAPPING_PORT_TRIES: usize = 4;
/// Time in which a UPnP gateway has to be found.
pub const UPNP_SEARCH_TIMEOUT: Duration = Duration::from_secs(2);
/// Time of one HTTP exchange with a UPnP gateway.
pub const UPNP_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer of a UPnP gateway over HTTP, bytes.
pub const MAX_UPNP_BODY: usize = 64 * 1024;
/// Most XML nodes of such an answer.
pub const MAX_UPNP_NODES: u32 = 4_096;
/// Descriptions of one gateway that are read, and services of one that are tried.
pub const MAX_UPNP_CANDIDATES: usize = 4;

/// Servers that are taken from the DNS records of one domain.
pub const MAX_DNS_SERVERS: usize = 8;
/// Time for these records to come.
pub const DNS_TIMEOUT: Duration = Duration::from_secs(5);

// ---- 8 Contact exchange -----------------------------------------------------------------------

/// Largest contact card in bytes.
pub const MAX_CARD: usize = 512;
/// Longest invite of a relay in bytes.
pub const MAX_RELAY_INVITE: usize = 64;
/// Rendezvous servers that a card may name.
pub const MAX_RENDEZVOUS_HINTS: usize = 3;
/// Length of an intro token in bytes.
pub const INTRO_TOKEN_LEN: usize = 16;
/// Life of a single-use invite.
pub const INVITE_EXPIRY: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Hash iterations of a safety number, the first included.
pub const SAFETY_NUMBER_ITERATIONS: u32 = 5_200;
/// Digits of a safety number, both sides.
pub const SAFETY_NUMBER_DIGITS: usize = 60;
/// Contact requests that wait for an answer.
pub const MAX_PENDING_REQUESTS: usize = 100;

// ---- chapter 6: relay ---------------------------------------------------------------------------

/// Largest one-time prekey as it stands in a bundle, bytes.
pub const MAX_OTP_BYTES: usize = 1_536;
/// One-time prekeys of one PREKEYS_PUT.
pub const MAX_OTPS_PUT: usize = 100;
/// Keys or tokens of one list of SENDERS_SET.
pub const MAX_SENDERS_SET: usize = 64;
/// Items of one MESSAGE_BATCH.
pub const MAX_BATCH_ITEMS: usize = 100;
/// Bytes of envelopes in one MESSAGE_BATCH.
pub const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// Confirmations of one message.
pub const MAX_CONFIRMATIONS: usize = 256;
/// Cursors of one DISCARD.
pub const MAX_DISCARDS: usize = 256;
/// Items that a subscription may leave unsettled.
pub const MAX_CREDIT_ITEMS: u16 = 256;
/// Bytes of those.
pub const MAX_CREDIT_BYTES: u32 = 4 * 1024 * 1024;
/// A subscriber that settles nothing for this time gets nothing more until it does (D6.6).
pub const PUSH_STALL: Duration = Duration::from_secs(60);
/// Levels of a receipt's path.
pub const MAX_RECEIPT_DEPTH: usize = 16;
/// Longest `receipt_signature`, bytes.
pub const MAX_RECEIPT: usize = 64 + 1 + 33 * MAX_RECEIPT_DEPTH;
/// Signatures from which on an equation over several is tried first (docs/decisions/0007).
pub const MIN_SIGNATURE_BATCH: usize = 2;
/// Signatures of one equation that is reckoned with a table for each: those of more leave the
/// processor's first cache.
pub const MAX_TABLED_SIGNATURES: usize = 24;
/// Signatures from which on an equation is reckoned without such tables (95 in curve25519-dalek), and
/// costs least undivided.
pub const MIN_UNTABLED_SIGNATURES: usize = 96;
/// One-time prekeys below which the owner is told.
pub const LOW_OTPS: u16 = 20;

// ---- chapter 10: errors -------------------------------------------------------------------------

/// For so long whoever broke the protocol is not let in by a server.
pub const BAN_TIME: Duration = Duration::from_secs(10 * 60);
/// Violations within [`BAN_TIME`] after which an address is not let in, whoever comes from there:
/// more than one broken client behind a shared address makes in that time.
pub const BAN_VIOLATIONS: u32 = 8;
/// Identities that are banned at once, and as many addresses that are counted.
pub const MAX_BANS: usize = 4_096;
