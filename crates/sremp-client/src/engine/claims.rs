//! Places that contacts claim, and how many of them are dialled (8.2).

use std::collections::HashMap;

use sremp_core::{
    constants::{CLAIMS_INTERVAL, MAX_CLAIMS_DIALLED},
    contact_card::Endpoint,
    id::ContactId,
    time::Tick,
};

/// Endpoints that contacts claimed and that were dialled within the last [`CLAIMS_INTERVAL`]: nobody
/// sends this client along a list of others' machines.
#[derive(Debug, Default)]
pub(super) struct Claims(HashMap<ContactId, Vec<(Endpoint, Tick)>>);

impl Claims {
    pub(super) fn may_dial(&mut self, contact: ContactId, endpoint: &Endpoint, now: Tick) -> bool {
        self.0.retain(|_, dialled| {
            dialled.retain(|(_, at)| now.since(*at) < CLAIMS_INTERVAL);
            !dialled.is_empty()
        });
        let dialled = self.0.entry(contact).or_default();
        if dialled.iter().any(|(known, _)| known == endpoint) {
            return true;
        }
        let room = dialled.len() < MAX_CLAIMS_DIALLED;
        if room {
            dialled.push((endpoint.clone(), now));
        }
        room
    }
}
