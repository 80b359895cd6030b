//! `doctor`: what is known of the client's surroundings, and what its relays and servers answer just
//! now. A pure wait with a deadline; the store and the disk are measured outside.

mod paths;
mod report;

use std::{collections::BTreeMap, time::Duration};

use sremp_core::{contact_card::Endpoint, id::ContactId, time::Tick};
use sremp_net::LinkId;

use super::{Engine, Output, Step, Ticket};
use crate::{
    store::StoreError,
    view::{CommandError, ErrorKind, Reply},
};

/// How long answers are waited for.
const PATIENCE: Duration = Duration::from_secs(8);
/// Examinations at once; one more is refused.
const MAX_AT_ONCE: usize = 8;

/// How fast the store makes something durable.
#[derive(Clone, Copy, Debug)]
pub struct StoreMeasure {
    /// Commits that were measured.
    pub commits: u32,
    /// The one in the middle.
    pub median: Duration,
    /// The longest.
    pub longest: Duration,
    /// Whether its pages are as they were written; `None`: too many to look at now.
    pub intact: Option<bool>,
}

/// What became of asking somebody for a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trip {
    /// There is no connection yet; so many had failed before.
    Waits { failures: u32 },
    /// Asked then, on this connection.
    Sent { at: Tick, link: Option<LinkId> },
    /// Answered after this time.
    Back(Duration),
    /// There is no connection.
    Failed,
}

impl Trip {
    const fn is_over(self) -> bool {
        matches!(self, Self::Back(_) | Self::Failed)
    }
}

/// A `doctor` that waits for answers.
pub(super) struct Examination {
    ticket: Ticket,
    until: Tick,
    store: Option<StoreMeasure>,
    relays: BTreeMap<ContactId, Trip>,
    servers: BTreeMap<Endpoint, Trip>,
}

impl Examination {
    pub(super) const fn until(&self) -> Tick {
        self.until
    }

    fn is_over(&self, now: Tick) -> bool {
        let mut trips = self.relays.values().chain(self.servers.values());
        now >= self.until || trips.all(|trip| trip.is_over())
    }
}

impl Engine {
    pub(super) fn begin_examination(
        &mut self,
        step: &mut Step<'_, '_>,
        ticket: Ticket,
        store: Option<StoreMeasure>,
    ) {
        if self.examinations.len() >= MAX_AT_ONCE {
            let message = "several examinations run already; wait for one of them to end";
            return step.reply(ticket, Err(CommandError::new(ErrorKind::Failed, message)));
        }
        let now = step.now.tick;
        let waits = |failures| Trip::Waits { failures };
        let (mut relays, mut servers) = (BTreeMap::new(), BTreeMap::new());
        if self.online {
            let own = self.hurry_own_relays(now).into_iter();
            relays.extend(own.map(|(key, failures)| (key, waits(failures))));
            let own = self.hurry_own_servers(now).into_iter();
            servers.extend(own.map(|(place, failures)| (place, waits(failures))));
        }
        self.examinations.push(Examination {
            ticket,
            until: now.plus(PATIENCE),
            store,
            relays,
            servers,
        });
    }

    /// At the end of a step: asks whoever can be asked by now, and answers whom nothing is missing.
    pub(super) fn examine(&mut self, step: &mut Step<'_, '_>) -> Result<(), StoreError> {
        for mut examination in std::mem::take(&mut self.examinations) {
            for (key, trip) in &mut examination.relays {
                self.go_to_relay(step, key, trip);
            }
            for (place, trip) in &mut examination.servers {
                self.go_to_server(step.now.tick, place, trip);
            }
            if examination.is_over(step.now.tick) {
                let view = self.report(step, &examination)?;
                step.reply(examination.ticket, Ok(Reply::Doctor(view)));
            } else {
                self.examinations.push(examination);
            }
        }
        Ok(())
    }

    fn go_to_relay(&self, step: &mut Step<'_, '_>, key: &ContactId, trip: &mut Trip) {
        let (up, failures) = self.relay_state(key);
        *trip = match (*trip, up) {
            (Trip::Waits { .. }, Some(link)) => {
                step.outputs.push(Output::Probe(link));
                Trip::Sent {
                    at: step.now.tick,
                    link: up,
                }
            }
            (Trip::Waits { failures: before }, None) if failures > before => Trip::Failed,
            (Trip::Sent { link, .. }, up) if link != up => Trip::Failed,
            (trip, _) => trip,
        };
    }

    fn go_to_server(&self, at: Tick, place: &Endpoint, trip: &mut Trip) {
        let (asked, failures) = self.server_state(place);
        *trip = match *trip {
            Trip::Waits { .. } if asked => Trip::Sent { at, link: None },
            Trip::Waits { failures: before } if failures > before => Trip::Failed,
            Trip::Sent { .. } if !asked => Trip::Failed,
            trip => trip,
        };
    }

    /// A probed connection has answered.
    pub(super) fn relay_has_answered(&mut self, now: Tick, link: LinkId) {
        let relays = self.examinations.iter_mut();
        for trip in relays.flat_map(|e| e.relays.values_mut()) {
            if let Trip::Sent { at, link: asked } = *trip
                && asked == Some(link)
            {
                *trip = Trip::Back(now.since(at));
            }
        }
    }

    /// A server has said from where it sees one come.
    pub(super) fn server_has_answered(&mut self, now: Tick, place: &Endpoint) {
        let servers = self.examinations.iter_mut();
        for trip in servers.filter_map(|e| e.servers.get_mut(place)) {
            if let Trip::Sent { at, .. } = *trip {
                *trip = Trip::Back(now.since(at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        engine::{Mode, Now},
        store::Store,
    };
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
    use sremp_core::{
        identity::{SecretIdentity, Username},
        time::UnixMillis,
    };

    /// Ids of other people.
    fn ids<const N: usize>() -> [ContactId; N] {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let name = Username::parse("relay").unwrap();
        [(); N].map(|()| SecretIdentity::generate(&name, UnixMillis::ZERO, &mut rng).id())
    }

    /// Somebody's engine, at whose start the stopwatch says nought.
    fn engine() -> Engine {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let name = Username::parse("ann").unwrap();
        let now = Now {
            wall: UnixMillis::saturating(1_760_000_000_000),
            tick: Tick::new(0),
        };
        let identity = SecretIdentity::generate(&name, now.wall, &mut rng);
        let mut store = Store::in_memory().unwrap();
        let loaded: Result<Engine, StoreError> = store.transaction(|tx| {
            tx.save_own_identity(&identity.to_parts())?;
            Engine::load(tx, Config::default(), Mode::Resident, now, &mut rng)
        });
        loaded.unwrap()
    }

    fn examination(relays: &[(ContactId, Trip)], servers: &[(Endpoint, Trip)]) -> Examination {
        Examination {
            ticket: Ticket(1),
            until: Tick::new(8_000),
            store: None,
            relays: relays.iter().copied().collect(),
            servers: servers.iter().cloned().collect(),
        }
    }

    #[test]
    fn an_answer_counts_for_the_connection_that_was_asked_and_takes_its_time() {
        let mut engine = engine();
        let [one, two] = ids();
        let [asked, other, unasked] = [1, 2, 3].map(LinkId::simulated);
        let sent = |link, at| Trip::Sent {
            at: Tick::new(at),
            link: Some(link),
        };
        let trips = [(one, sent(asked, 100)), (two, sent(other, 100))];
        engine.examinations.push(examination(&trips, &[]));
        let later = [(one, sent(asked, 150)), (two, Trip::Waits { failures: 0 })];
        engine.examinations.push(examination(&later, &[]));
        let told = |engine: &Engine| {
            let trips = engine.examinations.iter();
            let trips = trips.map(|e| [e.relays[&one], e.relays[&two]]);
            trips.collect::<Vec<_>>()
        };
        let before = told(&engine);
        engine.relay_has_answered(Tick::new(160), unasked);
        assert_eq!(told(&engine), before, "nobody asked there");
        engine.relay_has_answered(Tick::new(160), asked);
        let back = |millis| Trip::Back(Duration::from_millis(millis));
        let answered = [
            [back(60), sent(other, 100)],
            [back(10), Trip::Waits { failures: 0 }],
        ];
        assert_eq!(told(&engine), answered);
        // what is heard after that changes nothing
        engine.relay_has_answered(Tick::new(900), asked);
        assert_eq!(told(&engine), answered);
    }

    #[test]
    fn an_answer_of_a_server_counts_for_that_server_if_it_was_asked() {
        let mut engine = engine();
        let [one, two, three] =
            ["one:1", "two:1", "three:1"].map(|at| at.parse::<Endpoint>().unwrap());
        let sent = Trip::Sent {
            at: Tick::new(100),
            link: None,
        };
        let waits = Trip::Waits { failures: 0 };
        let trips = [(one.clone(), sent), (two.clone(), waits), (three, sent)];
        engine.examinations.push(examination(&[], &trips));
        for place in [&one, &two] {
            engine.server_has_answered(Tick::new(130), place);
        }
        let told = |n: usize| engine.examinations[0].servers[&trips[n].0];
        assert_eq!(told(0), Trip::Back(Duration::from_millis(30)));
        assert_eq!((told(1), told(2)), (waits, sent));
    }

    #[test]
    fn an_examination_ends_with_its_last_trip_or_with_its_time() {
        let [one, two] = ids();
        let place: Endpoint = "one:1".parse().unwrap();
        let back = Trip::Back(Duration::ZERO);
        let waits = Trip::Waits { failures: 0 };
        let over = |relays: [Trip; 2], server, at| {
            let relays = [(one, relays[0]), (two, relays[1])];
            examination(&relays, &[(place.clone(), server)]).is_over(Tick::new(at))
        };
        assert!(over([back, Trip::Failed], back, 0));
        for (relays, server) in [
            ([back, waits], back),
            ([back, Trip::Failed], waits),
            (
                [back, back],
                Trip::Sent {
                    at: Tick::new(0),
                    link: None,
                },
            ),
        ] {
            assert!(!over(relays, server, 7_999));
            assert!(over(relays, server, 8_000));
        }
    }
}
