//! From bytes to contents and back: the type is read first and decides how the body is.

use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::{Body, Content, ContentError, ContentHash, ContentHead};
use crate::{
    constants::{MAX_CONTENT, MAX_SMP1_DEPTH},
    id::MsgId,
    time::UnixMillis,
    wire::codec::{self, DecodeError, decode_exact},
};

/// The whole array with a body of a certain form.
#[derive(Serialize, Deserialize)]
struct Whole<B>(u8, MsgId, u64, ContentHash, UnixMillis, B);

pub(super) fn encode(content: &Content) -> Result<Vec<u8>, ContentError> {
    Ok(match &content.body {
        Body::Text(text) => whole(content, (text,)),
        Body::ProfileUpdate(update) | Body::ContactAccept(update) => whole(content, update),
        Body::Reset { reason, last_seq } => whole(content, (reason, last_seq)),
        Body::ContactRequest(request) => whole(content, request),
        Body::Edit { msg_id, text } | Body::Reply { msg_id, text } => {
            whole(content, (msg_id, text))
        }
        Body::Delete { msg_id } => whole(content, (msg_id,)),
        Body::Reaction { msg_id, reaction } => whole(content, (msg_id, reaction)),
        Body::Timer { seconds } => whole(content, (seconds,)),
        Body::Unknown(_) => return Err(ContentError::UnknownType),
    })
}

fn whole<B: Serialize>(content: &Content, body: B) -> Vec<u8> {
    let content_type = content.body.content_type();
    let Content {
        msg_id,
        seq,
        prev,
        sent,
        ..
    } = *content;
    codec::encode(&Whole(content_type, msg_id, seq, prev, sent, body))
}

pub(super) fn decode(bytes: &[u8]) -> Result<Content, ContentError> {
    let head = head(bytes)?;
    let body = match head.content_type {
        Body::TEXT => {
            let (text,) = body(bytes)?;
            Body::Text(text)
        }
        Body::PROFILE_UPDATE => Body::ProfileUpdate(body(bytes)?),
        Body::RESET => {
            let (reason, last_seq) = body(bytes)?;
            Body::Reset { reason, last_seq }
        }
        Body::CONTACT_REQUEST => Body::ContactRequest(body(bytes)?),
        Body::CONTACT_ACCEPT => Body::ContactAccept(body(bytes)?),
        Body::EDIT => {
            let (msg_id, text) = body(bytes)?;
            Body::Edit { msg_id, text }
        }
        Body::DELETE => {
            let (msg_id,) = body(bytes)?;
            Body::Delete { msg_id }
        }
        Body::REPLY => {
            let (msg_id, text) = body(bytes)?;
            Body::Reply { msg_id, text }
        }
        Body::REACTION => {
            let (msg_id, reaction) = body(bytes)?;
            Body::Reaction { msg_id, reaction }
        }
        Body::TIMER => {
            let (seconds,) = body(bytes)?;
            Body::Timer { seconds }
        }
        other => {
            check_unknown(bytes, &head)?;
            Body::Unknown(other)
        }
    };
    Ok(Content {
        msg_id: head.msg_id,
        seq: head.seq,
        prev: head.prev,
        sent: head.sent,
        body,
    })
}

fn body<B: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<B, ContentError> {
    let Whole(.., body) = decode_exact(bytes, MAX_CONTENT).map_err(ContentError::Encoding)?;
    Ok(body)
}

/// Reads the head and skips whatever the body is. Lenient: [`decode`] judges the whole afterwards.
pub(super) fn head(bytes: &[u8]) -> Result<ContentHead, ContentError> {
    if bytes.len() > MAX_CONTENT {
        return Err(ContentError::Encoding(DecodeError::TooLong));
    }
    let mut decoder = rmp_serde::Deserializer::from_read_ref(bytes);
    decoder.set_max_depth(MAX_SMP1_DEPTH + 1);
    let Whole(content_type, msg_id, seq, prev, sent, IgnoredAny) = Whole::deserialize(&mut decoder)
        .map_err(|_| ContentError::Encoding(DecodeError::Malformed))?;
    Ok(ContentHead {
        content_type,
        msg_id,
        seq,
        prev,
        sent,
    })
}

/// What can be asked of a body of unknown form: the head is exact, and one array follows and
/// nothing else.
fn check_unknown(bytes: &[u8], head: &ContentHead) -> Result<(), ContentError> {
    let not_canonical = ContentError::Encoding(DecodeError::NotCanonical);
    // encoded with nil for a body, whose one byte is cut off
    let mut exact = codec::encode(&Whole(
        head.content_type,
        head.msg_id,
        head.seq,
        head.prev,
        head.sent,
        (),
    ));
    exact.pop();
    let body = bytes.strip_prefix(exact.as_slice()).ok_or(not_canonical)?;
    if !matches!(body.first(), Some(0x90..=0x9f | 0xdc | 0xdd)) {
        return Err(ContentError::Encoding(DecodeError::Malformed));
    }
    let mut decoder = rmp_serde::Deserializer::new(std::io::Cursor::new(body));
    decoder.set_max_depth(MAX_SMP1_DEPTH);
    IgnoredAny::deserialize(&mut decoder)
        .map_err(|_| ContentError::Encoding(DecodeError::Malformed))?;
    if usize::try_from(decoder.position()) != Ok(body.len()) {
        return Err(not_canonical);
    }
    Ok(())
}
