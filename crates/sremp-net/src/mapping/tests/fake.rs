//! A gateway at 127.0.0.1 that answers as it is told.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU16,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
};

use crate::mapping::{MappingRequest, gateway::Terms};

pub(super) const LOCAL_PORT: u16 = 33_399;
/// Public, and nobody's who would be dialled here.
pub(super) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(9, 9, 9, 9);
pub(super) const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

pub(super) fn request() -> MappingRequest {
    MappingRequest {
        gateway: Some(Ipv4Addr::LOCALHOST),
        ..MappingRequest::new(NonZeroU16::new(LOCAL_PORT).unwrap())
    }
}

/// What it serves lives as long as this.
pub(super) struct Gateway {
    pub(super) terms: Terms,
    tasks: JoinSet<()>,
}

type Datagrams = Vec<Vec<u8>>;

impl Gateway {
    /// Nothing listens at it.
    pub(super) async fn new() -> Self {
        let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = closed.local_addr().unwrap().port();
        let wait = Duration::from_millis(300);
        let terms = Terms {
            control_port: port,
            search_port: port,
            waits: [wait; 3],
            search: Duration::from_secs(1),
            http: Duration::from_secs(1),
        };
        let tasks = JoinSet::new();
        Self { terms, tasks }
    }

    /// PCP and NAT-PMP: what is sent for each datagram.
    pub(super) async fn control(
        mut self,
        answer: impl FnMut(&[u8]) -> Datagrams + Send + 'static,
    ) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        self.terms.control_port = socket.local_addr().unwrap().port();
        self.serve(socket, None, answer);
        self
    }

    /// SSDP: where it says that it describes itself.
    pub(super) async fn search(mut self, locations: Vec<String>) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        self.terms.search_port = socket.local_addr().unwrap().port();
        self.serve(socket, None, move |_| found(&locations));
        self
    }

    /// The same, but somebody else answers to what the gateway is asked.
    pub(super) async fn search_elsewhere(mut self, locations: Vec<String>) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        self.terms.search_port = socket.local_addr().unwrap().port();
        let other = UdpSocket::bind((ELSEWHERE, 0)).await.unwrap();
        self.serve(socket, Some(other), move |_| found(&locations));
        self
    }

    /// The same for PCP and NAT-PMP.
    pub(super) async fn control_elsewhere(
        mut self,
        answer: impl FnMut(&[u8]) -> Datagrams + Send + 'static,
    ) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = socket.local_addr().unwrap().port();
        self.terms.control_port = port;
        let other = UdpSocket::bind((ELSEWHERE, port)).await.unwrap();
        self.serve(socket, Some(other), answer);
        self
    }

    fn serve(
        &mut self,
        socket: UdpSocket,
        answers_by: Option<UdpSocket>,
        mut answer: impl FnMut(&[u8]) -> Datagrams + Send + 'static,
    ) {
        self.tasks.spawn(async move {
            let mut buffer = [0; 2_048];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                for datagram in answer(&buffer[..length]) {
                    let by = answers_by.as_ref().unwrap_or(&socket);
                    let _ = by.send_to(&datagram, from).await;
                }
            }
        });
    }

    /// HTTP at this address, and the port there.
    pub(super) async fn http(
        &mut self,
        at: Ipv4Addr,
        answer: impl FnMut(Asked) -> Reply + Send + 'static,
    ) -> u16 {
        let listener = TcpListener::bind((at, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new(answer));
        self.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(converse(stream, answer.clone()));
            }
        });
        port
    }
}

fn found(locations: &[String]) -> Datagrams {
    let found = locations.iter().map(|location| {
        format!("HTTP/1.1 200 OK\r\nST: x\r\nLOCATION: {location}\r\n\r\n").into_bytes()
    });
    found.collect()
}

/// A request over HTTP.
pub(super) struct Asked {
    pub(super) path: String,
    /// The SOAP action, or nothing.
    pub(super) action: String,
    pub(super) body: String,
}

impl Asked {
    /// An argument of the action.
    pub(super) fn argument(&self, name: &str) -> &str {
        let (_, rest) = self.body.split_once(&format!("<{name}>")).unwrap();
        rest.split_once(&format!("</{name}>")).unwrap().0
    }
}

pub(super) enum Reply {
    Xml(u16, String),
    Redirect(String),
    /// Sends this for ever.
    Endless(&'static [u8]),
    /// Says nothing and stays.
    Silence,
}

async fn converse(
    mut stream: TcpStream,
    answer: Arc<Mutex<impl FnMut(Asked) -> Reply + Send + 'static>>,
) {
    let Some(asked) = read(&mut stream).await else {
        return;
    };
    let reply = (answer.lock().unwrap())(asked);
    let (head, body) = match reply {
        Reply::Xml(status, body) => (
            format!("HTTP/1.1 {status} x\r\nContent-Length: {}", body.len()),
            body,
        ),
        Reply::Redirect(to) => (
            format!("HTTP/1.1 302 x\r\nLocation: {to}\r\nContent-Length: 0"),
            String::new(),
        ),
        Reply::Endless(bytes) => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
            while stream.write_all(bytes).await.is_ok() {}
            return;
        }
        Reply::Silence => std::future::pending().await,
    };
    let _ = stream
        .write_all(format!("{head}\r\n\r\n{body}").as_bytes())
        .await;
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8(bytes.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            let found = lines.find(|(n, _)| n.eq_ignore_ascii_case(name));
            found.map_or("", |(_, value)| value)
        };
        if body.len() < header("content-length").parse().unwrap_or(0) {
            continue;
        }
        let action = header("soapaction").trim_matches('"');
        return Some(Asked {
            path: head.split(' ').nth(1).unwrap().to_owned(),
            action: action.rsplit('#').next().unwrap().to_owned(),
            body: body.to_owned(),
        });
    }
}

/// Somebody who should not be dialled.
pub(super) async fn bystander() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((ELSEWHERE, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

pub(super) async fn assert_nobody_came(bystander: (TcpListener, SocketAddr)) {
    let own = TcpStream::connect(bystander.1).await.unwrap();
    let (_, first) = bystander.0.accept().await.unwrap();
    assert_eq!(first, own.local_addr().unwrap(), "nobody came before");
}
