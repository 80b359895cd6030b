//! The network is another one, and nothing that failed before counts any more (D7.2); or it is cut, and
//! says nothing.

use sremp_core::error::ErrorCode;

use super::{
    Engine, Output, Step,
    silence::{Silent, Verdict},
};
use crate::store::StoreError;

impl Engine {
    /// Contacts, relays and servers are tried at once, however often they have failed; connections
    /// that stand are asked whether they do, and given up if they do not say so soon.
    pub(super) fn network_changed(&mut self, step: &mut Step<'_, '_>) {
        let now = step.now.tick;
        self.dialling.begin_anew(now);
        self.relays.begin_anew(now);
        self.servers.begin_anew(now);
        for (id, link) in &mut self.links.open {
            let given_up = self.dialling.given_up(&link.peer);
            link.silence.network_changed(now, given_up);
            step.outputs.push(Output::Probe(*id));
        }
        for link in self.relays.ask_all(now) {
            step.outputs.push(Output::Probe(link));
        }
    }

    /// Asks whether somebody is there who leaves everything unanswered, and gives up a connection that
    /// is silent even then: a new one may get through.
    pub(super) fn leave_silent(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        let now = step.now.tick;
        let mut dead = Vec::new();
        for (id, link) in &mut self.links.open {
            let given_up = self.dialling.given_up(&link.peer);
            match link.silence.judge(now, link.awaited(), given_up) {
                Verdict::Wait => {}
                Verdict::Ask => step.outputs.push(Output::Probe(*id)),
                Verdict::Dead => dead.push((*id, link.peer)),
            }
        }
        dead.sort_unstable();
        for (link, key) in dead {
            let state = self.links.get(link);
            let why = state.map_or(Silent::Unexplained, |l| l.silence.why());
            let welcome = state.is_some_and(|l| l.welcome);
            // of strangers nothing is remembered
            if let Some(of_use) = self.forget_link(link, now).filter(|_| welcome) {
                self.dialling.silent(&key, of_use, why, now);
                if why == Silent::Changed {
                    self.dialling.restore(key, now);
                }
            }
            let code = ErrorCode::GoingAway;
            step.outputs.push(Output::Close { link, code });
            self.redial_if_wanted(step, &key)?;
        }
        Ok(())
    }
}
