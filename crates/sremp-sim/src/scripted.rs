//! A person whose every content and session the test chooses.

use sremp_client::engine::Output;
use sremp_core::{
    channel::P2pMessage,
    contact_card::{CardContent, ContactCard},
    id::{EnvelopeId, MsgId, SessionId},
    identity::SecretIdentity,
    session::{
        book::SessionBook,
        content::{Body, ContactRequest, Content, ContentHash},
        prekey::{DhIdentity, EnvelopeKey, PrekeyBundle, PrekeyId},
    },
};
use sremp_net::LinkId;

use crate::{Alone, commands};

/// What is said, and how far the numbers have come.
pub struct Scripted {
    /// Who it is.
    pub identity: SecretIdentity,
    dhk: DhIdentity,
    book: SessionBook,
    bundle: Option<PrekeyBundle>,
    seq: u64,
    prev: ContentHash,
    next_request: u32,
}

impl Scripted {
    /// A person whom `client` has as a contact under this name, reachable at `NAME:4000`.
    pub fn known_to(client: &mut Alone, name: &str) -> Self {
        let identity = client.somebody(name);
        let content = CardContent {
            endpoints: vec![format!("{name}:4000").parse().expect("an endpoint")],
            dial: true,
            ..CardContent::default()
        };
        let card = ContactCard::issue(&identity, content).expect("a small card");
        let add = commands::add(&card.to_uri(), Some(name));
        client.command(add).expect("a new contact");
        Self::of(client, identity)
    }

    /// The same, connected.
    pub fn connected_to(client: &mut Alone, name: &str) -> (Self, LinkId) {
        let known = Self::known_to(client, name);
        let link = client.connect(known.identity.identity());
        (known, link)
    }

    /// A person of whom `client` knows nothing.
    pub fn unknown_to(client: &mut Alone, name: &str) -> Self {
        let identity = client.somebody(name);
        Self::of(client, identity)
    }

    fn of(client: &mut Alone, identity: SecretIdentity) -> Self {
        let now = client.now().wall;
        let dhk = DhIdentity::generate(&identity, now, &mut client.rng);
        Self {
            book: SessionBook::new(identity.id(), client.node.id()),
            identity,
            dhk,
            bundle: None,
            seq: 0,
            prev: ContentHash::NONE,
            next_request: 0,
        }
    }

    /// Asks for a bundle and starts a session from it.
    pub fn start_session(&mut self, client: &mut Alone, link: LinkId) -> SessionId {
        let request = P2pMessage::PrekeyReq.to_message(self.request());
        let answer = client.hear(link, request);
        let bundle = answer.iter().find_map(|output| match output {
            Output::Send { message, .. } => match P2pMessage::decode(message) {
                Ok(P2pMessage::PrekeyBundle(bytes)) => Some(bytes),
                _ => None,
            },
            _ => None,
        });
        let bytes = bundle.expect("a bundle is given");
        let now = client.now().wall;
        let bundle = PrekeyBundle::verify(&bytes, &client.node.id(), now).expect("a good bundle");
        let started = self
            .book
            .start(&self.identity, &self.dhk, &bundle, now, &mut client.rng);
        self.bundle = Some(bundle);
        started.expect("a session")
    }

    /// The next content: numbered, but not sent.
    pub fn content(&mut self, client: &mut Alone, body: Body) -> Vec<u8> {
        self.seq += 1;
        let mut msg_id = [0; MsgId::LEN];
        msg_id[..8].copy_from_slice(&self.seq.to_le_bytes());
        let content = Content {
            msg_id: MsgId::new(msg_id),
            seq: self.seq,
            prev: self.prev,
            sent: client.now().wall,
            body,
        };
        let bytes = content.encode().expect("a content within its limits");
        self.prev = ContentHash::of(&bytes);
        bytes
    }

    /// The next content: a request with this text.
    pub fn request_to(&mut self, client: &mut Alone, text: &str) -> Vec<u8> {
        let id = PrekeyId::new(1).expect("a key id");
        let now = client.now().wall;
        let key = EnvelopeKey::generate(&self.identity, id, now, &mut client.rng);
        let request = ContactRequest {
            identity: self.identity.identity().into(),
            relay_hints: Vec::new(),
            text: text.to_owned(),
            env: *key.public_part().as_wire(),
            endpoints: Vec::new(),
        };
        self.content(client, Body::ContactRequest(request))
    }

    /// Writes a text on a session; whether it was confirmed.
    pub fn write(
        &mut self,
        client: &mut Alone,
        link: LinkId,
        session: &SessionId,
        text: &str,
    ) -> bool {
        let content = self.content(client, Body::Text(text.to_owned()));
        self.send(client, link, session, &content).0
    }

    /// Sends a content on a session; whether it was confirmed, and what else is done for it.
    pub fn send(
        &mut self,
        client: &mut Alone,
        link: LinkId,
        session: &SessionId,
        content: &[u8],
    ) -> (bool, Vec<Output>) {
        let key = *self.bundle.as_ref().expect("a session").envelope_key();
        let rng = &mut client.rng;
        let out = self
            .book
            .encrypt_on(session, &self.identity, &key, content, rng);
        let envelope = out.expect("a session that sends").envelope;
        let id = EnvelopeId::of(&envelope);
        let request = self.request();
        let done = client.hear(link, P2pMessage::Envelope(envelope).to_message(request));
        let confirms = |output: &Output| match output {
            Output::Send { message, .. } => {
                P2pMessage::decode(message) == Ok(P2pMessage::EnvelopeOk(id))
            }
            _ => false,
        };
        (done.iter().any(confirms), done)
    }

    fn request(&mut self) -> u32 {
        self.next_request += 1;
        self.next_request
    }
}
