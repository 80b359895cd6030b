//! Commands with the reply that belongs to each, typed.

use sremp_client::{
    client::Face,
    view::{
        BackupView, BrowseView, Command, CommandError, ContactView, DoctorView, ErrorKind, Event,
        FoundView, IdView, InviteView, MessageView, RegisterView, Reply, SentView, ServersView,
        StatusView, VerifyView, WhyView,
    },
};

/// Asks and takes the one kind of reply that the caller can use.
pub(crate) trait Ask {
    /// The reply to a command.
    ///
    /// # Errors
    /// The client's, or [`ErrorKind::Failed`] if it answers something else than was asked.
    fn ask<T: Answer>(&self, command: &Command) -> Result<T, CommandError>;
}

impl Ask for Face {
    fn ask<T: Answer>(&self, command: &Command) -> Result<T, CommandError> {
        T::from_reply(self.call(command)?).ok_or_else(|| {
            CommandError::new(
                ErrorKind::Failed,
                "the running client gave an answer of another kind, as one of another version \
                 does; end it with `sremp up --stop` and start it again",
            )
        })
    }
}

/// One arm of [`Reply`].
pub(crate) trait Answer: Sized {
    /// The arm's content, if the reply is that arm.
    fn from_reply(reply: Reply) -> Option<Self>;
}

macro_rules! answer {
    ($($type:ty: $arm:pat => $value:expr;)+) => {$(
        impl Answer for $type {
            fn from_reply(reply: Reply) -> Option<Self> {
                match reply {
                    $arm => Some($value),
                    _ => None,
                }
            }
        }
    )+};
}

answer! {
    IdView: Reply::Id(view) => view;
    BackupView: Reply::Backup(view) => view;
    InviteView: Reply::Invite(view) => view;
    ContactView: Reply::Contact(view) => view;
    VerifyView: Reply::Verify(view) => view;
    SentView: Reply::Sent(view) => view;
    StatusView: Reply::Status(view) => view;
    WhyView: Reply::Why(view) => view;
    DoctorView: Reply::Doctor(view) => view;
    FoundView: Reply::Found(view) => *view;
    BrowseView: Reply::Browse(view) => view;
    RegisterView: Reply::Register(view) => view;
    ServersView: Reply::Servers(view) => view;
    Vec<InviteView>: Reply::Invites { invites } => invites;
    Vec<ContactView>: Reply::Contacts { contacts } => contacts;
    Vec<Event>: Reply::Events { events, .. } => events;
    Vec<MessageView>: Reply::Messages { messages } => messages;
}

/// For commands of which only success is of interest.
impl Answer for () {
    fn from_reply(_: Reply) -> Option<Self> {
        Some(())
    }
}
