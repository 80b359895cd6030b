//! Somebody in the demo: a home, a client on loopback, and what they have seen.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use sremp_client::{
    client::{self, Face, InitParams, StartOptions},
    home::{Home, Passphrase},
    view::{
        Command, CommandError, ContactView, ErrorKind, Event, EventKind, FoundView, IdView,
        MessageView, RegisterView, SentView, ServerView, Status, StatusView, VerifyView, Wait,
    },
};
use zeroize::Zeroizing;

use crate::ask::Ask as _;

/// The longest wait for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// How long one question for events waits.
const SLICE: Duration = Duration::from_millis(250);

/// The homes live for a minute in a directory of the user's own.
const PASSPHRASE: &str = "only for the demo";

/// Any free port of this machine, and nobody else's.
const ANY_PORT: &str = "127.0.0.1:0";

/// Somebody with a home, awake or not.
pub(super) struct Person {
    pub(super) name: &'static str,
    home: Home,
    face: Option<Face>,
    /// Where they listen, from the first start on.
    pub(super) listening: Option<String>,
    /// Every event since the first start.
    seen: Vec<Event>,
}

impl Person {
    /// Makes an identity that listens, and wakes its owner.
    pub(super) fn new(name: &'static str, stage: &Path) -> Result<Self, CommandError> {
        Self::make(
            name,
            stage,
            Some(ANY_PORT.to_owned()),
            Vec::new(),
            Vec::new(),
        )
    }

    /// The same of somebody who uses a rendezvous server.
    pub(super) fn found_at(
        name: &'static str,
        stage: &Path,
        server: &str,
    ) -> Result<Self, CommandError> {
        let listen = Some(ANY_PORT.to_owned());
        Self::make(name, stage, listen, Vec::new(), vec![server.to_owned()])
    }

    /// Makes an identity that listens nowhere and has a mailbox at this relay.
    pub(super) fn behind(
        name: &'static str,
        stage: &Path,
        relay: &str,
    ) -> Result<Self, CommandError> {
        Self::make(name, stage, None, vec![relay.to_owned()], Vec::new())
    }

    fn make(
        name: &'static str,
        stage: &Path,
        listen: Option<String>,
        relays: Vec<String>,
        rendezvous: Vec<String>,
    ) -> Result<Self, CommandError> {
        let mut person = Self {
            name,
            home: Home::at(stage.join(name)),
            face: None,
            listening: None,
            seen: Vec::new(),
        };
        client::init(
            &person.home,
            &InitParams {
                name: name.to_owned(),
                passphrase: passphrase(),
                listen,
                advertise: None,
                relays,
                rendezvous,
            },
        )?;
        person.wake()?;
        Ok(person)
    }

    /// Starts the client, after the first time on the same address.
    pub(super) fn wake(&mut self) -> Result<(), CommandError> {
        let options = StartOptions {
            listen: self.listening.clone(),
            online: true,
            resident: true,
            // it is all on loopback
            allow_private_addresses: true,
            ..StartOptions::default()
        };
        let face = Face::start(&self.home, &passphrase(), &options)?;
        let status: StatusView = face.ask(&Command::Status)?;
        self.listening = status.listening;
        self.face = Some(face);
        Ok(())
    }

    /// Ends the client.
    pub(super) fn sleep(&mut self) {
        if let Some(face) = self.face.take() {
            face.stop();
        }
    }

    /// Gives the client away.
    pub(super) fn into_face(mut self) -> Option<Face> {
        self.face.take()
    }

    /// The client's handle.
    pub(super) fn face(&self) -> Result<&Face, CommandError> {
        self.face
            .as_ref()
            .ok_or_else(|| broken(format!("{} is asleep", self.name)))
    }

    pub(super) fn id(&self) -> Result<IdView, CommandError> {
        self.face()?.ask(&Command::Id)
    }

    pub(super) fn add(&self, card: &str, alias: &str) -> Result<ContactView, CommandError> {
        self.face()?.ask(&Command::Add {
            who: card.to_owned(),
            alias: Some(alias.to_owned()),
            despite_confusable: false,
        })
    }

    /// Where the rendezvous servers say that somebody is.
    pub(super) fn find(&self, who: &str) -> Result<FoundView, CommandError> {
        let who = who.to_owned();
        self.face()?.ask(&Command::Find { who })
    }

    /// Waits until every server knows where this person is, at most [`PATIENCE`].
    pub(super) fn until_registered(&self) -> Result<Vec<ServerView>, CommandError> {
        let end = Instant::now() + PATIENCE;
        loop {
            let asked = Command::Register { visibility: None };
            let view: RegisterView = self.face()?.ask(&asked)?;
            if view.servers.iter().all(|s| s.registered_until.is_some()) {
                return Ok(view.servers);
            }
            if Instant::now() > end {
                return Err(broken(format!("{} is not registered", self.name)));
            }
        }
    }

    pub(super) fn contact(&self, alias: &str) -> Result<ContactView, CommandError> {
        let contacts: Vec<ContactView> = self.face()?.ask(&Command::Contacts {
            requests: false,
            declined: false,
        })?;
        contacts
            .into_iter()
            .find(|contact| contact.alias == alias)
            .ok_or_else(|| broken(format!("{} has no contact {alias}", self.name)))
    }

    pub(super) fn verify(
        &self,
        alias: &str,
        number: Option<String>,
    ) -> Result<VerifyView, CommandError> {
        self.face()?.ask(&Command::Verify {
            contact: alias.to_owned(),
            number,
        })
    }

    pub(super) fn send(
        &self,
        alias: &str,
        text: &str,
        wait: Wait,
    ) -> Result<SentView, CommandError> {
        self.face()?.ask(&Command::Send {
            contact: alias.to_owned(),
            text: text.to_owned(),
            reply_to: None,
            key: None,
            wait,
            timeout_ms: u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX),
        })
    }

    pub(super) fn history(&self, alias: &str) -> Result<Vec<MessageView>, CommandError> {
        self.face()?.ask(&Command::History {
            contact: alias.to_owned(),
            before: None,
            limit: 1000,
        })
    }

    /// Waits until what was seen so far holds something, at most [`PATIENCE`].
    pub(super) fn until<T>(
        &mut self,
        what: &str,
        mut found: impl FnMut(&[Event]) -> Option<T>,
    ) -> Result<T, CommandError> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = found(&self.seen) {
                return Ok(found);
            }
            if Instant::now() > end {
                return Err(broken(format!(
                    "{} waited {} s for {what}",
                    self.name,
                    PATIENCE.as_secs()
                )));
            }
            let news: Vec<Event> = self.face()?.ask(&Command::Events {
                after: Some(self.seen.last().map_or(0, |event| event.seq)),
                limit: 256,
                wait_ms: u64::try_from(SLICE.as_millis()).unwrap_or(u64::MAX),
            })?;
            self.seen.extend(news);
        }
    }

    /// Waits for a message with this text and returns the sender's id and the path.
    pub(super) fn until_message(
        &mut self,
        wanted: &str,
    ) -> Result<(String, sremp_client::view::Path), CommandError> {
        self.until(&format!("the message {wanted:?}"), |seen| {
            seen.iter().find_map(|event| match &event.event {
                EventKind::Message {
                    text, from, path, ..
                } if text == wanted => Some((from.clone(), *path)),
                _ => None,
            })
        })
    }

    /// Waits until a message of one's own is on the contact's device.
    pub(super) fn until_on_device(&mut self, wanted: &str) -> Result<(), CommandError> {
        self.until("a delivery confirmation", |seen| {
            seen.iter().find_map(|event| match &event.event {
                EventKind::Status {
                    msg_id,
                    status: Status::OnDevice,
                    ..
                } if msg_id == wanted => Some(()),
                _ => None,
            })
        })
    }

    /// The texts that came, in the order in which they were committed.
    pub(super) fn heard(&self) -> Vec<&str> {
        let texts = self.seen.iter().filter_map(|event| match &event.event {
            EventKind::Message { text, .. } => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }
}

fn passphrase() -> Passphrase {
    Passphrase::Given(Zeroizing::new(PASSPHRASE.to_owned()))
}

/// What did not hold.
pub(super) fn broken(what: String) -> CommandError {
    CommandError::new(ErrorKind::Failed, what)
}
