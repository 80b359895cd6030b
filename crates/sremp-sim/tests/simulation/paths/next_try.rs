//! What waits is tried again at a time that is known (7.1).

use sremp_client::{
    clock::Rfc3339,
    config::Direct,
    view::{Choice, Command, Reply, Status, Waits},
};
use sremp_sim::{Alone, World};

use super::{LEAD, contact, set_direct, write};
use crate::{MINUTE, seeds};

#[test]
fn what_waits_always_has_a_next_try_or_tells_the_user_what_is_missing() {
    for seed in seeds(1) {
        let settings = [Direct::Accepted, Direct::Trusted, Direct::Never];
        for direct in settings {
            for choice in [Choice::Default, Choice::On, Choice::Off] {
                for wish in [false, true] {
                    for has_relay in [false, true] {
                        let mut world = World::new(seed);
                        let relay = world.open_relay("relay");
                        let ann = world.join_with("ann", |config| {
                            config.direct = direct;
                            config.prefers_async = wish;
                        });
                        let at: &[usize] = if has_relay { &[relay] } else { &[] };
                        let ben = world.join_at("ben", at);
                        world.run(MINUTE);
                        world.add(ann, ben);
                        set_direct(&mut world, ann, "ben", choice);
                        world.set_reachable(ben, false);
                        world.set_reachable(relay, false);
                        world.send(ann, "ben", "hello");
                        world.run(MINUTE);
                        let view = world.why_last(ann, "ben");
                        let tells = view.waits == Some(Waits::DirectOff);
                        let off = choice == Choice::Off
                            || (choice == Choice::Default && direct != Direct::Accepted);
                        assert_eq!(tells, off && !has_relay, "{view:?}");
                        assert_ne!(view.next_try.is_some(), tells, "{view:?}");
                        assert_eq!(view.status, Some(Status::Queued));
                    }
                }
            }
        }
    }
}

#[test]
fn what_waits_has_a_next_try_at_every_moment_also_while_it_is_tried() {
    for seed in seeds(1) {
        for has_relay in [false, true] {
            let mut world = World::new(seed);
            let relay = world.open_relay("relay");
            let ann = world.join("ann");
            let at: &[usize] = if has_relay { &[relay] } else { &[] };
            let ben = world.join_at("ben", at);
            world.run(MINUTE);
            world.add(ann, ben);
            if has_relay {
                set_direct(&mut world, ann, "ben", Choice::Off);
            }
            world.set_reachable(ben, false);
            world.set_reachable(relay, false);
            world.send(ann, "ben", "hello");
            for _ in 0..300 {
                world.run(200);
                let view = world.why_last(ann, "ben");
                assert!(view.next_try.is_some(), "seed {seed}: {view:?}");
            }
        }
    }
}

#[test]
fn a_dial_that_has_no_answer_yet_is_a_try_that_is_made_now() {
    for seed in seeds(1) {
        let mut ann = Alone::seeded("ann", seed);
        contact(&mut ann, "ben", false, false);
        write(&mut ann, "ben", 2 * LEAD);
        let recent = Command::History {
            contact: "ben".to_owned(),
            before: None,
            limit: 1,
        };
        let Ok(Reply::Messages { messages }) = ann.command(recent) else {
            panic!("no history");
        };
        let msg_id = messages[0].msg_id.clone();
        let Ok(Reply::Why(view)) = ann.command(Command::Why { msg_id }) else {
            panic!("no answer");
        };
        assert_eq!(view.next_try, Some(Rfc3339(ann.now().wall)), "{view:?}");
    }
}
