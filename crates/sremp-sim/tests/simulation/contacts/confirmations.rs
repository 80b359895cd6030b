//! Confirmations of what was never sent.

use sremp_client::view::Status;
use sremp_core::{channel::P2pMessage, id::EnvelopeId};
use sremp_sim::{Alone, Scripted, commands::send};

use super::{Forked, envelopes};
use crate::seeds;

#[test]
fn a_contact_confirms_only_what_was_sent_to_itself() {
    for seed in seeds(1) {
        let mut f = Forked::before(seed);
        let (mut eve, eve_link) = Scripted::connected_to(&mut f.ann, "eve");
        let session = eve.start_session(&mut f.ann, eve_link);
        assert!(eve.write(&mut f.ann, eve_link, &session, "hello"));
        let (_, done) = f.ann.command_and_more(send("ben", "for ben"));
        let sent = envelopes(&done);
        let (link, req_id, id) = *sent.last().expect("an envelope to ben");
        assert_eq!(link, f.link);
        let status = |ann: &mut Alone| {
            let lines = ann.history("ben");
            let line = lines.iter().rfind(|line| line.status.is_some());
            line.and_then(|line| line.status)
        };
        let lies = [
            (eve_link, id),
            (f.link, EnvelopeId::of(b"never sent")),
            (eve_link, EnvelopeId::of(b"never sent")),
        ];
        for (link, id) in lies {
            for req_id in [req_id, 0, u32::MAX] {
                let lie = P2pMessage::EnvelopeOk(id).to_message(req_id);
                f.ann.hear(link, lie);
                assert_eq!(status(&mut f.ann), Some(Status::Queued));
            }
        }
        let truth = P2pMessage::EnvelopeOk(id).to_message(req_id);
        f.ann.hear(f.link, truth);
        assert_eq!(status(&mut f.ann), Some(Status::OnDevice));
    }
}
