//! UPnP against gateways that describe themselves truly, wrongly, or without end.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    fake::{Asked, ELSEWHERE, Gateway, LOCAL_PORT, OUTSIDE, Reply, assert_nobody_came, bystander},
    obtain,
};
use crate::mapping::{MappingFailure, MappingProtocol, keep::Router as _};

const BAD: MappingFailure = MappingFailure::BadAnswer(MappingProtocol::Upnp);
const WAN_IP: &str = "urn:schemas-upnp-org:service:WANIPConnection:1";

/// What is mapped: by external port the client, its port, and the lease in seconds.
type Table = Arc<Mutex<BTreeMap<u16, (String, u16, u32)>>>;

/// How a gateway deals with leases and with ports that are taken.
#[derive(Clone, Copy, Default)]
struct Habits {
    only_permanent: bool,
    forgets_leases: bool,
    takes_ports_away: bool,
}

fn description(control: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\"><device>\
         <serviceList><service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1\
         </serviceType><controlURL>/none</controlURL></service></serviceList><deviceList><device>\
         <serviceList><service><serviceType> {WAN_IP} </serviceType><controlURL>{control}\
         </controlURL></service></serviceList></device></deviceList></device></root>"
    )
}

fn fault(code: u16) -> Reply {
    let body = format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><s:Fault>\
         <detail><UPnPError xmlns=\"urn:schemas-upnp-org:control-1-0\"><errorCode>{code}\
         </errorCode></UPnPError></detail></s:Fault></s:Body></s:Envelope>"
    );
    Reply::Xml(500, body)
}

fn answer(action: &str, fields: &[(&str, &str)]) -> Reply {
    let fields = fields
        .iter()
        .map(|(name, value)| format!("<{name}>{value}</{name}>"));
    let fields: String = fields.collect();
    let body = format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
         <u:{action}Response xmlns:u=\"{WAN_IP}\">{fields}</u:{action}Response></s:Body>\
         </s:Envelope>"
    );
    Reply::Xml(200, body)
}

fn act(asked: &Asked, table: &Table, habits: Habits, outside: Ipv4Addr) -> Reply {
    let action = asked.action.as_str();
    let mut table = table.lock().unwrap();
    if action == "GetExternalIPAddress" {
        return answer(action, &[("NewExternalIPAddress", &outside.to_string())]);
    }
    let port: u16 = asked.argument("NewExternalPort").parse().unwrap();
    assert_eq!(asked.argument("NewProtocol"), "TCP");
    match action {
        "GetSpecificPortMappingEntry" => match table.get(&port) {
            Some((client, port, lease)) => answer(
                action,
                &[
                    ("NewInternalPort", &port.to_string()),
                    ("NewInternalClient", client),
                    ("NewLeaseDuration", &lease.to_string()),
                ],
            ),
            None => fault(714),
        },
        "AddPortMapping" => {
            let client = asked.argument("NewInternalClient").to_owned();
            let lease: u32 = asked.argument("NewLeaseDuration").parse().unwrap();
            let taken = matches!(table.get(&port), Some((owner, ..)) if *owner != client);
            if habits.only_permanent && lease != 0 {
                return fault(725);
            }
            if taken && !habits.takes_ports_away {
                return fault(718);
            }
            let kept = if habits.forgets_leases { 0 } else { lease };
            let inner = asked.argument("NewInternalPort").parse().unwrap();
            table.insert(port, (client, inner, kept));
            answer(action, &[])
        }
        "DeletePortMapping" => match table.remove(&port) {
            Some(_) => answer(action, &[]),
            None => fault(714),
        },
        _ => fault(401),
    }
}

async fn good_gateway(habits: Habits, outside: Ipv4Addr) -> (Gateway, Table) {
    let mut gateway = Gateway::new().await;
    let table = Table::default();
    let mapped = table.clone();
    let port = gateway.http(Ipv4Addr::LOCALHOST, move |asked| match &*asked.path {
        "/d/root.xml" => Reply::Xml(200, description("ctl/IPConn")),
        "/d/ctl/IPConn" => act(&asked, &mapped, habits, outside),
        _ => Reply::Xml(404, String::new()),
    });
    let location = format!("http://127.0.0.1:{}/d/root.xml", port.await);
    (gateway.search(vec![location]).await, table)
}

#[tokio::test]
async fn a_port_is_mapped_renewed_and_given_back_over_upnp() {
    let (gateway, table) = good_gateway(Habits::default(), OUTSIDE).await;
    let (home, obtained) = obtain(&gateway, MappingProtocol::Upnp).await;
    let grant = obtained.unwrap();
    assert_eq!(grant.external, SocketAddr::from((OUTSIDE, LOCAL_PORT)));
    assert_eq!(grant.lease, Duration::from_secs(3_600));
    let ours = ("127.0.0.1".to_owned(), LOCAL_PORT, 3_600);
    let only = BTreeMap::from([(LOCAL_PORT, ours)]);
    assert_eq!(*table.lock().unwrap(), only);
    assert_eq!(home.renew(&grant).await.as_ref(), Ok(&grant));
    assert_eq!(*table.lock().unwrap(), only);
    home.give_back(&grant).await;
    assert!(table.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_port_of_somebody_else_stays_theirs_whatever_the_gateway_would_do() {
    for takes_ports_away in [false, true] {
        let habits = Habits {
            takes_ports_away,
            ..Habits::default()
        };
        let (gateway, table) = good_gateway(habits, OUTSIDE).await;
        let theirs = ("192.168.1.9".to_owned(), LOCAL_PORT, 0);
        table.lock().unwrap().insert(LOCAL_PORT, theirs.clone());
        let (home, obtained) = obtain(&gateway, MappingProtocol::Upnp).await;
        let grant = obtained.unwrap();
        assert_ne!(grant.external.port(), LOCAL_PORT);
        assert_eq!(table.lock().unwrap().len(), 2);
        home.give_back(&grant).await;
        let left = BTreeMap::from([(LOCAL_PORT, theirs.clone())]);
        assert_eq!(*table.lock().unwrap(), left);
        // and what somebody else has got meanwhile is not given back for them
        table.lock().unwrap().insert(grant.external.port(), theirs);
        home.give_back(&grant).await;
        assert_eq!(table.lock().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_mapping_for_ever_is_not_taken() {
    for habits in [
        Habits {
            only_permanent: true,
            ..Habits::default()
        },
        Habits {
            forgets_leases: true,
            ..Habits::default()
        },
    ] {
        let (gateway, table) = good_gateway(habits, OUTSIDE).await;
        let (_, obtained) = obtain(&gateway, MappingProtocol::Upnp).await;
        assert_eq!(obtained, Err(MappingFailure::OnlyPermanent));
        assert!(table.lock().unwrap().is_empty(), "nothing stays behind");
    }
}

#[tokio::test]
async fn behind_a_second_router_nothing_stays_mapped() {
    let inside = Ipv4Addr::new(100, 64, 0, 9);
    let (gateway, table) = good_gateway(Habits::default(), inside).await;
    let (_, obtained) = obtain(&gateway, MappingProtocol::Upnp).await;
    let there = SocketAddr::from((inside, LOCAL_PORT));
    assert_eq!(obtained, Err(MappingFailure::NotPublic(there)));
    assert!(table.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_gateway_that_is_not_connected_gives_nothing() {
    let (gateway, table) = good_gateway(Habits::default(), Ipv4Addr::UNSPECIFIED).await;
    let (_, obtained) = obtain(&gateway, MappingProtocol::Upnp).await;
    assert_eq!(obtained, Err(BAD));
    assert!(table.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_description_at_another_host_is_not_fetched() {
    let other = bystander().await;
    let location = format!("http://{}/root.xml", other.1);
    let named = format!("http://localhost:{}/root.xml", other.1.port());
    let gateway = Gateway::new().await.search(vec![location, named]).await;
    let (_, obtained) = obtain(&gateway, MappingProtocol::Upnp).await;
    assert_eq!(obtained, Err(BAD));
    assert_nobody_came(other).await;
}

#[tokio::test]
async fn whoever_else_answers_to_a_search_is_not_heard() {
    let mut gateway = Gateway::new().await;
    let at_gateway = gateway.http(Ipv4Addr::LOCALHOST, |_| panic!("nobody named it"));
    let location = format!("http://127.0.0.1:{}/root.xml", at_gateway.await);
    let gateway = gateway.search_elsewhere(vec![location]).await;
    let (_, obtained) = obtain(&gateway, MappingProtocol::Upnp).await;
    assert_eq!(obtained, Err(MappingFailure::NoAnswer));
}

/// The gateway's own description, whatever it is.
async fn describes(reply: impl Fn() -> Reply + Send + 'static) -> Gateway {
    let mut gateway = Gateway::new().await;
    let port = gateway.http(Ipv4Addr::LOCALHOST, move |_| reply()).await;
    let location = format!("http://127.0.0.1:{port}/root.xml");
    gateway.search(vec![location]).await
}

#[tokio::test]
async fn a_service_or_a_redirect_at_another_host_is_not_asked() {
    let other = bystander().await;
    let there = format!("http://{}/ctl", other.1);
    let protocol_less = format!("//{}/ctl", other.1);
    let base = format!("<root><URLBase>http://{}/</URLBase>", other.1);
    let root = "<root xmlns=\"urn:schemas-upnp-org:device-1-0\">";
    let with_base = description("/ctl").replacen(root, &base, 1);
    for body in [description(&there), description(&protocol_less), with_base] {
        let gateway = describes(move || Reply::Xml(200, body.clone())).await;
        let (_, obtained) = obtain(&gateway, MappingProtocol::Upnp).await;
        assert_eq!(obtained, Err(BAD));
    }
    let gateway = describes(move || Reply::Redirect(there.clone())).await;
    let (_, obtained) = obtain(&gateway, MappingProtocol::Upnp).await;
    assert_eq!(obtained, Err(BAD));
    assert_nobody_came(other).await;
}

#[tokio::test]
async fn a_description_that_is_too_large_or_never_ends_is_given_up() {
    let spaces =
        description("/ctl").replace("<device>", &format!("{}<device>", " ".repeat(70_000)));
    let nodes =
        description("/ctl").replace("<device>", &format!("{}<device>", "<a/>".repeat(9_000)));
    for body in [spaces, nodes, "<root>".to_owned(), String::new()] {
        let gateway = describes(move || Reply::Xml(200, body.clone())).await;
        let (_, obtained) = obtain(&gateway, MappingProtocol::Upnp).await;
        assert_eq!(obtained, Err(BAD));
    }
    for endless in [&b"X: y\r\n"[..], b"\r\n<root>            ", b"x"] {
        let gateway = describes(move || Reply::Endless(endless)).await;
        let (_, obtained) = obtain(&gateway, MappingProtocol::Upnp).await;
        assert_eq!(obtained, Err(BAD), "{endless:?}");
    }
    let gateway = describes(|| Reply::Silence).await;
    let (_, obtained) = obtain(&gateway, MappingProtocol::Upnp).await;
    assert_eq!(obtained, Err(MappingFailure::NoAnswer));
}

#[tokio::test]
async fn an_entry_that_names_the_wrong_machine_is_not_ours() {
    // says that everything is done, and shows everybody's port as another's
    let lies = |asked: Asked| match asked.action.as_str() {
        "" => Reply::Xml(200, description("/ctl")),
        "GetExternalIPAddress" => answer("x", &[("NewExternalIPAddress", "9.9.9.9")]),
        "GetSpecificPortMappingEntry" => answer(
            "x",
            &[
                ("NewInternalPort", "33399"),
                ("NewInternalClient", &ELSEWHERE.to_string()),
                ("NewLeaseDuration", "3600"),
            ],
        ),
        action => panic!("{action} of what is somebody else's"),
    };
    let mut gateway = Gateway::new().await;
    let port = gateway.http(Ipv4Addr::LOCALHOST, lies).await;
    let location = format!("http://127.0.0.1:{port}/root.xml");
    let gateway = gateway.search(vec![location]).await;
    let (_, obtained) = obtain(&gateway, MappingProtocol::Upnp).await;
    assert_eq!(obtained, Err(MappingFailure::PortsTaken));
}
