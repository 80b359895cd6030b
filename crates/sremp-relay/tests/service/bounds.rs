//! What one connection may have the relay do, and what a refused registration leaves behind.

use sremp_core::{
    channel::Message,
    error::ErrorCode,
    id::EnvelopeId,
    relay::{Confirmation, MessageId, RelayClient, RelayEvent, RelayMessage, Role},
};
use sremp_relay::mailbox::DiskGuard;

use crate::{
    peer::{Peer, envelope, now, someone, wished},
    refused,
    relay::{Relay, open_config},
    rogue::{Honest, hear, open, say},
};

/// 256 confirmations of nothing, each with a signature that has to be checked.
fn heavy(own: &sremp_core::identity::SecretIdentity, req_id: u32) -> Message {
    let nobody = someone().id().into();
    let id = MessageId::new(u64::MAX);
    let one = Confirmation::sign(own, nobody, id, EnvelopeId::of(b"x"), now());
    RelayMessage::DeliveryConfirmation(vec![one; 256]).to_message(req_id)
}

#[tokio::test]
async fn requests_beyond_64_and_signatures_by_the_thousand_hold_up_nobody_else() {
    let mut config = open_config();
    // the bounds of a connection, not those of its address
    config.rates.requests_per_address = 0;
    let relay = Relay::with(config).await;
    let mut honest = Honest::at(&relay).await;
    let eve = someone();
    let mut raw = open(&relay, &eve).await;
    let mut machine = RelayClient::new(eve.id(), relay.link().relay());
    let register = machine.register(&eve, &raw.h, Role::Owner, wished(), None);
    say(&mut raw, &register.unwrap()).await;
    let granted = hear(&mut raw).await;
    assert!(matches!(granted, RelayMessage::Granted(_)), "{granted:?}");

    const SENT: u32 = 90;
    let message = heavy(&eve, 1);
    for req_id in 1..=SENT {
        let message = Message {
            req_id,
            ..message.clone()
        };
        say(&mut raw, &message).await;
    }
    // 64 of those take longer than this by far
    honest.exchange().await;
    let (mut checked, mut refused) = (0, 0);
    while checked + refused < SENT {
        match hear(&mut raw).await {
            RelayMessage::Confirmed { refused } => {
                assert_eq!(refused.len(), 256, "none of them is an item");
                checked += 1;
            }
            RelayMessage::Error(error) => {
                assert_eq!(error.code, ErrorCode::RateLimited.to_u16());
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(checked >= 64, "{checked}");
    let open = relay.refused("open requests of one connection");
    assert_eq!(open, u64::from(refused));
    assert!(refused > 0);
    // answered ones make room
    say(&mut raw, &machine.prekeys_put(None, vec![]).unwrap()).await;
    let counts = hear(&mut raw).await;
    assert!(
        matches!(counts, RelayMessage::PrekeyCounts(_)),
        "{counts:?}"
    );
}

#[tokio::test]
async fn a_mailbox_that_is_not_made_registers_nobody_and_leaves_the_invite_good() {
    let mut config = open_config();
    config.policy = sremp_relay::config::Policy::Invite;
    let full = DiskGuard {
        full: 100,
        room: u64::MAX / 4,
    };
    let mut relay = Relay::on(full, config).await;
    let invite = relay.invite();
    let mut ann = Peer::connect(someone(), relay.link()).await;
    let event = ann.register(Role::Owner, Some(invite.clone())).await;
    assert_eq!(refused(&event), Some(ErrorCode::Full), "{event:?}");
    let event = ann.store(ann.key(), envelope()).await;
    assert_eq!(refused(&event), Some(ErrorCode::Auth), "not registered");
    let event = ann.register(Role::Sender, None).await;
    assert!(matches!(event, RelayEvent::Granted(_)), "it may ask again");
    ann.leave().await;

    relay.restart_on(DiskGuard::default()).await;
    let mut ben = Peer::connect(someone(), relay.link()).await;
    let event = ben.register(Role::Owner, Some(invite.clone())).await;
    assert!(matches!(event, RelayEvent::Granted(_)), "{event:?}");
    let mut eve = Peer::connect(someone(), relay.link()).await;
    let event = eve.register(Role::Owner, Some(invite)).await;
    assert_eq!(refused(&event), Some(ErrorCode::InviteRequired), "used now");
}
