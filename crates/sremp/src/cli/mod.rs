//! The command line: [`args`] is what was typed, [`context`] what is meant by the options that all
//! verbs share; each verb has a file that turns its own arguments into commands and prints replies.

mod args;
mod context;
pub(crate) mod conversation;
mod failure;
mod out;
mod passphrase;
mod peer;
mod qr;
mod signals;
mod terminal;
mod welcome;
mod words;

mod add;
mod backup;
mod bench;
mod browse;
mod chat;
mod completions;
mod config;
mod contacts;
mod delete;
mod detach;
mod direct;
mod doctor;
mod edit;
mod export;
mod find;
mod history;
mod id;
mod identity;
mod init;
mod invite;
mod man;
mod r#move;
mod react;
mod recv;
mod register;
mod relay;
mod rendezvous;
mod restore;
mod rpc;
mod search;
mod send;
mod server;
mod servers;
mod status;
mod timer;
mod trust;
mod up;
mod verify;
mod why;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser as _;
use sremp_client::view::ErrorKind;

use self::{
    args::{Typed, Verb},
    context::Context,
};
pub(crate) use self::{
    failure::Failure,
    out::{Out, object},
    peer::line as peer_line,
    signals::{Hangup, on_end},
};

/// How a verb ends: with an exit code of its own, or in failure.
pub(crate) type Ending = Result<u8, Failure>;

/// All went as asked.
pub(crate) const DONE: u8 = 0;

/// Does what the arguments say.
pub(crate) fn main(typed: impl Iterator<Item = OsString>) -> ExitCode {
    let typed: Vec<OsString> = typed.collect();
    // Usage errors come before the flag is parsed, and a script wants them as an object too.
    let json = typed.iter().any(|argument| argument == "--json");
    match Typed::try_parse_from(typed) {
        Ok(typed) => match run(typed) {
            Ok(code) => ExitCode::from(code),
            Err(failure) => failure.report(json),
        },
        Err(refusal) => failure::refused(&refusal, json),
    }
}

fn run(typed: Typed) -> Ending {
    let out = Out::meant(&typed.shared);
    let Some(verb) = typed.verb else {
        return welcome::run(&typed.shared, out);
    };
    match verb {
        // Verbs that need no home.
        Verb::Demo => return crate::demo::run(out),
        Verb::Completions(args) => return args.run(),
        Verb::Man(args) => return args.run(),
        Verb::Relay(args) => return args.run(&typed.shared, out),
        Verb::Rendezvous(args) => return args.run(&typed.shared, out),
        Verb::Bench(args) => return args.run(out),
        _ => {}
    }
    let context = Context::meant(typed.shared, out)?;
    match verb {
        Verb::Init(args) => args.run(&context),
        Verb::Id(args) => args.run(&context),
        Verb::Identity(args) => args.run(&context),
        Verb::Invite(args) => args.run(&context),
        Verb::Add(args) => args.run(&context),
        Verb::Contacts(args) => args.run(&context),
        Verb::Verify(args) => args.run(&context),
        Verb::Trust(args) => args.run(&context),
        Verb::Reject(args) => args.run(&context),
        Verb::Direct(args) => args.run(&context),
        Verb::Send(args) => args.run(&context),
        Verb::Edit(args) => args.run(&context),
        Verb::Delete(args) => args.run(&context),
        Verb::React(args) => args.run(&context),
        Verb::Timer(args) => args.run(&context),
        Verb::Chat(args) => args.run(&context),
        Verb::Recv(args) => args.run(&context),
        Verb::History(args) => args.run(&context),
        Verb::Search(args) => args.run(&context),
        Verb::Why(args) => args.run(&context),
        Verb::Export(args) => args.run(&context),
        Verb::Up(args) => args.run(&context),
        Verb::Rpc(args) => args.run(&context),
        Verb::Find(args) => args.run(&context),
        Verb::Browse(args) => args.run(&context),
        Verb::Register(args) => args.run(&context),
        Verb::Servers(args) => args.run(&context),
        Verb::Status(args) => args.run(&context),
        Verb::Doctor(args) => args.run(&context),
        Verb::Config(args) => args.run(&context),
        Verb::Backup(args) => args.run(&context),
        Verb::Restore(args) => args.run(&context),
        Verb::Move(args) => args.run(&context),
        Verb::Demo
        | Verb::Completions(_)
        | Verb::Man(_)
        | Verb::Relay(_)
        | Verb::Rendezvous(_)
        | Verb::Bench(_) => Ok(ErrorKind::Failed.exit_code()),
    }
}
