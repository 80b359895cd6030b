//! `register`: how one is found, and what the servers say to it.

use std::time::Duration;

use super::{
    super::{Engine, Step, Ticket},
    Server,
    registering::WISH,
};
use crate::{
    store::StoreError,
    view::{CommandError, ErrorKind, RegisterAs, RegisterView, Reply},
};

/// What is missing when there is nothing to register.
const NOWHERE: &str = "nothing is registered: this client has no public address that may be shown, and no \
                       relay; set `advertise` or `map_port`, or get a relay";
/// Commands that wait for them at once; one more is refused.
const MAX_WAITS: usize = 16;
/// How long `register` waits for the servers.
const PATIENCE: Duration = Duration::from_secs(12);

impl Engine {
    /// Why nobody finds one although that is wished.
    pub(in super::super) fn not_found_because(&self) -> Option<&'static str> {
        let registering = &self.servers.registering;
        let places = registering
            .current
            .as_ref()
            .is_some_and(|c| !c.whole.is_tombstone());
        let mut own = self.servers.own().peekable();
        let asked =
            own.peek().is_some() && own.all(|(_, s)| s.session().is_some_and(|s| s.addressed));
        (registering.is_on() && asked && !places).then_some(NOWHERE)
    }

    /// `register`: how one is found from now on, and what the servers say to it.
    pub(in super::super) fn register(
        &mut self,
        step: &mut Step<'_, '_>,
        ticket: Ticket,
        wish: Option<RegisterAs>,
    ) -> Result<(), StoreError> {
        if self.servers.registering.waits.len() >= MAX_WAITS {
            self.refusals.count("too-many-waits");
            let message = "too many are waiting for the servers; let one of them end and try again";
            step.reply(ticket, Err(CommandError::new(ErrorKind::Failed, message)));
            return Ok(());
        }
        if let Some(wish) = wish {
            step.tx.set_setting(WISH, &[wish.code()])?;
            self.servers.registering.wish = wish.visibility();
        }
        let until = match self.online && self.servers.registering.resident {
            true => step.now.tick.plus(PATIENCE),
            false => step.now.tick,
        };
        self.servers.registering.waits.push((ticket, until));
        Ok(())
    }

    /// Answers whoever waits for the servers' word, once all have given it.
    pub(in super::super) fn answer_registers(
        &mut self,
        step: &mut Step<'_, '_>,
    ) -> Result<(), StoreError> {
        let settled = self.servers.own().all(|(_, s)| self.is_settled(s));
        let settled = settled && !self.servers.is_resolving(step.now.tick);
        let waits = std::mem::take(&mut self.servers.registering.waits);
        for (ticket, until) in waits {
            if !settled && until > step.now.tick {
                self.servers.registering.waits.push((ticket, until));
                continue;
            }
            let view = RegisterView {
                visibility: RegisterAs::from(self.servers.registering.wish),
                servers: self.server_views(step.now, true),
                warning: self.not_found_because().map(str::to_owned),
            };
            step.reply(ticket, Ok(Reply::Register(view)));
        }
        Ok(())
    }

    fn is_settled(&self, server: &Server) -> bool {
        let registering = &self.servers.registering;
        let told = match registering.for_server(server) {
            Some(record) => server.account.told == Some(record.seq()),
            // where one is is known only from the server's own word
            None => !registering.is_on() || server.session().is_some_and(|s| s.addressed),
        };
        let failed = server.is_down() && server.last_error.is_some();
        told || failed || server.account.retry.is_some()
    }
}
