//! What a relay computes for each message, on one core. The limit is one strict check of a signature.

use divan::{Bencher, black_box};
use sremp_core::{
    channel::{HandshakeHash, Message},
    id::{ContactId, EnvelopeId},
    identity::{SecretIdentity, Username},
    key::NoiseSecret,
    relay::{
        Confirmation, MessageId, RelayClient, Role, ServerConnection, ToStore,
        proof::{Claimed, ReceiptClaim, ReceiptTree, StoreClaim, check_claims},
    },
    signature::Signature,
    time::UnixMillis,
};

const NOW: UnixMillis = UnixMillis::saturating(1_760_000_000_000);

fn main() {
    divan::main();
}

fn person(seed: u8) -> SecretIdentity {
    let name = Username::parse("somebody").unwrap();
    let noise_key = NoiseSecret::from_bytes(&[seed; 32]);
    SecretIdentity::from_keys(&[seed; 32], noise_key, &name, NOW)
}

/// A store of 1 KB as it comes out of a frame, and the connection that it comes on.
fn store_message() -> (ServerConnection, Message) {
    let (alice, bob, relay) = (person(1), person(2), person(9));
    let mut client = RelayClient::new(alice.id(), relay.id());
    let store = ToStore {
        recipient: bob.id().into(),
        envelope: vec![7; 1024],
        message_id: MessageId::new(u64::MAX / 3),
        ttl: 14 * 24 * 60 * 60,
        reply_relay: None,
        intro: None,
    };
    let h = HandshakeHash::new([3; 32]);
    let mut connection = ServerConnection::new(relay.id(), alice.id(), h);
    connection.registered(Role::Sender);
    (connection, client.store(&alice, store).unwrap())
}

/// Stores by five senders in turn.
fn stores(count: usize) -> Vec<(ContactId, StoreClaim, Signature)> {
    let senders: Vec<_> = (20..25).map(person).collect();
    let store = |n: usize| {
        let sender = &senders[n % senders.len()];
        let claim = StoreClaim {
            relay: person(9).id().into(),
            recipient: person(2).id().into(),
            message_id: MessageId::new(n as u64),
            blob_hash: EnvelopeId::of(&n.to_le_bytes()),
            ttl: 60,
        };
        (sender.id(), claim, claim.sign(sender))
    };
    (0..count).map(store).collect()
}

fn claimed(stores: &[(ContactId, StoreClaim, Signature)]) -> Vec<Claimed> {
    let claimed = |(sender, claim, signature): &_| Claimed::store(*sender, claim, *signature);
    stores.iter().map(claimed).collect()
}

/// Everything up to the signature: decoded exactly, its size, its hash.
#[divan::bench]
fn store_of_1_kb_without_signature(bencher: Bencher<'_, '_>) {
    let (connection, message) = store_message();
    bencher.bench_local(|| connection.handle(black_box(&message), NOW).unwrap());
}

#[divan::bench]
fn one_signature_strictly(bencher: Bencher<'_, '_>) {
    let (sender, claim, signature) = stores(1).remove(0);
    bencher.bench_local(|| claim.verify(black_box(&sender), &signature).unwrap());
}

/// All together; divide by the count.
#[divan::bench(args = [1, 2, 4, 8, 16, 24, 32, 64, 128, 256])]
fn signatures_together(bencher: Bencher<'_, '_>, count: usize) {
    let claims = claimed(&stores(count));
    bencher.bench_local(|| assert!(check_claims(black_box(&claims)).iter().all(Result::is_ok)));
}

/// The worst for the relay: the equation was for nothing.
#[divan::bench]
fn signatures_together_64_with_a_bad_one(bencher: Bencher<'_, '_>) {
    let mut stores = stores(64);
    stores[63].1.ttl += 1;
    let claims = claimed(&stores);
    bencher.bench_local(|| assert!(check_claims(black_box(&claims))[63].is_err()));
}

/// All receipts of a commit, as bytes.
#[divan::bench(args = [1, 64])]
fn receipts(bencher: Bencher<'_, '_>, count: u64) {
    let relay = person(9);
    let claim = |n: u64| ReceiptClaim {
        sender: person(1).id().into(),
        recipient: person(2).id().into(),
        message_id: MessageId::new(n),
        blob_hash: EnvelopeId::of(&n.to_le_bytes()),
        stored_at: NOW,
        expires_at: NOW,
    };
    let claims: Vec<_> = (0..count).map(claim).collect();
    bencher.bench_local(|| {
        let tree = ReceiptTree::sign(&relay, black_box(&claims)).unwrap();
        let bytes = (0..claims.len()).map(|n| tree.receipt(n).to_bytes());
        bytes.collect::<Vec<_>>()
    });
}

/// What a sender pays to believe one of 64.
#[divan::bench]
fn receipt_checked(bencher: Bencher<'_, '_>) {
    let relay = person(9);
    let claim = |n: u64| ReceiptClaim {
        sender: person(1).id().into(),
        recipient: person(2).id().into(),
        message_id: MessageId::new(n),
        blob_hash: EnvelopeId::of(&n.to_le_bytes()),
        stored_at: NOW,
        expires_at: NOW,
    };
    let claims: Vec<_> = (0..64).map(claim).collect();
    let receipt = ReceiptTree::sign(&relay, &claims).unwrap().receipt(7);
    bencher.bench_local(|| receipt.verify(black_box(&relay.id()), &claims[7]).unwrap());
}

#[divan::bench]
fn confirmation_checked(bencher: Bencher<'_, '_>) {
    let (alice, bob) = (person(1), person(2));
    let blob = EnvelopeId::of(b"");
    let confirmation = Confirmation::sign(&bob, alice.id().into(), MessageId::new(1), blob, NOW);
    bencher.bench_local(|| black_box(&confirmation).verify(&bob.id()).unwrap());
}

#[divan::bench]
fn identity_key_parsed(bencher: Bencher<'_, '_>) {
    let id = person(1).id();
    bencher.bench_local(|| ContactId::parse(black_box(id.as_bytes())).unwrap());
}
