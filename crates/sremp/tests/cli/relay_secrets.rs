//! What a relay has of its guests: its disk and its memory are searched.

use std::{
    fs,
    io::Read as _,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use memchr::memmem;
use sremp_client::home::{self, Passphrase};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket, TcpStream},
};

use crate::{
    invited::{Relay, stop},
    support::{Home, acquaint_as, text},
};

/// Something to look for.
struct Needle {
    what: String,
    bytes: Vec<u8>,
}

fn needle(what: &str, bytes: impl AsRef<[u8]>) -> Needle {
    Needle {
        what: what.to_owned(),
        bytes: bytes.as_ref().to_vec(),
    }
}

/// What of these is found.
fn found<'a>(needles: &'a [Needle], hay: &[Vec<u8>]) -> Vec<&'a str> {
    let is_there = |needle: &&Needle| {
        let finder = memmem::Finder::new(&needle.bytes);
        hay.iter().any(|piece| finder.find(piece).is_some())
    };
    let found = needles.iter().filter(is_there);
    found.map(|needle| needle.what.as_str()).collect()
}

/// Every file in a directory.
fn disk(dir: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    // a log may be gone by now
    files
        .filter_map(|file| fs::read(file.path()).ok())
        .collect()
}

/// Everything that a process can write to.
fn memory(process: u32) -> Vec<Vec<u8>> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{process}/mem")).unwrap();
    let piece = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        let readable = rest.starts_with("rw") && memory.read_exact_at(&mut bytes, from).is_ok();
        readable.then_some(bytes)
    };
    maps.lines().filter_map(piece).collect()
}

/// A line between the guests and the relay, so that they come from an address of their own: all
/// addresses that the relay has seen.
fn line(from: Ipv4Addr, listener: std::net::TcpListener, to: SocketAddr) -> Seen {
    let seen = Seen::default();
    let noted = seen.clone();
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((guest, _)) = listener.accept().await {
                tokio::spawn(carry(guest, from, to, noted.clone()));
            }
        });
    });
    seen
}

type Seen = Arc<Mutex<Vec<SocketAddrV4>>>;

async fn carry(mut guest: TcpStream, from: Ipv4Addr, to: SocketAddr, seen: Seen) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    if let Ok(mut relay) = socket.connect(to).await {
        if let Ok(SocketAddr::V4(address)) = relay.local_addr() {
            seen.lock().unwrap().push(address);
        }
        let _ = copy_bidirectional(&mut guest, &mut relay).await;
    }
}

/// An address as text, as the system and as this language have it in memory.
fn forms(address: SocketAddrV4) -> [Needle; 5] {
    let (ip, port) = (address.ip().octets(), address.port());
    let form = |name: &str| format!("{address} {name}");
    [
        needle(&form("as text"), address.ip().to_string()),
        needle(&form("without its port"), ip),
        needle(
            &form("as the system's"),
            [&[2, 0][..], &port.to_be_bytes(), &ip].concat(),
        ),
        needle(&form("in memory"), [&ip[..], &port.to_ne_bytes()].concat()),
        needle(
            &form("in memory, reversed"),
            [&port.to_ne_bytes()[..], &ip].concat(),
        ),
    ]
}

/// The ids of all sessions of a home whose client does not run.
fn sessions(who: &str, home: &Home) -> Vec<Needle> {
    let home = home::Home::at(home.path());
    let lock = home.lock().unwrap();
    let mut store = home.open(&lock, &Passphrase::None).unwrap();
    let ids = store.transaction(|tx| {
        let mut ids = Vec::new();
        for contact in tx.contacts()? {
            ids.extend(tx.sessions(contact.row)?.iter().map(|(id, _)| *id));
        }
        Ok::<_, sremp_client::store::StoreError>(ids)
    });
    let ids = ids.unwrap();
    assert!(!ids.is_empty());
    let name = format!("session of {who}");
    ids.iter().map(|id| needle(&name, id.as_bytes())).collect()
}

#[test]
fn a_relay_has_no_text_session_alias_or_address_on_its_disk_nor_in_its_memory() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let advertised = listener.local_addr().unwrap().to_string();
    let relay = Relay::made_with(&["--advertise", &advertised]);
    let status = relay.home.json(&["relay", "status"]);
    let listens: SocketAddrV4 = text(&status, "listen").parse().unwrap();
    let run = relay.run();
    let mark = relay.id.split_at(16).0.to_owned();
    let random = u32::from_str_radix(&mark[..8], 16).unwrap().to_be_bytes();
    let from = Ipv4Addr::new(127, 1 + random[0] / 2, random[1], random[2] | 1);
    let seen = line(from, listener, listens.into());

    let names = ["ann", "ben"].map(|name| format!("{name} {}", &mark[..8]));
    let (ann, ben) = (relay.person(&names[0]), relay.person(&names[1]));
    let aliases = ["her", "him"].map(|alias| format!("{alias} {mark}"));
    acquaint_as(&ann, &ben, [&aliases[0], &aliases[1]]);
    let (up_ann, up_ben) = (ann.up(), ben.up());
    let texts = ["first", "second", "third"].map(|text| format!("{text} of {mark}"));
    ann.ok(&["send", &aliases[1], &texts[0], "--wait", "device"]);
    ben.ok(&["send", &aliases[0], &texts[1], "--wait", "device"]);
    let standing = with_ports(&seen.lock().unwrap());
    let connected = once_others_came(listens, run.id(), &standing);
    stop(up_ben);
    ann.ok(&["send", &aliases[1], &texts[2], "--wait", "relay"]);
    stop(up_ann);
    assert_eq!(relay.home.json(&["relay", "status"])["items"], 1);

    let mut secret: Vec<Needle> = texts.iter().map(|text| needle(text, text)).collect();
    secret.extend(aliases.iter().map(|alias| needle(alias, alias)));
    secret.extend(sessions("ann", &ann));
    secret.extend(sessions("ben", &ben));
    // the last is sent away at once: little work hides what was left of it
    let crowd: Vec<_> = (0..17)
        .map(|_| std::net::TcpStream::connect(&advertised).unwrap())
        .collect();
    let mut last = crowd.last().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    assert_eq!(last.read(&mut [0]).unwrap(), 0);

    let mut addresses = Vec::new();
    for address in seen.lock().unwrap().iter() {
        assert_eq!(*address.ip(), from);
        addresses.extend(forms(*address));
    }
    assert!(!addresses.is_empty() && !standing.is_empty());
    // what is known to be there shows that the search finds
    let public = |who: &str, home: &Home| needle(who, hex(&home.id()));
    let known = [public("ann's key", &ann), public("ben's key", &ben)];
    let [own_text, _, _, own_in_memory, _] = forms(listens);

    let disk = disk(&relay.home.path());
    assert_eq!(found(&known, &disk), ["ann's key", "ben's key"]);
    assert_eq!(found(&[own_text], &disk).len(), 1, "in its settings");
    assert_eq!(found(&secret, &disk), [""; 0]);
    assert_eq!(found(&addresses, &disk), [""; 0]);
    let addresses = with_ports(&seen.lock().unwrap());
    let memory = once_others_came(listens, run.id(), &addresses);
    assert_eq!(found(&known, &memory), ["ann's key", "ben's key"]);
    assert_eq!(
        found(&[own_in_memory], &memory).len(),
        1,
        "it listens there"
    );
    assert_eq!(found(&secret, &memory), [""; 0]);
    assert_eq!(found(&standing, &connected), [""; 0], "while they stand");
    assert_eq!(found(&addresses, &memory), [""; 0], "once others came");
    stop(run);
}

/// What is searched for in memory: four bytes alone may be anywhere by chance.
fn with_ports(addresses: &[SocketAddrV4]) -> Vec<Needle> {
    let forms = addresses.iter().flat_map(|address| forms(*address));
    forms
        .filter(|address| !address.what.ends_with("without its port"))
        .collect()
}

/// The memory of a relay once connections from elsewhere have taken the place of what accepting left
/// on a thread's stack.
fn once_others_came(relay: SocketAddrV4, id: u32, gone: &[Needle]) -> Vec<Vec<u8>> {
    const OTHERS: usize = 50;
    let mut now = memory(id);
    for _ in 0..OTHERS {
        if found(gone, &now).is_empty() {
            break;
        }
        drop(std::net::TcpStream::connect(relay).unwrap());
        now = memory(id);
    }
    now
}

fn hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}
