//! The vectors of chapter 13 and identities that must not verify, from `vectors/identity.json`.

mod vectors;

use sha2::{Digest as _, Sha256};
use sremp_core::{
    constants::{PROTOCOL_NAME, VERSION_MAJOR, VERSION_MINOR},
    identity::{Identity, IdentityError},
    signature::SignatureLabel,
    wire::bytes::Hex,
};
use vectors::{alice, hex, hex_n, list, load, number, text};

#[test]
fn the_version_header_is_seven_bytes() {
    let mut header = PROTOCOL_NAME.to_vec();
    header.extend([VERSION_MAJOR, VERSION_MINOR]);
    assert_eq!(header, hex(&load("identity"), "header"));
}

#[test]
fn an_identity_of_fixed_keys_has_the_bytes_of_the_specification() {
    let v = load("identity");
    let alice = alice();
    let identity = alice.identity();
    assert_eq!(alice.id().as_bytes(), &hex_n(&v, "identity_key"));
    assert_eq!(identity.noise_key().as_bytes(), &hex_n(&v, "noise_key"));
    assert_eq!(Hex(identity.as_bytes()).to_string(), text(&v, "identity"));
    let verified = hex(&v, "verified");
    assert_eq!(identity.verified_hash()[..], Sha256::digest(&verified)[..]);
    let signature = alice.sign(SignatureLabel::Identity, &verified);
    assert_eq!(signature.as_bytes(), &hex_n(&v, "signature"));
    assert_eq!(
        Sha256::digest(identity.as_bytes())[..],
        hex(&v, "sha256")[..]
    );

    let read = Identity::verify(&hex(&v, "identity")).unwrap();
    assert_eq!(&read, identity);
    assert_eq!(read.username().as_str(), text(&v, "username"));
    assert_eq!(read.version(), number(&v, "version"));
    assert_eq!(read.created().get(), number(&v, "created"));
    assert_eq!(read.flags(), Default::default());
    assert_eq!(read.extensions(), None);
}

#[test]
fn identities_at_the_limits_verify_and_keep_their_bytes() {
    for v in list(&load("identity"), "accept") {
        let bytes = hex(v, "identity");
        let identity = Identity::verify(&bytes);
        let identity = identity.unwrap_or_else(|e| panic!("{}: {e}", text(v, "name")));
        assert_eq!(identity.as_bytes(), bytes);
    }
}

/// Cases 6 to 10: every one of these is correctly signed unless its name says otherwise.
#[test]
fn case_07_identities_that_are_not_in_their_one_form_are_refused() {
    for v in list(&load("identity"), "reject") {
        let name = text(v, "name");
        let error = Identity::verify(&hex(v, "identity"));
        let error = error.err().unwrap_or_else(|| panic!("{name} was accepted"));
        let kind = match error {
            IdentityError::Encoding(_) => "encoding",
            IdentityError::Key => "key",
            IdentityError::Signature => "signature",
            IdentityError::NoiseKey => "noise_key",
            IdentityError::Username(_) => "username",
            IdentityError::Metadata => "metadata",
            IdentityError::Version => "version",
        };
        assert_eq!(kind, text(v, "error"), "{name}: {error}");
    }
}

#[test]
fn pictures_that_are_none_are_ignored_and_others_are_given() {
    for v in list(&load("identity"), "accept") {
        let identity = Identity::verify(&hex(v, "identity")).unwrap();
        let picture = identity.extensions().and_then(|e| e.profile_picture());
        assert_eq!(picture, None, "{}", text(v, "name"));
    }
    for magic in [
        &b"\x89PNG\r\n\x1a\n"[..],
        b"\xff\xd8\xff\xe0",
        b"RIFF\0\0\0\0WEBP",
    ] {
        let extensions =
            sremp_core::identity::Extensions::default().with_profile_picture(magic.to_vec());
        assert_eq!(extensions.profile_picture(), Some(magic));
    }
}
