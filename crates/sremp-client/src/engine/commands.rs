//! What faces ask for, one arm a command.

use super::{Engine, Output, Step, Ticket, outgoing::Outgoing};
use crate::{
    store::StoreError,
    view::{Command, CommandError, ErrorKind, Reply},
};

/// Most lines in one reply.
const MAX_PAGE: u32 = 1_000;

impl Engine {
    pub(super) fn handle_command(
        &mut self,
        step: &mut Step<'_, '_>,
        ticket: Ticket,
        command: Command,
    ) -> Result<(), StoreError> {
        if let Some(refusal) = self.not_on_a_screen(&command) {
            step.reply(ticket, Err(refusal));
            return Ok(());
        }
        if changes_senders(&command) {
            self.senders_changed();
        }
        let answer = match command {
            Command::Send {
                contact,
                text,
                reply_to,
                key,
                wait,
                timeout_ms,
            } => {
                let text = Outgoing {
                    text,
                    reply_to: reply_to.as_deref(),
                    key: key.as_deref(),
                };
                return self.send_text(step, ticket, &contact, text, (wait, timeout_ms));
            }
            Command::Act {
                action,
                wait,
                timeout_ms,
            } => return self.act(step, ticket, &action, wait, timeout_ms),
            Command::Erase { msg_id } => self.erase_here(step, &msg_id),
            Command::Events {
                after,
                limit,
                wait_ms,
            } => return self.wait_for_events(step, ticket, after, limit, wait_ms),
            Command::Id => self.id_view(step).map(|view| Ok(Reply::Id(view))),
            Command::Invite { expires } => self.make_invite(step, expires),
            Command::Invites => self.invites(step).map(Ok),
            Command::RevokeInvite { invite } => self.revoke_invite(step, &invite),
            Command::Add {
                who,
                alias,
                despite_confusable,
            } => self.add(step, &who, alias, despite_confusable),
            Command::Contacts { requests, declined } => {
                self.contact_views(step, requests, declined).map(Ok)
            }
            Command::Verify { contact, number } => self.verify(step, &contact, number.as_deref()),
            Command::SetTrust { contact, trust } => self.set_trust(step, &contact, trust),
            Command::SetDirect { contact, direct } => self.set_direct(step, &contact, direct),
            Command::Subscribe { after } => self.begin_subscription(step, after),
            // whoever serves the connection sees to it
            Command::Unsubscribe => Ok(Ok(Reply::Done {})),
            Command::Ack { seq } => self.acknowledge(step, seq),
            Command::History {
                contact,
                before,
                limit,
            } => self.history(step, &contact, before, limit.clamp(1, MAX_PAGE)),
            Command::Search { words, limit } => {
                self.search(step, &words, limit.clamp(1, MAX_PAGE)).map(Ok)
            }
            Command::Why { msg_id } => self.why(step, &msg_id),
            Command::Status => self.status(step).map(|view| Ok(Reply::Status(view))),
            Command::Doctor => {
                self.begin_examination(step, ticket, None);
                return Ok(());
            }
            Command::RotateNoiseKey => {
                self.rotate_noise_key(step)?;
                self.id_view(step).map(|view| Ok(Reply::Id(view)))
            }
            Command::Find { who } => return self.find(step, ticket, &who),
            Command::Browse { name, limit } => {
                let limit = limit.clamp(1, MAX_PAGE);
                return self.browse(step, ticket, name.as_deref(), limit);
            }
            Command::Register { visibility } => return self.register(step, ticket, visibility),
            Command::Servers => Ok(Ok(Reply::Servers(self.servers_view(step.now)))),
            // the shell's business, which has the files
            Command::Backup { .. } => Ok(Err(CommandError::new(
                ErrorKind::Failed,
                "a backup is made of a home on a disk",
            ))),
            Command::Stop => {
                step.outputs.push(Output::Stop);
                Ok(Ok(Reply::Done {}))
            }
        };
        self.answer(step, ticket, answer)
    }
}

/// Whether relays may have to be told of other senders afterwards.
const fn changes_senders(command: &Command) -> bool {
    matches!(
        command,
        Command::Add { .. }
            | Command::SetTrust { .. }
            | Command::Verify { .. }
            | Command::Invite { .. }
            | Command::RevokeInvite { .. }
    )
}
