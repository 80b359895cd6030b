//! PCP and NAT-PMP against gateways that answer over datagrams.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    fake::{Gateway, LOCAL_PORT, OUTSIDE, request},
    obtain,
};
use crate::mapping::{MappingFailure, MappingProtocol, gateway::Home, keep::Router as _};

const OUTER_PORT: u16 = 40_000;

/// Everything that a gateway was asked.
type Heard = Arc<Mutex<Vec<Vec<u8>>>>;

/// The answer of a PCP gateway to this request, outside at this address.
fn mapped(request: &[u8], code: u8, lifetime: u32, outside: [u8; 4]) -> Vec<u8> {
    let mut answer = request.to_vec();
    answer[1] |= 0x80;
    answer[3] = code;
    answer[4..8].copy_from_slice(&lifetime.to_be_bytes());
    answer[8..24].fill(0);
    answer[42..44].copy_from_slice(&OUTER_PORT.to_be_bytes());
    answer[56..60].copy_from_slice(&outside);
    answer
}

fn is_pcp(request: &[u8]) -> bool {
    request.len() == 60 && request[..2] == [2, 1]
}

/// The answer of a NAT-PMP gateway, which says so of any other version.
fn nat_pmp(request: &[u8], lifetime: u32) -> Vec<u8> {
    let head = [0, 0x80 | request[1], 0, 0, 0, 0, 0, 9];
    match request {
        [0, 0] => [&head[..], &OUTSIDE.octets()].concat(),
        [0, 2, _, _, inner @ ..] => {
            let lifetime = lifetime.to_be_bytes();
            let port = OUTER_PORT.to_be_bytes();
            [&head[..], &inner[..2], &port, &lifetime].concat()
        }
        _ => vec![0, 0x81, 0, 1, 0, 0, 0, 9],
    }
}

async fn pcp_gateway(answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> (Gateway, Heard) {
    let heard = Heard::default();
    let ears = heard.clone();
    let gateway = Gateway::new().await.control(move |request| {
        ears.lock().unwrap().push(request.to_vec());
        if is_pcp(request) {
            answers(request)
        } else {
            Vec::new()
        }
    });
    (gateway.await, heard)
}

#[tokio::test]
async fn a_port_is_mapped_renewed_and_given_back_over_pcp() {
    let good = |request: &[u8]| vec![mapped(request, 0, 3_600, OUTSIDE.octets())];
    let (gateway, heard) = pcp_gateway(good).await;
    let (home, obtained) = obtain(&gateway, MappingProtocol::Pcp).await;
    let grant = obtained.unwrap();
    assert_eq!(grant.external, SocketAddr::from((OUTSIDE, OUTER_PORT)));
    assert_eq!(grant.lease, Duration::from_secs(3_600));
    let again = home.renew(&grant).await.unwrap();
    assert_eq!(again, grant);
    home.give_back(&again).await;
    let heard = heard.lock().unwrap();
    let [first, second, last] = heard.as_slice() else {
        panic!("{} questions", heard.len());
    };
    let nonce = 24..36;
    assert_eq!(first[nonce.clone()], second[nonce.clone()]);
    assert_eq!(first[nonce.clone()], last[nonce]);
    for request in heard.iter() {
        assert_eq!(request[36], 6, "TCP");
        assert_eq!(request[40..42], LOCAL_PORT.to_be_bytes());
    }
    assert_eq!(first[42..44], LOCAL_PORT.to_be_bytes(), "the same outside");
    assert_eq!(second[42..44], OUTER_PORT.to_be_bytes(), "as before");
    assert_eq!(last[4..8], [0; 4], "a lifetime of nothing");
    assert_eq!(
        last[42..60],
        [&[0; 12][..], &[0xff, 0xff, 0, 0, 0, 0]].concat()
    );
}

#[tokio::test]
async fn an_old_gateway_is_asked_over_nat_pmp() {
    let heard = Heard::default();
    let ears = heard.clone();
    let answer = move |request: &[u8]| {
        ears.lock().unwrap().push(request.to_vec());
        vec![nat_pmp(request, 100_000)]
    };
    let gateway = Gateway::new().await.control(answer).await;
    let mut home = Home::new(request(), gateway.terms);
    let grant = home.obtain(None).await.unwrap();
    assert_eq!(grant.protocol, MappingProtocol::NatPmp);
    assert_eq!(grant.external, SocketAddr::from((OUTSIDE, OUTER_PORT)));
    assert_eq!(grant.lease, Duration::from_secs(7_200), "and no longer");
    home.give_back(&grant).await;
    let last = heard.lock().unwrap().pop().unwrap();
    let port = LOCAL_PORT.to_be_bytes();
    assert_eq!(last, [0, 2, 0, 0, port[0], port[1], 0, 0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_gateway_without_any_of_them_is_given_up() {
    let gateway = Gateway::new().await;
    let mut home = Home::new(request(), gateway.terms);
    let failure = home.obtain(None).await.unwrap_err();
    assert_eq!(failure, MappingFailure::NoAnswer);
}

#[tokio::test]
async fn an_answer_from_another_host_has_not_come() {
    let answer = |request: &[u8]| match is_pcp(request) {
        true => vec![mapped(request, 0, 3_600, OUTSIDE.octets())],
        false => vec![nat_pmp(request, 3_600)],
    };
    let gateway = Gateway::new().await.control_elsewhere(answer).await;
    for protocol in [MappingProtocol::Pcp, MappingProtocol::NatPmp] {
        let (_, obtained) = obtain(&gateway, protocol).await;
        assert_eq!(obtained, Err(MappingFailure::NoAnswer), "{protocol}");
    }
}

#[tokio::test]
async fn answers_with_another_nonce_are_passed_over_until_the_right_one() {
    let flood = |request: &[u8]| {
        let right = mapped(request, 0, 3_600, OUTSIDE.octets());
        let mut wrong = right.clone();
        wrong[30] ^= 1;
        let mut answers = vec![wrong; 50];
        answers.extend([vec![], vec![0xff; 1_500], right]);
        answers
    };
    let (gateway, _) = pcp_gateway(flood).await;
    let (_, obtained) = obtain(&gateway, MappingProtocol::Pcp).await;
    assert_eq!(
        obtained.map(|grant| grant.external),
        Ok(SocketAddr::from((OUTSIDE, OUTER_PORT)))
    );
    let wrong_only = |request: &[u8]| {
        let mut wrong = mapped(request, 0, 3_600, OUTSIDE.octets());
        wrong[30] ^= 1;
        vec![wrong]
    };
    let (gateway, heard) = pcp_gateway(wrong_only).await;
    let (_, obtained) = obtain(&gateway, MappingProtocol::Pcp).await;
    assert_eq!(obtained, Err(MappingFailure::NoAnswer));
    assert_eq!(heard.lock().unwrap().len(), 3, "and not asked for ever");
}

#[tokio::test]
async fn a_mapping_of_somebody_elses_port_is_not_ours() {
    let other = |request: &[u8]| {
        let mut answer = nat_pmp(request, 3_600);
        if let Some(inner) = answer.get_mut(9).filter(|_| request.len() == 12) {
            *inner ^= 1;
        }
        vec![answer]
    };
    let gateway = Gateway::new().await.control(other).await;
    let (_, obtained) = obtain(&gateway, MappingProtocol::NatPmp).await;
    assert_eq!(obtained, Err(MappingFailure::NoAnswer));
}

#[tokio::test]
async fn a_lease_of_next_to_nothing_is_none() {
    for lifetime in [0, 1, 119] {
        let (gateway, _) =
            pcp_gateway(move |request| vec![mapped(request, 0, lifetime, OUTSIDE.octets())]).await;
        let (_, obtained) = obtain(&gateway, MappingProtocol::Pcp).await;
        let bad = MappingFailure::BadAnswer(MappingProtocol::Pcp);
        assert_eq!(obtained, Err(bad), "{lifetime}");
        let answer = move |request: &[u8]| vec![nat_pmp(request, lifetime)];
        let gateway = Gateway::new().await.control(answer).await;
        let (_, obtained) = obtain(&gateway, MappingProtocol::NatPmp).await;
        let bad = MappingFailure::BadAnswer(MappingProtocol::NatPmp);
        assert_eq!(obtained, Err(bad), "{lifetime}");
    }
}

#[tokio::test]
async fn what_a_gateway_says_of_itself_is_told() {
    let (gateway, _) = pcp_gateway(|request| vec![mapped(request, 2, 30, [0; 4])]).await;
    let mut home = Home::new(request(), gateway.terms);
    let told = home.obtain(None).await.unwrap_err();
    let refused = MappingFailure::Refused(MappingProtocol::Pcp, 2);
    assert_eq!(told, refused, "more than that the others do not answer");
}

#[tokio::test]
async fn behind_a_second_router_the_mapping_is_given_back_unless_private_ones_will_do() {
    let inside = [192, 168, 0, 7];
    let (gateway, heard) = pcp_gateway(move |request| {
        vec![mapped(
            request,
            0,
            u32::from_be_bytes(request[4..8].try_into().unwrap()),
            inside,
        )]
    })
    .await;
    let (_, obtained) = obtain(&gateway, MappingProtocol::Pcp).await;
    let there = SocketAddr::from((inside, OUTER_PORT));
    assert_eq!(obtained, Err(MappingFailure::NotPublic(there)));
    let last = heard.lock().unwrap().pop().unwrap();
    assert_eq!(last[4..8], [0; 4], "a lifetime of nothing");
    let mut request = request();
    request.allow_private = true;
    let mut home = Home::new(request, gateway.terms);
    let grant = home.obtain(None).await.unwrap();
    assert_eq!(grant.external, there);
}
