//! A home that is a screen: it shows what its main home has, which it asks for and puts into its store.
//! It has no sessions, and speaks to nobody else.

use std::time::Duration;

use sremp_core::{
    channel::{Admission, Message, Service},
    contact_card::Endpoint,
    error::ErrorCode,
    identity::{Identity, SecretIdentity},
    rand_core::CryptoRng,
    relay::{Cursor, RelayMessage, Subscribe},
    route::Backoff,
    time::{Tick, UnixMillis},
};
use sremp_net::{CloseReason, DialTarget, LinkId};

use super::{
    Engine, Input, Output, Step,
    disappearing::Disappearing,
    peers::Peers,
    screens::{CREDIT_BYTES, CREDIT_ITEMS, screens_identity},
};
use crate::{
    store::{Applied, Era, StoreError, Tx},
    view::{Command, CommandError, ErrorKind},
};

const RETRY: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
};
/// Pause after an answer with which this screen can do nothing.
const HOPELESS: Duration = Duration::from_secs(10 * 60);

/// What a screen knows of its home.
pub(super) struct Screen {
    /// The identity that it shows there.
    shown: SecretIdentity,
    places: Vec<Endpoint>,
    era: Era,
    cursor: u64,
    at: At,
    failures: u32,
    /// Why it does not follow.
    trouble: Option<String>,
    next_request: u32,
}

enum At {
    /// It may not use the network.
    Offline,
    /// It dials at this time.
    Away(Tick),
    Dialling,
    Open {
        link: LinkId,
        greeted: bool,
        /// Something has come that the home is to be told of.
        owing: bool,
    },
}

impl Screen {
    /// The state of a screen; `None`: this home is none.
    pub(super) fn load(
        tx: &mut Tx<'_>,
        online: bool,
        own: &SecretIdentity,
        now: (UnixMillis, Tick),
        rng: &mut dyn CryptoRng,
    ) -> Result<Option<Self>, StoreError> {
        let Some(state) = tx.screen()? else {
            return Ok(None);
        };
        let places = state.places.iter().filter_map(|place| place.parse().ok());
        Ok(Some(Self {
            shown: screens_identity(own, now.0, rng).ok_or(StoreError::Damaged)?,
            places: places.collect(),
            era: state.era,
            cursor: state.cursor,
            at: match online {
                true => At::Away(now.1),
                false => At::Offline,
            },
            failures: 0,
            trouble: None,
            next_request: 0,
        }))
    }

    pub(super) const fn shown(&self) -> &SecretIdentity {
        &self.shown
    }

    pub(super) const fn deadline(&self) -> Option<Tick> {
        match self.at {
            At::Away(at) => Some(at),
            _ => None,
        }
    }

    const fn link(&self) -> Option<LinkId> {
        match self.at {
            At::Open { link, .. } => Some(link),
            _ => None,
        }
    }
}

/// Whether a command only looks.
const fn only_looks(command: &Command) -> bool {
    matches!(
        command,
        Command::Id
            | Command::Contacts { .. }
            | Command::Events { .. }
            | Command::Subscribe { .. }
            | Command::Unsubscribe
            | Command::Ack { .. }
            | Command::History { .. }
            | Command::Search { .. }
            | Command::Why { .. }
            | Command::Status
            | Command::Doctor
            | Command::Stop
    )
}

impl Engine {
    /// Whether this home is a screen.
    pub fn is_screen(&self) -> bool {
        self.screen.is_some()
    }

    /// What a screen says to a command that is for its home.
    pub(super) fn not_on_a_screen(&self, command: &Command) -> Option<CommandError> {
        self.screen.as_ref()?;
        (!only_looks(command)).then(|| {
            let name = self.own.identity.identity().username().as_str().to_owned();
            refusal(&name)
        })
    }

    /// What happens to a screen.
    pub(super) fn take_as_screen(
        &mut self,
        step: &mut Step<'_, '_>,
        input: Input,
    ) -> Result<Option<Input>, StoreError> {
        let own = self.own.identity.id();
        let Some(screen) = &mut self.screen else {
            return Ok(Some(input));
        };
        match input {
            Input::Shown { link, identity, .. } => {
                let admission = match identity.id() == own {
                    true => Admission::Accept,
                    false => Admission::Close(ErrorCode::WrongPeer),
                };
                step.outputs.push(Output::Admit { link, admission });
            }
            Input::Opened { link, identity, .. } => self.home_opened(step, link, &identity),
            Input::Message { link, message } if screen.link() == Some(link) => {
                self.home_says(step, link, &message)?;
            }
            Input::Message { .. } | Input::Pong(_) => {}
            Input::Closed { link, reason, .. } => self.home_closed(step, link, &reason),
            Input::NetworkChanged => {
                let now = At::Away(step.now.tick);
                match screen.at {
                    At::Away(_) => screen.at = now,
                    // it may be dead, and nothing is lost by another one
                    At::Open { link, .. } => {
                        screen.at = now;
                        let code = ErrorCode::GoingAway;
                        step.outputs.push(Output::Close { link, code });
                    }
                    At::Offline | At::Dialling => {}
                }
            }
            other => return Ok(Some(other)),
        }
        Ok(None)
    }

    fn home_opened(&mut self, step: &mut Step<'_, '_>, link: LinkId, identity: &Identity) {
        let own = self.own.identity.id();
        let Some(screen) = self.screen.as_mut().filter(|_| identity.id() == own) else {
            return;
        };
        screen.at = At::Open {
            link,
            greeted: false,
            owing: true,
        };
        self.answer_home(step);
    }

    /// Says what this screen has, and asks for what follows.
    fn answer_home(&mut self, step: &mut Step<'_, '_>) {
        let Some(screen) = &mut self.screen else {
            return;
        };
        let At::Open { link, owing, .. } = &mut screen.at else {
            return;
        };
        if !std::mem::take(owing) {
            return;
        }
        screen.next_request = screen.next_request.wrapping_add(1).max(1);
        let subscribe = Subscribe {
            after: Cursor::new(screen.cursor),
            credit_items: CREDIT_ITEMS,
            credit_bytes: CREDIT_BYTES,
        };
        let message = RelayMessage::Subscribe(subscribe).to_message(screen.next_request);
        step.outputs.push(Output::Send {
            link: *link,
            message,
        });
    }

    fn home_says(
        &mut self,
        step: &mut Step<'_, '_>,
        from: LinkId,
        message: &Message,
    ) -> Result<(), StoreError> {
        let stored = match RelayMessage::decode(message) {
            Ok(RelayMessage::StoredMessage(stored)) => stored,
            Ok(RelayMessage::Error(_)) => {
                let words = "its home serves no screens: set `built_in_relay` there, make a backup \
                             of it and a new screen of that";
                self.leave_home(step, from, words);
                return Ok(());
            }
            _ => {
                self.leave_home(step, from, "what its home says is not understood");
                return Ok(());
            }
        };
        let applied = step.tx.apply(&stored.encrypted_blob)?;
        let Some(screen) = &mut self.screen else {
            return Ok(());
        };
        let At::Open { greeted, owing, .. } = &mut screen.at else {
            return Ok(());
        };
        match applied {
            Applied::Greeting {
                readable: false, ..
            } => {
                let words = "its home runs another version of sremp: use the same for both";
                self.leave_home(step, from, words);
            }
            Applied::Greeting { era, .. } if era != screen.era => {
                let words = "what its home tells does not begin where this screen ends, because \
                             `built_in_relay` was off there or the home was restored: make a backup \
                             of it and a new screen of that";
                self.leave_home(step, from, words);
            }
            Applied::Greeting { .. } => {
                *greeted = true;
                screen.failures = 0;
                screen.trouble = None;
            }
            Applied::Yes if *greeted => {
                *owing = true;
                screen.cursor = screen.cursor.max(stored.cursor.get());
                step.tx.screen_has(screen.cursor)?;
                self.look_again(step)?;
            }
            Applied::Yes | Applied::No => {
                self.leave_home(step, from, "what its home says is not understood");
            }
        }
        Ok(())
    }

    /// What was remembered of the store may be another by now.
    fn look_again(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        self.peers = Peers::new(self.own.identity.id());
        self.disappearing = Disappearing::load(step.tx, step.now)?;
        self.last_event = step.tx.last_event()?;
        Ok(())
    }

    fn leave_home(&mut self, step: &mut Step<'_, '_>, link: LinkId, trouble: &str) {
        if let Some(screen) = &mut self.screen {
            screen.trouble = Some(trouble.to_owned());
            screen.at = At::Away(step.now.tick.plus(HOPELESS));
            let code = ErrorCode::GoingAway;
            step.outputs.push(Output::Close { link, code });
        }
    }

    fn home_closed(&mut self, step: &mut Step<'_, '_>, link: LinkId, reason: &CloseReason) {
        let Some(screen) = &mut self.screen else {
            return;
        };
        let ours = match screen.at {
            At::Open { link: open, .. } => open == link,
            At::Dialling => true,
            At::Offline | At::Away(_) => false,
        };
        if !ours {
            return;
        }
        let pause = RETRY.pause(screen.failures, step.rng);
        screen.failures = screen.failures.saturating_add(1);
        screen.at = At::Away(step.now.tick.plus(pause));
        screen.trouble = Some(format!("its home does not answer ({})", words(reason)));
    }

    /// At the end of a step: the home is dialled, or told what has come.
    pub(super) fn run_screen(&mut self, step: &mut Step<'_, '_>) {
        let own = self.own.identity.id();
        let Some(screen) = &mut self.screen else {
            return;
        };
        if let At::Away(at) = screen.at
            && at <= step.now.tick
        {
            if screen.places.is_empty() {
                screen.at = At::Offline;
                screen.trouble = Some("it does not know where its home is".to_owned());
                return;
            }
            screen.at = At::Dialling;
            step.outputs.push(Output::Dial(Box::new(DialTarget {
                endpoints: screen.places.clone(),
                claimed: Vec::new(),
                expected: Some(own),
                // whoever answers in its place sees an identity that nobody knows
                pinned_noise_key: None,
                intro: None,
                service: Service::P2p,
            })));
        }
        self.answer_home(step);
    }

    /// Whether a screen follows, and what `status` says of it.
    pub(super) fn screen_state(&self) -> Option<(bool, String)> {
        let screen = self.screen.as_ref()?;
        let follows = matches!(screen.at, At::Open { greeted: true, .. } | At::Offline);
        let state = match (&screen.trouble, &screen.at) {
            (Some(trouble), _) => format!("it does not follow: {trouble}"),
            (None, At::Open { greeted: true, .. }) => "it follows".to_owned(),
            (None, At::Offline) => "it follows while `sremp up` runs".to_owned(),
            (None, _) => "it is about to follow".to_owned(),
        };
        let words = format!("this home is a screen, which only shows: {state}");
        Some((follows && screen.trouble.is_none(), words))
    }
}

fn refusal(name: &str) -> CommandError {
    let message = format!(
        "this home is a screen of {}, which only shows: do that in the home itself",
        sremp_core::text::clean_line(name)
    );
    CommandError::new(ErrorKind::Usage, message)
}

fn words(reason: &CloseReason) -> String {
    match reason {
        CloseReason::Peer(close) => match ErrorCode::from_u16(close.code) {
            Some(code) => code.meaning().to_owned(),
            None => format!("code {:04x}", close.code),
        },
        CloseReason::Own(code) | CloseReason::Local(code) => code.meaning().to_owned(),
        CloseReason::Truncated => "the connection broke".to_owned(),
        CloseReason::NameNotFound => "no address of its host is known".to_owned(),
        CloseReason::PrivateAddress => "its address is private".to_owned(),
        CloseReason::Io(kind) => kind.to_string(),
    }
}
