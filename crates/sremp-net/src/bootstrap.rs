//! Rendezvous servers of a domain: SRV and TXT records (chapter 7, D5.8; RFC 2782).
//!
//! DNS is not authenticated. So a server has to show a certificate for the *domain that was asked for*,
//! not for the host that an answer names, and a key in an answer only narrows that further
//! ([`tls::connect_to`](crate::tls::connect_to)).

use std::{fmt, net::SocketAddr};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RData, RecordType, rdata::SRV},
};
use rand::{Rng, RngExt as _};
use sremp_core::{
    constants::{DNS_TIMEOUT, MAX_DNS_SERVERS},
    contact_card::Endpoint,
    rendezvous::{SpkiHash, address::may_be_public},
    wire::bytes::from_hex,
};
use tokio::time::{Duration, timeout};

/// What a domain's records stand at.
const SERVICE: &str = "_sremp-rdv._tcp";
/// What a TXT record with a key begins with.
const KEY: &[u8] = b"spki=";
/// Time for one name server to answer.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameServer {
    /// Those of the system: `/etc/resolv.conf`.
    System,
    /// This one, over UDP and TCP.
    At(SocketAddr),
}

/// A rendezvous server that a domain names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainServer {
    /// Where it is dialled: the target of the record.
    pub endpoint: Endpoint,
    /// What its certificate has to be for: the domain that was asked for.
    pub tls_name: String,
    /// What its key has to be besides.
    pub spki: Option<SpkiHash>,
}

/// Why a domain names no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// This is no domain.
    BadDomain,
    /// It has no such record, or says that it offers none.
    NoServer,
    /// Its records are malformed: the key in TXT, or no target is a host at a port where a server may
    /// be.
    BadRecord,
    /// No name server answered, or none is known.
    NoAnswer,
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadDomain => "this is no domain: write it as in example.org",
            Self::NoServer => {
                "the domain names no rendezvous server: ask its operator for a link to one"
            }
            Self::BadRecord => {
                "the domain's records are malformed: its operator has to correct the SRV or TXT \
                 record at _sremp-rdv._tcp"
            }
            Self::NoAnswer => "no name server answers: check the network and /etc/resolv.conf",
        })
    }
}

impl std::error::Error for LookupError {}

/// The servers of a domain, at most 8, in the order in which they are to be tried (RFC 2782): by
/// priority, and at random by weight.
///
/// # Errors
/// [`LookupError`], within 5 s.
pub async fn lookup<R: Rng>(
    domain: &str,
    name_server: NameServer,
    rng: &mut R,
) -> Result<Vec<DomainServer>, LookupError> {
    let tls_name = parse(domain)?;
    let name = Name::from_ascii(format!("{SERVICE}.{tls_name}."));
    let name = name.map_err(|_| LookupError::BadDomain)?;
    let resolver = resolver(name_server).map_err(|_| LookupError::NoAnswer)?;
    let answers = timeout(DNS_TIMEOUT, async {
        tokio::try_join!(
            records(&resolver, &name, RecordType::SRV),
            records(&resolver, &name, RecordType::TXT),
        )
    });
    let (services, texts) = answers.await.unwrap_or(Err(LookupError::NoAnswer))?;
    let services = services.into_iter().filter_map(|data| match data {
        RData::SRV(service) => Some(service),
        _ => None,
    });
    let spki = key(&texts)?;
    let endpoints = targets(services.collect(), rng)?;
    let servers = endpoints.into_iter().map(|endpoint| DomainServer {
        endpoint,
        tls_name: tls_name.clone(),
        spki,
    });
    Ok(servers.collect())
}

/// A host name in its one spelling, which is no address.
fn parse(domain: &str) -> Result<String, LookupError> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let lower = domain.to_ascii_lowercase();
    match Endpoint::new(&lower, 443) {
        Ok(endpoint) if endpoint.ip().is_none() => Ok(lower),
        _ => Err(LookupError::BadDomain),
    }
}

fn resolver(name_server: NameServer) -> Result<TokioResolver, NetError> {
    let mut builder = match name_server {
        NameServer::System => TokioResolver::builder_tokio()?,
        NameServer::At(address) => {
            let at = |mut connection: ConnectionConfig| {
                connection.port = address.port();
                connection
            };
            let mut server = NameServerConfig::udp_and_tcp(address.ip());
            server.connections = server.connections.into_iter().map(at).collect();
            let config = ResolverConfig::from_name_servers(vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let options = builder.options_mut();
    options.timeout = ATTEMPT;
    options.cache_size = 0;
    builder.build()
}

/// The records of this type; none if there is no such name.
async fn records(
    resolver: &TokioResolver,
    name: &Name,
    kind: RecordType,
) -> Result<Vec<RData>, LookupError> {
    match resolver.lookup(name.clone(), kind).await {
        Ok(found) => {
            let answers = found.answers().iter();
            let answers = answers.filter(|record| record.record_type() == kind);
            Ok(answers.map(|record| record.data.clone()).collect())
        }
        Err(error) if error.is_no_records_found() => Ok(Vec::new()),
        Err(_) => Err(LookupError::NoAnswer),
    }
}

/// The one key that the texts name. A second one, or one that is malformed, is refused: left out, it
/// would leave the door wider open than its operator meant.
fn key(texts: &[RData]) -> Result<Option<SpkiHash>, LookupError> {
    let mut keys = texts.iter().filter_map(|data| match data {
        // a text longer than 255 bytes comes in pieces
        RData::TXT(text) => text.txt_data.concat().strip_prefix(KEY).map(<[u8]>::to_vec),
        _ => None,
    });
    let Some(hex) = keys.next() else {
        return Ok(None);
    };
    let hex = std::str::from_utf8(&hex).ok().and_then(from_hex);
    let hash = hex.and_then(|bytes| SpkiHash::from_slice(&bytes));
    match (hash, keys.next()) {
        (Some(hash), None) => Ok(Some(hash)),
        _ => Err(LookupError::BadRecord),
    }
}

/// Where to dial, in order. Targets that are no host, or at a port that nobody dials for a stranger, are
/// left out.
fn targets<R: Rng>(services: Vec<SRV>, rng: &mut R) -> Result<Vec<Endpoint>, LookupError> {
    // "." says that there is no such service
    let offered = services.into_iter().filter(|s| !s.target.is_root());
    let offered: Vec<SRV> = offered.collect();
    if offered.is_empty() {
        return Err(LookupError::NoServer);
    }
    let endpoints = ordered(offered, rng).into_iter().filter_map(|service| {
        let target = service.target.to_ascii().to_ascii_lowercase();
        let host = target.strip_suffix('.').unwrap_or(&target);
        let endpoint = Endpoint::new(host, service.port).ok()?;
        may_be_public(&endpoint).then_some(endpoint)
    });
    let mut taken: Vec<Endpoint> = Vec::new();
    for endpoint in endpoints {
        if taken.len() < MAX_DNS_SERVERS && !taken.contains(&endpoint) {
            taken.push(endpoint);
        }
    }
    match taken.is_empty() {
        true => Err(LookupError::BadRecord),
        false => Ok(taken),
    }
}

/// RFC 2782, "Usage rules": a priority after the other; within one, each next is drawn with a chance
/// by its weight, those of weight 0 standing first.
fn ordered<R: Rng>(mut services: Vec<SRV>, rng: &mut R) -> Vec<SRV> {
    services.sort_by_key(|service| (service.priority, service.weight));
    let mut in_order = Vec::with_capacity(services.len());
    while let Some(first) = services.first() {
        let priority = first.priority;
        let alike = services.iter().take_while(|s| s.priority == priority);
        let weights: Vec<u32> = alike.map(|service| service.weight.into()).collect();
        let drawn = rng.random_range(0..=weights.iter().sum());
        let mut running = 0;
        let reached = weights.iter().position(|weight| {
            running += weight;
            running >= drawn
        });
        in_order.push(services.remove(reached.unwrap_or_default()));
    }
    in_order
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    fn service(priority: u16, weight: u16, port: u16, target: &str) -> SRV {
        SRV::new(priority, weight, port, Name::from_ascii(target).unwrap())
    }

    #[test]
    fn lower_priorities_come_first_and_weights_draw() {
        let services = vec![
            service(20, 0, 443, "last.example."),
            service(10, 0, 443, "seldom.example."),
            service(10, 30, 443, "more.example."),
            service(10, 10, 443, "less.example."),
        ];
        let seed = rand::random();
        let mut rng = StdRng::seed_from_u64(seed);
        let rounds = 4_000;
        let mut first = [0_u32; 3];
        for _ in 0..rounds {
            let order = targets(services.clone(), &mut rng).unwrap();
            assert_eq!(order.len(), 4, "seed {seed}");
            assert_eq!(order[3].host(), "last.example", "seed {seed}");
            let names = ["seldom.example", "more.example", "less.example"];
            first[names.iter().position(|n| *n == order[0].host()).unwrap()] += 1;
        }
        // 1, 30 and 10 of 41; six deviations are left
        for (drawn, of_41) in first.into_iter().zip([1.0, 30.0, 10.0]) {
            let chance = of_41 / 41.0;
            let expected = f64::from(rounds) * chance;
            let deviation = (expected * (1.0 - chance)).sqrt();
            let off = (f64::from(drawn) - expected).abs();
            assert!(off < 6.0 * deviation, "{first:?}, seed {seed}");
        }
    }

    #[test]
    fn the_same_randomness_gives_the_same_order() {
        let services: Vec<SRV> = (0..20)
            .map(|n| service(n / 7, n % 5, 4_000 + n, "a.example."))
            .collect();
        let order = |seed| targets(services.clone(), &mut StdRng::seed_from_u64(seed)).unwrap();
        assert_eq!(order(1), order(1));
        assert!((2..20).any(|seed| order(seed) != order(1)));
        assert_eq!(order(1).len(), MAX_DNS_SERVERS);
    }

    #[test]
    fn what_is_no_place_for_a_server_is_left_out() {
        let rng = &mut StdRng::seed_from_u64(0);
        let good = service(9, 0, 443, "A.Example.");
        let mixed = vec![
            service(0, 0, 25, "mail.example."),
            service(0, 0, 0, "a.example."),
            service(0, 0, 443, "_a.example."),
            service(0, 0, 443, "10.0.0.1."),
            service(0, 0, 443, "."),
            good.clone(),
            good,
        ];
        let taken = targets(mixed.clone(), rng).unwrap();
        assert_eq!(taken, [Endpoint::new("a.example", 443).unwrap()]);
        assert_eq!(
            targets(mixed[..5].to_vec(), rng),
            Err(LookupError::BadRecord)
        );
        let says_none = vec![service(0, 0, 0, ".")];
        assert_eq!(targets(says_none, rng), Err(LookupError::NoServer));
        assert_eq!(targets(Vec::new(), rng), Err(LookupError::NoServer));
    }

    #[test]
    fn a_domain_is_a_name() {
        assert_eq!(parse("Example.ORG.").as_deref(), Ok("example.org"));
        let long = format!("{}example", "a.".repeat(130));
        for bad in [
            "",
            ".",
            "192.0.2.1",
            "::1",
            "a b",
            "a..b",
            "_a.b",
            "a.1",
            &long,
        ] {
            assert_eq!(parse(bad), Err(LookupError::BadDomain), "{bad}");
        }
    }
}
