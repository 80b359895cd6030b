//! Documents: bytes that are all there at once.

use std::collections::BTreeMap;

use sremp_core::{
    constants::{MAX_CARD, MAX_CONTENT, MAX_IDENTITY},
    contact_card::{ContactCard, Endpoint, RelayHint},
    id::{ContactId, MsgId},
    identity::{Extensions, Flags, Identity, SecretIdentity, Username},
    key::NoiseSecret,
    session::{
        content::{Body, Content, ContentHead, ProfileUpdate},
        prekey::UnverifiedEnvelopeKey,
    },
    signature::{Signature, SignatureLabel},
    time::UnixMillis,
    wire::codec::{decode_exact, encode},
};

const NOW: UnixMillis = UnixMillis::saturating(1_760_000_000_000);

fn signer() -> SecretIdentity {
    let name = Username::parse("alice").expect("a name");
    let noise_key = NoiseSecret::from_bytes(&[2; 32]);
    SecretIdentity::from_keys(&[1; 32], noise_key, &name, NOW)
}

/// Any bytes as an identity.
pub fn identity(data: &[u8]) {
    if let Ok(identity) = Identity::verify(data) {
        assert_eq!(identity.as_bytes(), data);
        assert!(data.len() <= MAX_IDENTITY);
        assert!((1..=40).contains(&identity.username().as_str().chars().count()));
        let extensions = identity.extensions();
        assert!(
            extensions
                .and_then(Extensions::profile_picture)
                .map_or(0, <[u8]>::len)
                <= 8192
        );
    }
}

/// Any bytes as the data of an identity that is signed correctly: behind the signature.
pub fn identity_signed(data: &[u8]) {
    let signature = signer().sign(SignatureLabel::Identity, data);
    // `[verified: bin, signature: bin64]` by hand, since the bytes need not be any value
    let mut document = vec![0x92, 0xc5];
    match u16::try_from(data.len()) {
        Ok(len) if len > 255 => document.extend(len.to_be_bytes()),
        Ok(len) => {
            document.pop();
            document.extend([0xc4, len.to_be_bytes()[1]]);
        }
        Err(_) => return,
    }
    document.extend_from_slice(data);
    document.extend([0xc4, 64]);
    document.extend_from_slice(signature.as_bytes());
    identity(&document);
}

/// Any bytes as a card, as its text, and as the text of both forms.
pub fn card(data: &[u8]) {
    if let Ok(card) = ContactCard::verify(data, NOW) {
        assert_eq!(card.as_bytes(), data);
        assert!(data.len() <= MAX_CARD);
        for text in [card.to_uri(), card.to_qr_text()] {
            assert_eq!(ContactCard::parse(&text, NOW).as_ref(), Ok(&card));
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        for text in [
            text.to_owned(),
            format!("sremp:1#{text}"),
            format!("SREMP:1/{text}"),
        ] {
            if let Ok(card) = ContactCard::parse(&text, NOW) {
                assert_eq!(ContactCard::parse(&card.to_uri(), NOW), Ok(card));
            }
        }
    }
}

/// Any bytes behind the key of a card that is signed correctly: flags, then the rest.
pub fn card_signed(data: &[u8]) {
    let signer = signer();
    let Some((flags, rest)) = data.split_first() else {
        return;
    };
    let mut bytes = vec![1, *flags];
    bytes.extend_from_slice(signer.id().as_bytes());
    bytes.extend_from_slice(rest);
    let signature = signer.sign(SignatureLabel::Card, &bytes);
    bytes.extend_from_slice(signature.as_bytes());
    if let Ok(card) = ContactCard::verify(&bytes, NOW) {
        assert_eq!(card.as_bytes(), bytes);
        // what is known of it can be issued again
        let again = ContactCard::issue(&signer, card.content().clone()).expect("it was read");
        assert_eq!(again.content(), card.content());
    }
}

/// Any bytes as a content.
pub fn content(data: &[u8]) {
    let head = ContentHead::of(data);
    let Ok(content) = Content::decode_exact(data) else {
        return;
    };
    assert!(data.len() <= MAX_CONTENT && content.seq > 0);
    let head = head.expect("a whole content has a head");
    assert_eq!(head.content_type, content.body.content_type());
    assert_eq!((head.msg_id, head.seq), (content.msg_id, content.seq));
    match content.body {
        Body::Unknown(_) => assert!(content.encode().is_err()),
        _ => assert_eq!(content.encode().as_deref(), Ok(data)),
    }
}

fn exact<T: serde::de::DeserializeOwned + serde::Serialize>(data: &[u8]) {
    if let Ok(value) = decode_exact::<T>(data, 4096) {
        assert_eq!(encode(&value), data);
    }
}

/// The first byte chooses a type, the rest is decoded as it.
pub fn codec(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else {
        return;
    };
    match choice % 16 {
        0 => exact::<u8>(data),
        1 => exact::<u64>(data),
        2 => exact::<String>(data),
        3 => exact::<Option<Vec<u32>>>(data),
        4 => exact::<BTreeMap<String, u64>>(data),
        5 => exact::<(bool, Option<bool>, u16)>(data),
        6 => exact::<ContactId>(data),
        7 => exact::<MsgId>(data),
        8 => exact::<Signature>(data),
        9 => exact::<UnixMillis>(data),
        10 => exact::<Flags>(data),
        11 => exact::<Extensions>(data),
        12 => exact::<Vec<Endpoint>>(data),
        13 => exact::<Vec<RelayHint>>(data),
        14 => exact::<UnverifiedEnvelopeKey>(data),
        _ => exact::<ProfileUpdate>(data),
    }
}
