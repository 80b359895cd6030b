//! An authority that speaks ACME (RFC 8555) over HTTPS on loopback: it checks what is signed, looks
//! whether a name is the server's (RFC 8737), and signs what it is asked to.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header::LOCATION},
    response::Response,
    serve::Listener,
};
use base64ct::{Base64UrlUnpadded as Base64, Encoding as _};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequestParams, IsCa,
    Issuer, KeyPair, SanType,
};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use rustls::{ServerConfig, crypto::ring::default_provider, version::TLS13};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::challenge::look;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A problem document (RFC 7807): its type, and words.
type Refusal = (&'static str, String);

/// An authority that runs until it is dropped.
pub(crate) struct Authority {
    at: SocketAddr,
    inner: Arc<Inner>,
    serving: AbortHandle,
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Inner {
    url: String,
    params: CertificateParams,
    key: KeyPair,
    root: Certificate,
    requests: AtomicUsize,
    books: Mutex<Books>,
}

/// What it knows, and what it is told to do.
struct Books {
    nonces: BTreeSet<String>,
    nonces_made: u64,
    accounts: Vec<Account>,
    orders: Vec<Order>,
    /// Where it looks, instead of port 443.
    server: u16,
    refuses: bool,
    /// Of a certificate: days before now and days after it.
    life: (u32, i32),
}

#[derive(Clone)]
struct Account {
    /// A point, uncompressed.
    key: Vec<u8>,
    thumbprint: String,
    contact: Value,
}

struct Order {
    domains: Vec<String>,
    /// What came of each proof.
    proofs: Vec<Option<Result<(), String>>>,
    chain: Option<String>,
}

impl Authority {
    /// Looks for servers at this port, and gives certificates that are good for 90 days.
    pub(crate) async fn start(server: u16) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = tcp.local_addr().unwrap();
        let inner = Arc::new(Inner {
            url: format!("https://localhost:{}", at.port()),
            params,
            key,
            root,
            requests: AtomicUsize::new(0),
            books: Mutex::new(Books {
                nonces: BTreeSet::new(),
                nonces_made: 0,
                accounts: Vec::new(),
                orders: Vec::new(),
                server,
                refuses: false,
                life: (1, 89),
            }),
        });
        let acceptor = inner.own_tls();
        let router = Router::new().fallback(handle).with_state(inner.clone());
        let serving = tokio::spawn(async move {
            let listener = OverTls { tcp, acceptor };
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            at,
            inner,
            serving: serving.abort_handle(),
        }
    }

    /// `[acme]` for these names; writes the file of authorities.
    pub(crate) fn settings(&self, dir: &Path, domains: &[&str]) -> String {
        let file = dir.join("authorities.pem");
        std::fs::write(&file, self.inner.root.pem()).unwrap();
        let port = self.at.port();
        format!(
            "[acme]\ndomains = {domains:?}\ncontact = \"operator@rdv.example\"\n\
             directory = \"https://localhost:{port}/directory\"\nauthorities = {file:?}\n"
        )
    }

    /// What clients have to trust, DER.
    pub(crate) fn root(&self) -> Vec<u8> {
        self.inner.root.der().to_vec()
    }

    /// From now on it takes no order, or does again.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.inner.books().refuses = refuses;
    }

    /// From now on it looks for servers here.
    pub(crate) fn look_at(&self, port: u16) {
        self.inner.books().server = port;
    }

    /// What it signs is good from so many days ago for so many from now.
    pub(crate) fn give(&self, before: u32, after: i32) {
        self.inner.books().life = (before, after);
    }

    /// It knows nobody any more.
    pub(crate) fn forget(&self) {
        self.inner.books().accounts.clear();
    }

    /// Every request so far.
    pub(crate) fn requests(&self) -> usize {
        self.inner.requests.load(Ordering::Relaxed)
    }

    /// How many certificates it has signed.
    pub(crate) fn signed(&self) -> usize {
        let books = self.inner.books();
        books.orders.iter().filter(|o| o.chain.is_some()).count()
    }

    /// The contacts of those that it knows.
    pub(crate) fn contacts(&self) -> Vec<Value> {
        let books = self.inner.books();
        books.accounts.iter().map(|a| a.contact.clone()).collect()
    }
}

impl Inner {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    fn own_tls(&self) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        let made = params.signed_by(&key, &issuer).unwrap();
        let key = key.serialize_der().try_into().unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    fn nonce(&self) -> String {
        let mut books = self.books();
        books.nonces_made += 1;
        let nonce = format!("nonce-{}", books.nonces_made);
        books.nonces.insert(nonce.clone());
        nonce
    }
}

struct OverTls {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for OverTls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, from) = self.tcp.accept().await.unwrap();
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

async fn handle(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    inner.requests.fetch_add(1, Ordering::Relaxed);
    let path = request.uri().path().to_owned();
    let posted = request.method() == "POST";
    let body = to_bytes(request.into_body(), 65_536).await.unwrap();
    let url = &inner.url;
    let answered = match (posted, path.as_str()) {
        (false, "/directory") => Ok(Reply::json(json!({
            "newNonce": format!("{url}/nonce"),
            "newAccount": format!("{url}/account"),
            "newOrder": format!("{url}/order"),
        }))),
        (false, "/nonce") => Ok(Reply::json(Value::Null)),
        _ => inner.post(&path, &body).await,
    };
    let response = Response::builder().header("Replay-Nonce", inner.nonce());
    match answered {
        Ok(Reply { at, body }) => {
            let location = at.unwrap_or_default();
            let response = response.header(LOCATION, location);
            response.body(Body::from(body)).unwrap()
        }
        Err((kind, detail)) => {
            let kind = format!("urn:ietf:params:acme:error:{kind}");
            let problem = json!({ "type": kind, "detail": detail });
            let response = response.status(StatusCode::BAD_REQUEST);
            response.body(Body::from(problem.to_string())).unwrap()
        }
    }
}

struct Reply {
    at: Option<String>,
    body: String,
}

impl Reply {
    fn json(value: Value) -> Self {
        let body = value.to_string();
        Self { at: None, body }
    }
}

/// What an account has signed.
struct Signed {
    account: Account,
    payload: Value,
}

impl Inner {
    async fn post(&self, path: &str, body: &[u8]) -> Result<Reply, Refusal> {
        let Signed { account, payload } = self.opened(path, body)?;
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let number = |at: usize| parts.get(at).map_or(0, |n| n.parse().unwrap());
        let (order, name) = (number(1), number(2));
        match *parts.first().unwrap() {
            "account" => Ok(self.registered(account, &payload)),
            "order" if parts.len() == 1 => self.ordered(&payload),
            "order" => Ok(self.order(order)),
            "authorization" => Ok(self.authorization(order, name)),
            "challenge" => Ok(self.challenged(order, name, &account).await),
            "finalize" => self.finalized(order, &payload),
            "certificate" => Ok(Reply {
                at: None,
                body: self.books().orders[order].chain.clone().unwrap(),
            }),
            _ => Err(("malformed", format!("there is no {path}"))),
        }
    }

    /// Checks a JWS (RFC 8555, section 6.2).
    fn opened(&self, path: &str, body: &[u8]) -> Result<Signed, Refusal> {
        let wrong = |what: &str| ("malformed", what.to_owned());
        let jws: Value = serde_json::from_slice(body).map_err(|_| wrong("no JSON"))?;
        let text = |name: &str| jws[name].as_str().unwrap_or_default();
        let decoded = |name: &str| Base64::decode_vec(text(name)).map_err(|_| wrong(name));
        let head: Value =
            serde_json::from_slice(&decoded("protected")?).map_err(|_| wrong("protected"))?;
        if head["alg"] != "ES256" || head["url"] != format!("{}{path}", self.url) {
            return Err(wrong("alg or url"));
        }
        let nonce = head["nonce"].as_str().unwrap_or_default();
        if !self.books().nonces.remove(nonce) {
            return Err(("badNonce", "not one of ours".to_owned()));
        }
        let account = match (&head["jwk"], head["kid"].as_str()) {
            (Value::Object(_), None) if path == "/account" => account_of(&head["jwk"]),
            (Value::Null, Some(kid)) => self.account(kid)?,
            _ => return Err(wrong("jwk or kid")),
        };
        let signed = format!("{}.{}", text("protected"), text("payload"));
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &account.key)
            .verify(signed.as_bytes(), &decoded("signature")?)
            .map_err(|_| wrong("signature"))?;
        let payload = serde_json::from_slice(&decoded("payload")?).unwrap_or(Value::Null);
        Ok(Signed { account, payload })
    }

    fn account(&self, kid: &str) -> Result<Account, Refusal> {
        let number = kid.strip_prefix(&format!("{}/account/", self.url));
        let number = number.and_then(|n| n.parse::<usize>().ok());
        let known = number.and_then(|n| self.books().accounts.get(n).cloned());
        known.ok_or_else(|| ("accountDoesNotExist", "unknown".to_owned()))
    }

    fn registered(&self, mut account: Account, payload: &Value) -> Reply {
        assert_eq!(payload["termsOfServiceAgreed"], true);
        account.contact = payload["contact"].clone();
        let mut books = self.books();
        books.accounts.push(account);
        Reply {
            at: Some(format!("{}/account/{}", self.url, books.accounts.len() - 1)),
            body: json!({ "status": "valid" }).to_string(),
        }
    }

    fn ordered(&self, payload: &Value) -> Result<Reply, Refusal> {
        let number = {
            let mut books = self.books();
            if books.refuses {
                return Err(("rejectedIdentifier", "not for this name".to_owned()));
            }
            let names = payload["identifiers"].as_array().unwrap().iter();
            let domains = names.map(|name| {
                assert_eq!(name["type"], "dns");
                name["value"].as_str().unwrap().to_owned()
            });
            let domains: Vec<String> = domains.collect();
            books.orders.push(Order {
                proofs: vec![None; domains.len()],
                domains,
                chain: None,
            });
            books.orders.len() - 1
        };
        let reply = self.order(number);
        let at = Some(format!("{}/order/{number}", self.url));
        Ok(Reply { at, ..reply })
    }

    fn order(&self, number: usize) -> Reply {
        let books = self.books();
        let order = &books.orders[number];
        let url = &self.url;
        let all = |what: fn(&Result<(), String>) -> bool| {
            order.proofs.iter().all(|p| p.as_ref().is_some_and(what))
        };
        let failed = order.proofs.iter().any(|p| matches!(p, Some(Err(_))));
        let status = match (&order.chain, failed, all(Result::is_ok)) {
            (Some(_), ..) => "valid",
            (None, true, _) => "invalid",
            (None, false, true) => "ready",
            (None, false, false) => "pending",
        };
        let authorizations = 0..order.domains.len();
        let authorizations: Vec<String> = authorizations
            .map(|name| format!("{url}/authorization/{number}/{name}"))
            .collect();
        Reply::json(json!({
            "status": status,
            "identifiers": order.domains.iter().map(|d| json!({ "type": "dns", "value": d })).collect::<Vec<_>>(),
            "authorizations": authorizations,
            "finalize": format!("{url}/finalize/{number}"),
            "certificate": order.chain.as_ref().map(|_| format!("{url}/certificate/{number}")),
        }))
    }

    fn authorization(&self, number: usize, name: usize) -> Reply {
        let books = self.books();
        let order = &books.orders[number];
        let proof = &order.proofs[name];
        Reply::json(json!({
            "status": status(proof),
            "identifier": { "type": "dns", "value": order.domains[name] },
            "challenges": [
                { "type": "http-01", "url": "https://localhost/", "token": "t", "status": "pending" },
                self.challenge(number, name, proof),
            ],
        }))
    }

    fn challenge(&self, number: usize, name: usize, proof: &Option<Result<(), String>>) -> Value {
        let error = proof.as_ref().and_then(|proof| proof.as_ref().err());
        json!({
            "type": "tls-alpn-01",
            "url": format!("{}/challenge/{number}/{name}", self.url),
            "token": token(number, name),
            "status": status(proof),
            "error": error.map(|why| json!({ "type": "urn:ietf:params:acme:error:connection", "detail": why })),
        })
    }

    async fn challenged(&self, number: usize, name: usize, account: &Account) -> Reply {
        let (server, domain) = {
            let books = self.books();
            (books.server, books.orders[number].domains[name].clone())
        };
        let authorization = format!("{}.{}", token(number, name), account.thumbprint);
        let found = look(server, &domain, &authorization).await;
        self.books().orders[number].proofs[name] = Some(found);
        // an authority looks later; who asks has to ask again
        Reply::json(self.challenge(number, name, &None))
    }

    fn finalized(&self, number: usize, payload: &Value) -> Result<Reply, Refusal> {
        let bad = |what: &str| ("badCSR", what.to_owned());
        let csr = Base64::decode_vec(payload["csr"].as_str().unwrap_or_default());
        let csr = csr.map_err(|_| bad("base64"))?.into();
        let mut csr = CertificateSigningRequestParams::from_der(&csr).map_err(|_| bad("CSR"))?;
        {
            let mut books = self.books();
            let (before, after) = books.life;
            let order = &mut books.orders[number];
            if !order.proofs.iter().all(|p| matches!(p, Some(Ok(())))) {
                return Err(("orderNotReady", "prove the names first".to_owned()));
            }
            let names = csr.params.subject_alt_names.iter().map(|name| match name {
                SanType::DnsName(name) => name.to_string(),
                other => panic!("{other:?}"),
            });
            if !names.eq(order.domains.iter().cloned()) {
                return Err(bad("names"));
            }
            let now = SystemTime::now();
            csr.params.not_before = (now - DAY * before).into();
            csr.params.not_after = match u32::try_from(after) {
                Ok(after) => now + DAY * after,
                Err(_) => now - DAY * after.unsigned_abs(),
            }
            .into();
            let issuer = Issuer::from_params(&self.params, &self.key);
            let made = csr.signed_by(&issuer).map_err(|_| bad("key"))?;
            order.chain = Some(made.pem() + &self.root.pem());
        }
        Ok(self.order(number))
    }
}

fn status(proof: &Option<Result<(), String>>) -> &'static str {
    match proof {
        None => "pending",
        Some(Ok(())) => "valid",
        Some(Err(_)) => "invalid",
    }
}

fn token(number: usize, name: usize) -> String {
    format!("token-{number}-{name}")
}

/// An account with the key of a JWK (RFC 7517), and its thumbprint (RFC 7638).
fn account_of(jwk: &Value) -> Account {
    let coordinate = |name: &str| jwk[name].as_str().unwrap().to_owned();
    let (x, y) = (coordinate("x"), coordinate("y"));
    let point = |text: &str| Base64::decode_vec(text).unwrap();
    let canonical = format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"{x}\",\"y\":\"{y}\"}}");
    let digest = ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes());
    Account {
        key: [vec![4], point(&x), point(&y)].concat(),
        thumbprint: Base64::encode_string(digest.as_ref()),
        contact: Value::Null,
    }
}
