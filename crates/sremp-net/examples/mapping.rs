//! Has a port of the router mapped, or looks whether one leads to such a listener. `cargo xtask
//! nat-test` runs both in network namespaces; by hand it tells what one's own router does:
//!
//! ```text
//! mapping keep 33399 [pcp|nat-pmp|upnp] [--private]   until its input ends
//! mapping reach 203.0.113.7:33399                     from another network
//! ```
#![allow(missing_docs)]

use std::{error::Error, io::Write as _, net::SocketAddr, num::NonZeroU16, time::Duration};

use sremp_net::mapping::{Mapping, MappingProtocol, MappingRequest, keep};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// What the listener says to whoever comes.
const GREETING: &[u8] = b"this is the listener inside\n";
/// Time for a connection to come about.
const PATIENCE: Duration = Duration::from_secs(2);
const USAGE: &str =
    "usage: mapping keep PORT [pcp|nat-pmp|upnp] [--private] | mapping reach ADDRESS";

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["keep", port, options @ ..] => keep_mapped(port.parse()?, options).await,
        ["reach", address] => reach(address.parse()?).await,
        _ => Err(USAGE.into()),
    }
}

/// Prints a line for each change, listens at the port, ends with the input.
async fn keep_mapped(port: NonZeroU16, options: &[&str]) -> Outcome {
    let mut request = MappingRequest::new(port);
    for option in options {
        match *option {
            "pcp" => request.protocols = vec![MappingProtocol::Pcp],
            "nat-pmp" => request.protocols = vec![MappingProtocol::NatPmp],
            "upnp" => request.protocols = vec![MappingProtocol::Upnp],
            "--private" => request.allow_private = true,
            _ => return Err(USAGE.into()),
        }
    }
    let listener = TcpListener::bind(("0.0.0.0", port.get())).await?;
    let kept = keep(request);
    let mut state = kept.watch();
    let (mut input, mut ignored) = (tokio::io::stdin(), [0; 64]);
    loop {
        tokio::select! {
            changed = state.changed() => {
                changed?;
                tell(*state.borrow_and_update())?;
            }
            accepted = listener.accept() => {
                let (mut stream, _) = accepted?;
                // whoever comes and goes at once is no concern
                let _ = stream.write_all(GREETING).await;
            }
            read = input.read(&mut ignored) => if read? == 0 { break },
        }
    }
    kept.end().await;
    tell(Mapping::None)
}

fn tell(mapping: Mapping) -> Outcome {
    let mut out = std::io::stdout().lock();
    match mapping {
        Mapping::None => writeln!(out, "none")?,
        Mapping::External { address, protocol } => writeln!(out, "mapped {address} {protocol}")?,
        Mapping::Failed(why) => writeln!(out, "failed {why}")?,
    }
    Ok(out.flush()?)
}

/// Fails unless the listener greets.
async fn reach(address: SocketAddr) -> Outcome {
    let greeted = timeout(PATIENCE, async {
        let mut stream = TcpStream::connect(address).await?;
        let mut greeting = Vec::new();
        stream.read_to_end(&mut greeting).await?;
        Ok::<_, std::io::Error>(greeting)
    });
    match greeted.await {
        Ok(Ok(greeting)) if greeting == GREETING => Ok(()),
        Ok(Ok(_)) => Err("somebody else answers there".into()),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err("nobody answers there".into()),
    }
}
