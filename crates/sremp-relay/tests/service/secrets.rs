//! What an operator and a debugger get to see: protocol 11, case 25.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use sremp_core::{
    id::IntroToken,
    identity::SecretIdentity,
    relay::{Cursor, IntroEntry, IntroHash, ReplyRelay, Role, SendersSet, ToStore},
};
use sremp_relay::config::Policy;
use tokio::io::AsyncWriteExt as _;

use crate::{
    is_stored,
    peer::{Peer, envelope, someone, to_store},
    relay::{Relay, open_config},
    rogue::{connect_from, until_end},
};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything that any thread of this process logs from now on.
fn log() -> Log {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log
}

/// The ways in which bytes are printed.
fn spellings(bytes: &[u8]) -> Vec<String> {
    let hex = |upper: bool| -> String {
        let digits = |b: &u8| {
            if upper {
                format!("{b:02X}")
            } else {
                format!("{b:02x}")
            }
        };
        bytes.iter().map(digits).collect()
    };
    let list = format!("{bytes:?}");
    vec![
        hex(false),
        hex(true),
        list.trim_matches(['[', ']']).to_owned(),
    ]
}

fn keys_of(own: &SecretIdentity) -> [Vec<u8>; 4] {
    let parts = own.to_parts();
    [
        parts.identity_seed.to_vec(),
        parts.noise_secret.to_vec(),
        own.id().as_bytes().to_vec(),
        own.identity().noise_key().as_bytes().to_vec(),
    ]
}

#[tokio::test]
async fn case_25_logs_metrics_and_debug_show_no_key_token_text_or_address() {
    let log = log();
    let mut config = open_config();
    config.policy = Policy::Invite;
    config.allow_private_addresses = false;
    let relay = Relay::with(config).await;
    let invite = relay.invite();
    let mut ben = Peer::connect(someone(), relay.link()).await;
    ben.register(Role::Owner, Some(invite.clone())).await;
    let mut ann = Peer::connect(someone(), relay.link()).await;
    ann.register(Role::Owner, Some(vec![7; 42])).await;
    ann.register(Role::Sender, None).await;
    let token = IntroToken::new(rand::random());
    let hash = *sremp_relay::mailbox::IntroHash::of(&token).as_bytes();
    let entry = IntroEntry {
        hash: IntroHash::new(hash),
        one_time: true,
    };
    let set = SendersSet {
        intro: Some(vec![entry]),
        ..SendersSet::default()
    };
    let message = ben.machine.senders_set(set).unwrap();
    ben.ask(message).await;
    // what is refused, stored, delivered, confirmed, and cannot be handed on
    let text = envelope();
    let reply = ReplyRelay {
        relay: someone().id().into(),
        host: "relay.private.test".to_owned(),
        port: 25,
    };
    ann.store(someone().id().into(), envelope()).await;
    let store = ToStore {
        intro: Some(token),
        reply_relay: Some(reply),
        ..to_store(ben.key(), text.clone())
    };
    assert!(is_stored(&ann.store_this(store).await));
    ben.subscribe(Cursor::START, 32).await;
    let item = ben.item().await;
    let confirmation = ben.confirmation(&item);
    assert!(ben.confirm(vec![confirmation.clone()]).await.is_empty());
    relay.until_refused("address of another relay", 1).await;
    let mut eve = connect_from(&relay, 77).await;
    eve.write_all(b"no protocol").await.unwrap();
    until_end(&mut eve).await;

    tracing::info!("the end");
    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(logged.contains("the end"), "the log is read");
    let seen = [logged, relay.all_metrics(), relay.debug()].concat();
    let mut secrets: Vec<Vec<u8>> = [&ann.own, &ben.own, &relay.identity()]
        .into_iter()
        .flat_map(keys_of)
        .collect();
    secrets.extend([invite, token.as_bytes().to_vec(), hash.to_vec()]);
    secrets.extend([
        text[..16].to_vec(),
        confirmation.blob_hash.as_bytes().to_vec(),
    ]);
    for secret in secrets {
        for spelling in spellings(&secret) {
            assert!(!seen.contains(&spelling), "{spelling} in {seen}");
        }
    }
    for place in ["127.0.0.77", "relay.private.test", "someone"] {
        assert!(!seen.contains(place), "{place} in {seen}");
    }
}
