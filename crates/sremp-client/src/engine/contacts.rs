//! Contacts: cards, requests, verification, trust.

use sremp_core::{
    contact_card::{CardContent, CardError, ContactCard, Intro},
    error::ErrorCode,
    id::{ContactId, IntroToken},
    identity::{Trust, VerifiedVia},
    safety_number::SafetyNumber,
    text,
    time::UnixMillis,
};

use super::{Engine, Step, Ticket, naming::NameClash, peers::Peer};
use crate::{
    card,
    store::{NewContact, StoreError},
    view::{CommandError, ErrorKind, IdView, Reply, Standing, VerifyView},
};

/// What a command comes to: an answer for the user, or a store that failed.
pub(super) type Answer<T> = Result<Result<T, CommandError>, StoreError>;

pub(super) fn refuse<T>(kind: ErrorKind, message: impl Into<String>) -> Answer<T> {
    Ok(Err(CommandError::new(kind, message)))
}

impl Engine {
    /// One's own identity with its reusable card.
    pub(super) fn id_view(&self, step: &mut Step<'_, '_>) -> Result<IdView, StoreError> {
        let identity = self.own.identity.identity();
        let card = self.card(step, None, None)?;
        Ok(IdView {
            id: identity.id().to_string(),
            username: identity.username().as_str().to_owned(),
            card: card.to_uri(),
            safety_prefix: identity.id().short(),
            version: identity.version(),
        })
    }

    pub(super) fn card(
        &self,
        step: &mut Step<'_, '_>,
        intro: Option<IntroToken>,
        expires: Option<UnixMillis>,
    ) -> Result<ContactCard, StoreError> {
        // whoever a card comes to is a stranger
        let endpoints = self.endpoints_for(step.tx, self.policy_for_strangers())?;
        let mut content = CardContent {
            expires,
            intro: intro.map(|token| Intro {
                token,
                one_time: true,
            }),
            relays: self.own_relay_hints(),
            dial: !endpoints.is_empty(),
            endpoints,
            rendezvous: self.servers_for_card(),
            username: Some(self.own.identity.identity().username().clone()),
        };
        loop {
            match ContactCard::issue(&self.own.identity, content.clone()) {
                Ok(card) => return Ok(card),
                Err(CardError::TooLong) if !content.rendezvous.is_empty() => {
                    content.rendezvous.pop();
                }
                // long host names: the preferred relays have to do, then the name goes
                Err(CardError::TooLong) if content.relays.len() > 1 => {
                    content.relays.pop();
                }
                Err(CardError::TooLong) if content.username.is_some() => content.username = None,
                Err(_) => return Err(StoreError::Damaged),
            }
        }
    }

    /// `add`: the contact of a card, or the request of somebody named.
    pub(super) fn add(
        &mut self,
        step: &mut Step<'_, '_>,
        who: &str,
        alias: Option<String>,
        despite_confusable: bool,
    ) -> Answer<Reply> {
        let alias = match alias.map(|a| self.check_alias(&a)) {
            Some(Err(error)) => return Ok(Err(error)),
            Some(Ok(alias)) => Some(alias),
            None => None,
        };
        if !card::looks_like_one(who) {
            let stranger = match who.parse::<ContactId>() {
                Ok(key) if step.tx.contact_by_key(&key)?.is_none() => Some(key),
                _ => None,
            };
            return match stranger {
                Some(key) => self.add_id(step, key, alias, despite_confusable),
                None => self.accept_request(step, who, alias, despite_confusable),
            };
        }
        match ContactCard::parse(who, step.now.wall) {
            Ok(card) => self.add_card(step, &card, alias, despite_confusable),
            Err(error) => Ok(Err(card::refusal(&error))),
        }
    }

    fn check_alias(&self, alias: &str) -> Result<String, CommandError> {
        let clean = text::clean_line(alias).trim().to_owned();
        if clean.is_empty() || clean.chars().count() > 40 {
            return Err(CommandError::new(
                ErrorKind::Usage,
                "an alias has 1 to 40 visible characters; choose another with --as",
            ));
        }
        Ok(clean)
    }

    fn add_card(
        &mut self,
        step: &mut Step<'_, '_>,
        card: &ContactCard,
        alias: Option<String>,
        despite_confusable: bool,
    ) -> Answer<Reply> {
        let key = card.id();
        if key == self.own.identity.id() {
            return refuse(
                ErrorKind::Card,
                "this is your own card; give it to the person who wants to write to you",
            );
        }
        let known = self.peers.take(step.tx, &key)?;
        if let Some(peer) = &known
            && peer.record.trust == Trust::Rejected
        {
            let message = format!(
                "this card is of {}, whom you have rejected; undo that with `sremp trust {}` first",
                peer.name(),
                crate::shell::word(&peer.name())
            );
            self.peers.put_back(known);
            return refuse(ErrorKind::Card, message);
        }
        let claimed = card.content().username.as_ref();
        let claimed = claimed.map(|name| name.as_str().to_owned());
        let wanted = match self.settle_name(step, &key, &alias, claimed, despite_confusable)? {
            Ok(wanted) => wanted,
            Err(error) => {
                self.peers.put_back(known);
                return Ok(Err(error));
            }
        };
        let mut peer = match known {
            Some(peer) => peer,
            None => self.peers.insert(
                step.tx,
                &NewContact {
                    key,
                    alias: None,
                    standing: Standing::Accepted,
                    first_seen: step.now.wall,
                },
            )?,
        };
        let record = peer.edit();
        if alias.is_some() || record.alias.is_none() {
            record.alias = wanted.or_else(|| record.alias.take());
        }
        if !card.dialable().is_empty() {
            record.endpoints = card.dialable().to_vec();
            step.tx.give_endpoints(record.row, card.dialable())?;
        }
        step.tx
            .give_servers(record.row, &card.content().rendezvous)?;
        if !card.content().relays.is_empty() {
            record.relays = card.content().relays.clone();
            for hint in &card.content().relays {
                step.tx.give_relay(&hint.relay, &hint.endpoint)?;
            }
        }
        if let Some(intro) = card.content().intro {
            record.intro = Some(intro.token);
        }
        self.take_in(step, peer)
    }

    /// A contact of whom only the id is known; where it is the rendezvous servers have to tell.
    fn add_id(
        &mut self,
        step: &mut Step<'_, '_>,
        key: ContactId,
        alias: Option<String>,
        despite_confusable: bool,
    ) -> Answer<Reply> {
        if key == self.own.identity.id() {
            let message = "this is your own id; give it to the person who wants to write to you";
            return refuse(ErrorKind::Card, message);
        }
        if let Err(cause) = self.can_look_for_people() {
            let message = format!("an id alone does not say where somebody is, and {cause}");
            return refuse(ErrorKind::Usage, message);
        }
        let wanted = match self.settle_name(step, &key, &alias, None, despite_confusable)? {
            Ok(wanted) => wanted,
            Err(error) => return Ok(Err(error)),
        };
        let new = NewContact {
            key,
            alias: wanted,
            standing: Standing::Accepted,
            first_seen: step.now.wall,
        };
        let peer = self.peers.insert(step.tx, &new)?;
        self.take_in(step, peer)
    }

    fn accept_request(
        &mut self,
        step: &mut Step<'_, '_>,
        who: &str,
        alias: Option<String>,
        despite_confusable: bool,
    ) -> Answer<Reply> {
        let mut peer = match self.find_contact(step, who)? {
            Ok(peer) => peer,
            Err(error) => return Ok(Err(error)),
        };
        if peer.is_accepted() && alias.is_none() {
            return self.take_in(step, peer);
        }
        let key = peer.key();
        let claimed = peer.record.username().map(text::clean_line);
        let wanted = match self.settle_name(step, &key, &alias, claimed, despite_confusable)? {
            Ok(wanted) => wanted,
            Err(error) => {
                self.peers.put(peer);
                return Ok(Err(error));
            }
        };
        let record = peer.edit();
        record.alias = alias.or_else(|| record.alias.take()).or(wanted);
        if record.trust == Trust::Rejected {
            record.trust = Trust::Unknown;
            record.verified_via = VerifiedVia::None;
            record.trusted_at = None;
        }
        self.take_in(step, peer)
    }

    /// What a contact is to be called: the alias, or the name that it gives itself. What looks like
    /// another contact's name is an alias at the user's word alone, and an impostor does not get the
    /// name that it gives itself at all.
    fn settle_name(
        &self,
        step: &mut Step<'_, '_>,
        key: &ContactId,
        alias: &Option<String>,
        claimed: Option<String>,
        despite_confusable: bool,
    ) -> Answer<Option<String>> {
        let wanted = alias.clone().or(claimed);
        match self.name_clash(step, key, wanted.as_deref())? {
            NameClash::None => Ok(Ok(wanted)),
            _ if alias.is_none() && despite_confusable => Ok(Ok(None)),
            NameClash::Confusable(_) if despite_confusable => Ok(Ok(wanted)),
            NameClash::Taken(what) => refuse(
                ErrorKind::Contact,
                format!("{what}; choose a name with --as"),
            ),
            NameClash::Confusable(what) => {
                let remedy = "choose another name with --as, or say --despite-confusable";
                refuse(ErrorKind::Contact, format!("{what}, then {remedy}"))
            }
        }
    }

    /// Makes somebody a contact who was not one, answers a request, and sends what waits.
    fn take_in(&mut self, step: &mut Step<'_, '_>, mut peer: Box<Peer>) -> Answer<Reply> {
        if peer.record.standing == Standing::Request {
            let record = peer.edit();
            record.standing = Standing::Accepted;
            record.declined = false;
            self.accept(step, &mut peer)?;
        }
        self.links.set_welcome(&peer.key(), peer.is_accepted());
        self.send_newest_profile(step, &mut peer)?;
        let view = self.contact_view(step, &peer)?;
        if step.tx.outbox_count(peer.record.row)? > 0 {
            self.push_soon(&peer.key());
        }
        self.peers.put(peer);
        Ok(Ok(Reply::Contact(view)))
    }

    /// `verify`: shows the safety number, or compares it.
    pub(super) fn verify(
        &mut self,
        step: &mut Step<'_, '_>,
        who: &str,
        number: Option<&str>,
    ) -> Answer<Reply> {
        let mut peer = match self.find_contact(step, who)? {
            Ok(peer) => peer,
            Err(error) => return Ok(Err(error)),
        };
        let safety = SafetyNumber::of(&self.own.identity.id(), &peer.key());
        let (compared, via) = match number {
            None => (None, VerifiedVia::None),
            Some(code) if card::looks_like_one(code) => {
                (Some(safety.matches_qr(code)), VerifiedVia::Qr)
            }
            Some(digits) => (Some(safety.matches(digits)), VerifiedVia::Number),
        };
        let matches = match compared.transpose() {
            Ok(matches) => matches,
            Err(error) => {
                self.peers.put(peer);
                return refuse(ErrorKind::Usage, format!("{error}; give all 60 digits"));
            }
        };
        if matches == Some(true) && peer.record.trust != Trust::Rejected {
            let now = step.now.wall;
            let before = self.policy(&peer.record);
            let record = peer.edit();
            record.trust = Trust::Trusted;
            record.verified_via = via;
            record.trusted_at = Some(now);
            self.settle_fork(step, &mut peer)?;
            self.policy_changed(step, &mut peer, before)?;
        }
        let view = VerifyView {
            alias: peer.name(),
            safety_number: safety.to_string(),
            matches,
            trust: peer.record.trust,
        };
        if step.tx.outbox_count(peer.record.row)? > 0 {
            self.push_soon(&peer.key());
        }
        self.peers.put(peer);
        Ok(Ok(Reply::Verify(view)))
    }

    /// `trust` and `reject`.
    pub(super) fn set_trust(
        &mut self,
        step: &mut Step<'_, '_>,
        who: &str,
        trust: Trust,
    ) -> Answer<Reply> {
        let mut peer = match self.find_contact(step, who)? {
            Ok(peer) => peer,
            Err(error) => return Ok(Err(error)),
        };
        let key = peer.key();
        let now = step.now.wall;
        let was_request = peer.record.standing == Standing::Request;
        if was_request && trust != Trust::Rejected {
            let claimed = peer.record.username().map(text::clean_line);
            let clash = self.name_clash(step, &key, claimed.as_deref())?;
            if let NameClash::Taken(what) | NameClash::Confusable(what) = clash {
                self.peers.put(peer);
                let remedy = format!(
                    "take it in with `sremp add {} --as NAME` first",
                    key.short()
                );
                return refuse(ErrorKind::Contact, format!("{what}; {remedy}"));
            }
        }
        let before = self.policy(&peer.record);
        let record = peer.edit();
        // a rejection that is taken back leaves what was compared before
        let verified = record.verified_via != VerifiedVia::None && trust == Trust::Trusted;
        if !verified && trust != Trust::Rejected {
            record.verified_via = VerifiedVia::None;
            record.trusted_at = (trust == Trust::Trusted).then_some(now);
        }
        record.trust = trust;
        if trust == Trust::Trusted {
            self.settle_fork(step, &mut peer)?;
        }
        if trust != Trust::Rejected {
            self.policy_changed(step, &mut peer, before)?;
            return self.take_in(step, peer);
        }
        peer.edit().declined = was_request;
        self.close_peer(step, &key, ErrorCode::Refused);
        let view = self.contact_view(step, &peer)?;
        self.peers.put(peer);
        Ok(Ok(Reply::Contact(view)))
    }

    /// Answers a command.
    pub(super) fn answer(
        &self,
        step: &mut Step<'_, '_>,
        ticket: Ticket,
        answer: Answer<Reply>,
    ) -> Result<(), StoreError> {
        let result = answer?;
        step.reply(ticket, result);
        Ok(())
    }
}
