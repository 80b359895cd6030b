//! Contacts and requests: what is known of each key, and how far each conversation has come.

use rusqlite::{Row, params};
use sremp_core::{
    contact_card::{Endpoint, RelayHint},
    id::{ContactId, IntroToken},
    identity::{Identity, Trust, VerifiedVia, VersionRecord},
    rendezvous::Seq,
    route::Choice,
    time::UnixMillis,
};

use super::{
    StoreError, Tx,
    column::{Cells as _, Code as _, time},
    rendezvous::FoundPlaces,
};
use crate::view::Standing;

type Result<T> = std::result::Result<T, StoreError>;

/// The number of a contact in this database; never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContactRow(pub i64);

/// Whether two identities of one key and version were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// No.
    None,
    /// Yes, and the user has not decided yet.
    Open,
    /// Yes, and the user goes on; holds for that version.
    Settled,
}

/// A contact that is not there yet.
#[derive(Clone, Debug)]
pub struct NewContact {
    /// `identity_key`.
    pub key: ContactId,
    /// What the user calls the contact.
    pub alias: Option<String>,
    /// Contact or request.
    pub standing: Standing,
    /// Now.
    pub first_seen: UnixMillis,
}

/// A contact, or the request of a stranger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactRecord {
    /// Its number here.
    pub row: ContactRow,
    /// `identity_key`.
    pub key: ContactId,
    /// What the user calls the contact.
    pub alias: Option<String>,
    /// The newest identity seen.
    pub identity: Option<Identity>,
    /// Contact or request.
    pub standing: Standing,
    /// The user declined the request; it can be undone.
    pub declined: bool,
    /// The user's assessment.
    pub trust: Trust,
    /// How trust was made.
    pub verified_via: VerifiedVia,
    /// When trust was set.
    pub trusted_at: Option<UnixMillis>,
    /// The user's word on direct connections; written by [`Tx::set_direct`] alone.
    pub direct: Choice,
    /// First contact.
    pub first_seen: UnixMillis,
    /// Last sign of life.
    pub last_seen: Option<UnixMillis>,
    /// Whether two identities of one version were seen.
    pub fork: Fork,
    /// Where it may be dialled.
    pub endpoints: Vec<Endpoint>,
    /// Its relays, the preferred one first.
    pub relays: Vec<RelayHint>,
    /// Its ENV public key with what belongs to it, as the engine encodes it.
    pub envelope_key: Option<Vec<u8>>,
    /// The token of its card, to be presented.
    pub intro: Option<IntroToken>,
    /// It has written to us in a session.
    pub confirmed: bool,
    /// Our CONTACT_REQUEST was made.
    pub introduced: bool,
    /// Our next `seq`, from 1.
    pub next_seq: u64,
    /// `prev` of our next content.
    pub prev: [u8; 16],
    /// Highest `seq` received.
    pub peer_seq: u64,
    /// Hash of that content, cut to 16 bytes.
    pub peer_prev: [u8; 16],
    /// Highest profile revision received.
    pub peer_profile_rev: u64,
    /// Profile revision that the contact was sent.
    pub sent_profile_rev: u64,
    /// State of the session book.
    pub book: Option<Vec<u8>>,
    /// What its newest RECORD says that a rendezvous server gave.
    pub found: Option<FoundPlaces>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT c.row, c.key, c.alias, c.standing, c.declined, c.trust, c.verified_via,
                    c.trusted_at, c.first_seen, c.forked, c.confirmed, c.introduced,
                    c.peer_profile_rev, c.sent_profile_rev, c.intro, c.envelope_key, c.endpoints,
                    c.relays, c.identity, f.last_seen, f.next_seq, f.prev, f.peer_seq, f.peer_prev,
                    b.state, p.seq, p.expires, p.endpoints, p.relays, coalesce(d.choice, 0)
             FROM contact c JOIN contact_flow f ON f.contact = c.row
                            JOIN contact_book b ON b.contact = c.row
                            LEFT JOIN found_place p ON p.contact = c.row
                            LEFT JOIN contact_direct d ON d.contact = c.row ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> Result<ContactRecord> {
    let identity = row.opt_blob(18)?.map(Identity::verify).transpose();
    Ok(ContactRecord {
        row: ContactRow(row.int(0)?),
        key: row.contact_id(1)?,
        alias: row.opt_text(2)?,
        standing: row.code(3)?,
        declined: row.flag(4)?,
        trust: row.code(5)?,
        verified_via: row.code(6)?,
        trusted_at: row.opt_time(7)?,
        direct: row.code(29)?,
        first_seen: row.time(8)?,
        fork: row.code(9)?,
        confirmed: row.flag(10)?,
        introduced: row.flag(11)?,
        peer_profile_rev: row.counter(12)?,
        sent_profile_rev: row.counter(13)?,
        intro: row.opt_bytes(14)?.map(IntroToken::new),
        envelope_key: row.opt_blob(15)?.map(<[u8]>::to_vec),
        endpoints: endpoints_from(&row.text(16)?)?,
        relays: relays_from(&row.text(17)?)?,
        identity: identity.map_err(|_| StoreError::Damaged)?,
        last_seen: row.opt_time(19)?,
        next_seq: row.counter(20)?,
        prev: row.bytes(21)?,
        peer_seq: row.counter(22)?,
        peer_prev: row.bytes(23)?,
        book: row.opt_blob(24)?.map(<[u8]>::to_vec),
        found: match row.opt_int(25)? {
            None => None,
            Some(seq) => Some(FoundPlaces {
                seq: Seq::new(seq.cast_unsigned()),
                expires: row.time(26)?,
                endpoints: endpoints_from(&row.text(27)?)?,
                relays: relays_from(&row.text(28)?)?,
            }),
        },
    })
}

fn endpoints_from(json: &str) -> Result<Vec<Endpoint>> {
    let pairs: Vec<(String, u16)> = serde_json::from_str(json).map_err(|_| StoreError::Damaged)?;
    let endpoint = |(host, port): (String, u16)| Endpoint::new(&host, port);
    let endpoints: std::result::Result<_, _> = pairs.into_iter().map(endpoint).collect();
    endpoints.map_err(|_| StoreError::Damaged)
}

pub(super) fn endpoints_to(endpoints: &[Endpoint]) -> String {
    let pair = |e: &Endpoint| serde_json::json!([e.host(), e.port()]);
    serde_json::Value::from_iter(endpoints.iter().map(pair)).to_string()
}

fn relays_from(json: &str) -> Result<Vec<RelayHint>> {
    let hints: Vec<(String, String, u16)> =
        serde_json::from_str(json).map_err(|_| StoreError::Damaged)?;
    let hint = |(priority, (key, host, port)): (u8, (String, String, u16))| {
        Some(RelayHint {
            relay: key.parse().ok()?,
            endpoint: Endpoint::new(&host, port).ok()?,
            priority,
        })
    };
    let hints: Option<_> = (0..).zip(hints).map(hint).collect();
    hints.ok_or(StoreError::Damaged)
}

pub(super) fn relays_to(relays: &[RelayHint]) -> String {
    let hint = |r: &RelayHint| {
        serde_json::json!([r.relay.to_string(), r.endpoint.host(), r.endpoint.port()])
    };
    serde_json::Value::from_iter(relays.iter().map(hint)).to_string()
}

impl Tx<'_> {
    /// Adds a contact: Unknown, no identity yet, nothing said on either side.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the key is there already.
    pub fn insert_contact(&mut self, new: &NewContact) -> Result<ContactRow> {
        let row = self.insert(
            "INSERT INTO contact (key, alias, standing, declined, trust, verified_via, first_seen,
                                  forked, confirmed, introduced, peer_profile_rev,
                                  sent_profile_rev, endpoints, relays)
             VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, 0, 0, 0, 0, 0, '[]', '[]')",
            params![
                new.key.as_bytes(),
                new.alias,
                new.standing.code(),
                Trust::Unknown.code(),
                VerifiedVia::None.code(),
                time(new.first_seen)
            ],
        )?;
        self.execute_one(
            "INSERT INTO contact_flow VALUES (?1, NULL, 1, zeroblob(16), 0, zeroblob(16))",
            [row],
        )?;
        self.execute_one("INSERT INTO contact_book VALUES (?1, NULL)", [row])?;
        Ok(ContactRow(row))
    }

    /// Writes a contact back. What did not change is compared, not written: a message costs the
    /// page of its counters.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the contact is not there. Row, key and first contact do not change.
    pub fn update_contact(&mut self, contact: &ContactRecord) -> Result<()> {
        let row = contact.row.0;
        self.execute_one(
            "UPDATE contact_flow SET last_seen = ?2, next_seq = ?3, prev = ?4, peer_seq = ?5,
                                     peer_prev = ?6
             WHERE contact = ?1",
            params![
                row,
                contact.last_seen.map(time),
                contact.next_seq.cast_signed(),
                contact.prev,
                contact.peer_seq.cast_signed(),
                contact.peer_prev
            ],
        )?;
        self.execute(
            "UPDATE contact_book SET state = ?2 WHERE contact = ?1 AND state IS NOT ?2",
            params![row, contact.book],
        )?;
        self.update_standing(contact)
    }

    fn update_standing(&mut self, contact: &ContactRecord) -> Result<()> {
        let username = contact.identity.as_ref().map(|i| i.username().as_str());
        self.execute(
            "UPDATE contact
             SET alias = ?2, username = ?3, standing = ?4, declined = ?5, trust = ?6,
                 verified_via = ?7, trusted_at = ?8, forked = ?9, confirmed = ?10,
                 introduced = ?11, peer_profile_rev = ?12, sent_profile_rev = ?13, intro = ?14,
                 envelope_key = ?15, endpoints = ?16, identity = ?17, relays = ?18
             WHERE row = ?1 AND
                (alias, username, standing, declined, trust, verified_via, trusted_at, forked,
                 confirmed, introduced, peer_profile_rev, sent_profile_rev, intro, envelope_key,
                 endpoints, identity, relays)
                IS NOT (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                        ?18)",
            params![
                contact.row.0,
                contact.alias,
                username,
                contact.standing.code(),
                contact.declined,
                contact.trust.code(),
                contact.verified_via.code(),
                contact.trusted_at.map(time),
                contact.fork.code(),
                contact.confirmed,
                contact.introduced,
                contact.peer_profile_rev.cast_signed(),
                contact.sent_profile_rev.cast_signed(),
                contact.intro.as_ref().map(IntroToken::as_bytes),
                contact.envelope_key,
                endpoints_to(&contact.endpoints),
                contact.identity.as_ref().map(Identity::as_bytes),
                relays_to(&contact.relays)
            ],
        )?;
        Ok(())
    }

    /// A contact by its number.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if what is stored does not verify.
    pub fn contact(&mut self, row: ContactRow) -> Result<Option<ContactRecord>> {
        self.get(select!("WHERE c.row = ?1"), [row.0], read)
    }

    /// A contact by its key.
    ///
    /// # Errors
    /// As [`Self::contact`].
    pub fn contact_by_key(&mut self, key: &ContactId) -> Result<Option<ContactRecord>> {
        self.get(select!("WHERE c.key = ?1"), [key.as_bytes()], read)
    }

    /// The number of the contact of a key.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn contact_row(&mut self, key: &ContactId) -> Result<Option<ContactRow>> {
        let sql = "SELECT row FROM contact WHERE key = ?1";
        self.get(sql, [key.as_bytes()], |row| Ok(ContactRow(row.int(0)?)))
    }

    /// Every contact and request, in the order of adding.
    ///
    /// # Errors
    /// As [`Self::contact`].
    pub fn contacts(&mut self) -> Result<Vec<ContactRecord>> {
        self.list(select!("ORDER BY c.row"), [], read)
    }

    /// The user has given these places of a contact, with a card; those of an earlier card count no
    /// longer.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the contact is not there.
    pub fn give_endpoints(&mut self, contact: ContactRow, endpoints: &[Endpoint]) -> Result<()> {
        self.execute("DELETE FROM given_endpoint WHERE contact = ?1", [contact.0])?;
        for endpoint in endpoints {
            self.execute(
                "INSERT OR IGNORE INTO given_endpoint VALUES (?1, ?2, ?3)",
                params![contact.0, endpoint.host(), endpoint.port()],
            )?;
        }
        Ok(())
    }

    /// Whether the user has given this place of a contact.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn is_given_endpoint(&mut self, contact: ContactRow, endpoint: &Endpoint) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM given_endpoint
                                  WHERE contact = ?1 AND host = ?2 AND port = ?3)";
        let params = params![contact.0, endpoint.host(), endpoint.port()];
        self.one(sql, params, |row| Ok(row.int(0)? == 1))
    }

    /// How many requests wait for the user's answer.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn pending_requests(&mut self) -> Result<u64> {
        let sql = "SELECT count(*) FROM contact WHERE standing = 1 AND declined = 0";
        self.one(sql, [], |row| row.count(0))
    }

    /// Deletes a contact with its history, sessions and outbox. Its version record and the audit of
    /// its keys stay.
    ///
    /// # Errors
    /// [`StoreError::Other`] if the contact is not there.
    pub fn delete_contact(&mut self, row: ContactRow) -> Result<()> {
        self.execute(
            "INSERT OR IGNORE INTO ended_session (id) SELECT id FROM session WHERE contact = ?1",
            [row.0],
        )?;
        self.delete_messages(row)?;
        self.execute_one("DELETE FROM contact WHERE row = ?1", [row.0])
    }

    /// The highest version seen of a key, also of one that is no contact any more.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn version_record(&mut self, key: &ContactId) -> Result<Option<VersionRecord>> {
        let sql = "SELECT version, verified_hash FROM version_record WHERE key = ?1";
        self.get(sql, [key.as_bytes()], |row| {
            Ok(VersionRecord {
                version: row.count(0)?,
                verified_hash: row.bytes(1)?,
            })
        })
    }

    /// Remembers the highest version seen of a key.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn save_version_record(&mut self, key: &ContactId, record: &VersionRecord) -> Result<()> {
        self.execute_one(
            "INSERT OR REPLACE INTO version_record VALUES (?1, ?2, ?3)",
            params![
                key.as_bytes(),
                super::column::saturating(record.version),
                record.verified_hash
            ],
        )
    }

    /// Whether it is new that a contact showed an identity older than version `seen`; it counts from then
    /// on.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn note_rollback(&mut self, contact: ContactRow, seen: u64) -> Result<bool> {
        let sql = "INSERT INTO rollback VALUES (?1, ?2)
                   ON CONFLICT (contact) DO UPDATE SET seen = excluded.seen WHERE seen < excluded.seen";
        let params = params![contact.0, super::column::saturating(seen)];
        Ok(self.execute(sql, params)? == 1)
    }
}
