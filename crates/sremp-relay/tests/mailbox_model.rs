//! The embedded store against the model in memory: whatever is asked of both, they answer alike.

mod mailboxes;

use mailboxes::*;
use proptest::prelude::*;
use sremp_relay::mailbox::{
    ConfirmationId, Confirmed, Cursor, Limits, MailboxReader as _, MailboxStore as _, Op, Outcome,
    Route, StoreError, WaitingConfirmation, Waits, embedded::fsck,
};

/// What happens in one step.
#[derive(Clone, Debug)]
enum Step {
    /// A batch after so many milliseconds.
    Batch(u64, Vec<Op>),
    /// Every nth item that was ever stored is discarded by its owner.
    Discard(usize),
    /// Every nth confirmation that waits is taken.
    Take(usize),
    /// Every nth is refused by the relay for which it waits.
    Refuse(usize),
    Purge(u64, u64),
    Restart,
}

fn person() -> impl Strategy<Value = u8> {
    1..5_u8
}

fn people() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(person(), 0..3)
}

fn store() -> impl Strategy<Value = Op> {
    let size = prop::sample::select(vec![1_024, 2_048, 8_192]);
    let relay_at =
        prop::option::weighted(0.2, prop::sample::select(vec!["a.example", "b.example"]));
    let intro = prop::option::weighted(0.2, 0..3_u8);
    let parts = (
        person(),
        person(),
        0..12_u64,
        size,
        1..200_000_u32,
        relay_at,
        intro,
    );
    parts.prop_map(|(from, to, id, size, ttl, relay_at, intro)| {
        let mut op = sized(from, to, id, size);
        op.ttl = ttl;
        op.reply_relay = relay_at.map(relay);
        op.intro = intro.map(token);
        Op::Store(Box::new(op))
    })
}

fn confirms() -> impl Strategy<Value = Op> {
    let each = (person(), 0..12_u64);
    (person(), prop::collection::vec(each, 1..4)).prop_map(|(of, each)| {
        let each = each
            .into_iter()
            .map(|(from, id)| confirmation(from, of, id));
        confirm(of, each.collect())
    })
}

fn op() -> impl Strategy<Value = Op> {
    let rules = prop::collection::vec((0..3_u8, any::<bool>()), 0..3);
    let rules = prop::option::of(rules.prop_map(|rules| {
        let rules = rules.into_iter();
        rules.map(|(n, one_time)| rule(n, one_time)).collect()
    }));
    let intro = prop::option::of(0..3_u8);
    prop_oneof![
        8 => store(),
        4 => confirms(),
        1 => person().prop_map(open),
        1 => person().prop_map(|of| Op::Touch { owner: somebody(of) }),
        2 => (person(), people(), people(), rules)
            .prop_map(|(of, accept, block, intro)| senders(of, &accept, &block, intro)),
        1 => (person(), any::<Option<u8>>(), 0..9_usize).prop_map(|(of, bundle, count)| {
            Op::PutPrekeys {
                owner: somebody(of),
                bundle: bundle.map(|n| vec![n; 20]),
                one_time: (0..count).map(|n| vec![n as u8; 9]).collect(),
            }
        }),
        2 => (person(), person(), intro).prop_map(|(asker, of, intro)| Op::TakePrekey {
            asker: somebody(asker),
            recipient: somebody(of),
            intro: intro.map(token),
        }),
        1 => (person(), person()).prop_map(|(from, to)| Op::AddConfirmation {
            confirmation: Box::new(confirmation(from, to, 99)),
            expires: at(DAY),
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let time = prop::sample::select(vec![0, 1_000, 600_000, 4_000_000, DAY]);
    prop_oneof![
        12 => (time, prop::collection::vec(op(), 1..10)).prop_map(|(t, ops)| Step::Batch(t, ops)),
        1 => (1..4_usize).prop_map(Step::Discard),
        1 => (1..4_usize).prop_map(Step::Take),
        1 => (1..4_usize).prop_map(Step::Refuse),
        1 => (0..2 * DAY, 0..9 * DAY).prop_map(|(a, b)| Step::Purge(a, b)),
        1 => Just(Step::Restart),
    ]
}

/// Both stores, and what was said so far.
struct Both {
    model: Memory,
    real: Embedded,
    now: u64,
    stored: Vec<Cursor>,
    /// With the names that the model and the real store gave: those are each one's own.
    waits: Vec<(Route, ConfirmationId, ConfirmationId)>,
}

/// The names of confirmations in an outcome, taken out of it.
fn take_names(outcome: &mut Outcome) -> Vec<(Route, ConfirmationId)> {
    let waits: Vec<&mut Waits> = match outcome {
        Outcome::Queued(waits) => vec![waits],
        Outcome::Confirmed(each) => each
            .iter_mut()
            .filter_map(|confirmed| match confirmed {
                Confirmed::Now(waits) => Some(waits),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    let take = |waits: &mut Waits| (waits.route.clone(), std::mem::take(&mut waits.id));
    waits.into_iter().map(take).collect()
}

fn nameless(waiting: Result<Vec<WaitingConfirmation>, StoreError>) -> Vec<WaitingConfirmation> {
    let mut waiting = waiting.unwrap();
    waiting
        .iter_mut()
        .for_each(|w| w.id = ConfirmationId::START);
    waiting
}

impl Both {
    fn batch(&mut self, ops: Vec<Op>) {
        self.both(ops.clone(), ops);
    }

    fn both(&mut self, for_model: Vec<Op>, for_real: Vec<Op>) {
        let mut expected = self.model.batch(at(self.now), for_model);
        let mut real = self.real.batch(at(self.now), for_real);
        for (expected, real) in expected.iter_mut().zip(&mut real) {
            let names = take_names(expected).into_iter().zip(take_names(real));
            let both = names.map(|((route, model), (_, real))| (route, model, real));
            self.waits.extend(both);
            if let Outcome::Stored(stored) = real {
                self.stored.push(stored.cursor);
            }
        }
        assert_eq!(real, expected);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Batch(time, ops) => {
                self.now += time;
                self.batch(ops);
            }
            Step::Discard(nth) => {
                let cursors: Vec<_> = self.stored.iter().copied().step_by(nth).collect();
                let discard = |of| Op::Discard {
                    owner: somebody(of),
                    cursors: cursors.clone(),
                };
                self.batch((1..5).map(discard).collect());
            }
            Step::Take(nth) => {
                let taken = |(route, id)| Op::ConfirmationsTaken {
                    route,
                    ids: vec![id],
                };
                let nth = || self.waits.iter().cloned().step_by(nth);
                let model = nth().map(|(route, id, _)| taken((route, id))).collect();
                let real = nth().map(|(route, _, id)| taken((route, id))).collect();
                self.waits.clear();
                self.both(model, real);
            }
            Step::Refuse(nth) => {
                let refused = |(route, id)| match route {
                    Route::Relay(relay) => Some(Op::ConfirmationsRefused {
                        relay,
                        ids: vec![id],
                    }),
                    Route::Sender(_) => None,
                };
                let nth = || self.waits.iter().cloned().step_by(nth);
                let model = nth().filter_map(|(route, id, _)| refused((route, id)));
                let real = nth().filter_map(|(route, _, id)| refused((route, id)));
                let (model, real) = (model.collect(), real.collect());
                self.both(model, real);
            }
            Step::Purge(before, unused) => {
                let now = self.now;
                let since = |ago| at(now.saturating_sub(ago));
                let expected = self.model.purge(at(now), since(before), since(unused));
                let real = self.real.purge(at(now), since(before), since(unused));
                assert_eq!(real, expected);
            }
            Step::Restart => {
                self.real.restart();
                // the names of confirmations hold until then
                self.waits.clear();
            }
        }
    }

    fn compare(&mut self) {
        let (model, real) = (self.model.store().reader(), self.real.store().reader());
        for of in 1..5 {
            let owner = somebody(of);
            assert_eq!(real.mailbox(&owner), model.mailbox(&owner));
            assert_eq!(real.prekeys(&owner), model.prekeys(&owner));
            assert_eq!(self.real.items(of), self.model.items(of));
            let relays = ["a.example", "b.example"].map(|host| Route::Relay(Box::new(relay(host))));
            for route in relays.into_iter().chain([Route::Sender(owner)]) {
                let start = ConfirmationId::START;
                let expected = nameless(model.waiting(&route, start, 99));
                assert_eq!(nameless(real.waiting(&route, start, 99)), expected);
            }
        }
        let (real, model) = (self.real.store().stats(), self.model.store().stats());
        assert_eq!(
            (real.mailboxes, real.items, real.bytes),
            (model.mailboxes, model.items, model.bytes)
        );
        assert_eq!(
            (real.confirmations, real.oldest),
            (model.confirmations, model.oldest)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_embedded_store_does_what_the_model_does(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let limits = Limits {
            mailboxes: 3,
            items: 12,
            bytes: 40_000,
            sender_items: 5,
            sender_bytes: 20_000,
            request_items: 3,
            request_size: 2_048,
        };
        let mut both = Both {
            model: Memory::new(limits),
            real: Embedded::new(limits),
            now: DAY,
            stored: Vec::new(),
            waits: Vec::new(),
        };
        both.batch(vec![open(1), open(2)]);
        for step in steps {
            both.step(step);
            both.compare();
        }
        both.real.close();
        assert_eq!(fsck(&both.real.path()).unwrap(), Vec::<String>::new());
    }
}
