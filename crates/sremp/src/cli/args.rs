//! What was typed.

use std::path::PathBuf;

use clap::{
    Args, Parser, Subcommand,
    builder::{OsStringValueParser, TypedValueParser as _},
};

use super::{
    add, backup, bench, browse, chat, completions, config, contacts, delete, direct, doctor, edit,
    export, find, history, id, identity, init, invite, man, r#move, react, recv, register, relay,
    rendezvous, restore, rpc, search, send, servers, status, timer, trust, up, verify, why,
};

const AFTER_HELP: &str = "\
Begin with:
  sremp init --name ann          make an identity
  sremp id                       show your card, for others to add
  sremp add 'sremp:1#…' --as ben add somebody by their card
  sremp chat ben                 write to each other
  sremp demo                     watch two people do all this

The passphrase comes from SREMP_PASSPHRASE, --passphrase-file, passphrase_command in the home's
config.toml, or a prompt, in this order.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 not in time (the message stays queued), 4 passphrase,
5 home missing, damaged, of a newer version or in use, 6 disk, 7 card, 8 contact, 9 network.";

/// The whole command line.
#[derive(Parser)]
#[command(
    name = "sremp",
    version,
    about = "A messenger in which a key is the identity",
    after_help = AFTER_HELP,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(crate) struct Typed {
    #[command(flatten)]
    pub(crate) shared: Shared,
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// Options of every verb.
#[derive(Args)]
pub(crate) struct Shared {
    /// Data directory; the platform's unless given
    #[arg(
        long,
        global = true,
        env = "SREMP_HOME",
        hide_env_values = true,
        value_name = "DIR",
        // an empty one is refused where it is used: clap would not say that it came from SREMP_HOME
        value_parser = OsStringValueParser::new().map(PathBuf::from),
        help_heading = "Options of every verb"
    )]
    pub(crate) home: Option<PathBuf>,
    /// Read the passphrase from a file's first line; - is standard input
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Options of every verb"
    )]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Print JSON: one object, or one a line for a list
    #[arg(long, global = true, help_heading = "Options of every verb")]
    pub(crate) json: bool,
    /// Print words instead of marks, for screen readers
    #[arg(long, global = true, help_heading = "Options of every verb")]
    pub(crate) plain: bool,
}

/// The verbs, in the order in which a newcomer meets them.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Make an identity and its home
    Init(init::Args),
    /// Show your identity and card, as link and QR code
    Id(id::Args),
    /// Make a single-use invite, list or revoke invites
    Invite(invite::Args),
    /// Add the contact of a card, or accept a request
    Add(add::Args),
    /// List contacts, or the requests of strangers
    Contacts(contacts::Args),
    /// Show the safety number with a contact, or compare it
    Verify(verify::Args),
    /// Trust a contact without comparing numbers, or undo a rejection
    Trust(trust::TrustArgs),
    /// Turn a contact away, or decline a request
    Reject(trust::RejectArgs),
    /// Turn direct connections with a contact on or off
    Direct(direct::Args),
    /// Send a text
    Send(send::Args),
    /// Give a message of yours another text
    Edit(edit::Args),
    /// Take a message of yours back, or erase one here
    Delete(delete::Args),
    /// React to a message
    React(react::Args),
    /// Let new messages of a conversation disappear
    Timer(timer::Args),
    /// Write with a contact, line by line
    Chat(chat::Args),
    /// Print what happened: messages, confirmations, requests
    Recv(recv::Args),
    /// Print the conversation with a contact
    History(history::Args),
    /// Find messages by their words
    Search(search::Args),
    /// Tell the way of one message: tries, receipts, confirmation
    Why(why::Args),
    /// Write conversations to a file
    Export(export::Args),
    /// Run the client, for other verbs to use
    Up(up::Args),
    /// Speak JSON-RPC 2.0 with the client, for programs
    Rpc(rpc::Args),
    /// Look up where somebody is, by their id
    Find(find::Args),
    /// List those who want to be found
    Browse(browse::Args),
    /// Say who may find you, and see where you are registered
    Register(register::Args),
    /// Show the rendezvous servers in use, and those of which they tell
    Servers(servers::Args),
    /// Show what the client is doing
    Status(status::Args),
    /// Check and measure the client and its surroundings, and say what to do
    Doctor(doctor::Args),
    /// Show or change the settings of the home
    Config(config::Args),
    /// Write identity, contacts and history to one encrypted file
    Backup(backup::Args),
    /// Make a home of a backup
    Restore(restore::Args),
    /// Write a backup to go on with elsewhere, and close this home
    Move(r#move::Args),
    /// Manage the identity's keys
    Identity(identity::Args),
    /// Run a relay for yourself and others
    Relay(relay::Args),
    /// Run a rendezvous server, where people are found by their ids
    Rendezvous(rendezvous::Args),
    /// Measure what a relay bears
    Bench(bench::Args),
    /// Watch two people and a bot write to each other on this machine
    #[command(after_help = "Example:\n  sremp demo")]
    Demo,
    /// Print the completions for a shell
    Completions(completions::Args),
    /// Print the manual page, or write all pages to a directory
    Man(man::Args),
}
