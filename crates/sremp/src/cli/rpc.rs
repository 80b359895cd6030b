//! `sremp rpc`: JSON-RPC 2.0 on standard input and output, passed on to the client's socket.

use std::{
    io::{self, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::Arc,
    thread,
};

use sremp_client::{client::connect, home::Home, view::ErrorKind};

use super::{DONE, Ending, Failure, context::Context, signals};

/// What can be asked, as an OpenRPC document.
const OPENRPC: &str = include_str!("../../../../docs/use/openrpc.json");

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}' | sremp rpc
  sremp rpc --openrpc

One request or batch a line. Programs on this machine may also speak on the socket in the home.")]
pub(crate) struct Args {
    /// Print what can be asked, as an OpenRPC document
    #[arg(long)]
    openrpc: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        if self.openrpc {
            io::stdout().lock().write_all(OPENRPC.as_bytes())?;
            return Ok(DONE);
        }
        context.online(true, |_| pass_on(&context.home))?;
        Ok(DONE)
    }
}

/// Ends when the client has answered everything after the end of the input, or is itself at its end.
fn pass_on(home: &Home) -> Result<(), Failure> {
    let socket = connect(home).map_err(|e| {
        let message = format!("the running client cannot be reached: {e}; start it again");
        Failure::new(ErrorKind::Failed, message)
    })?;
    let socket = Arc::new(socket);
    let ended = Arc::clone(&socket);
    signals::on_end(signals::Hangup::Ends, move || {
        let _ = ended.shutdown(Shutdown::Both);
    })?;
    let asking = Arc::clone(&socket);
    // not joined: nothing ends a wait for input
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut &*asking);
        let _ = asking.shutdown(Shutdown::Write);
    });
    print(&socket)?;
    Ok(())
}

/// As it comes: nothing waits in a buffer for more.
fn print(mut from: &UnixStream) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let mut some = vec![0; 64 * 1024];
    loop {
        let n = match from.read(&mut some) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            // the client is gone
            Err(_) => return Ok(()),
        };
        stdout.write_all(some.get(..n).unwrap_or_default())?;
        stdout.flush()?;
    }
}
