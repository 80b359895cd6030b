//! A relay that its operator keeps for whom he has invited.

use crate::support::{Home, Running, text};

/// A relay on loopback that asks for invites.
pub(crate) struct Relay {
    pub(crate) home: Home,
    pub(crate) id: String,
}

impl Relay {
    pub(crate) fn made() -> Self {
        Self::made_with(&[])
    }

    /// One with further options of `relay init`.
    pub(crate) fn made_with(options: &[&str]) -> Self {
        let home = Home::none();
        let made = home.make_relay(options);
        let id = text(&made, "relay");
        Self { home, id }
    }

    /// Runs until dropped; confirmations go to other relays on loopback too.
    pub(crate) fn run(&self) -> Running {
        let mut command = self.home.command(&["relay", "run"]);
        command.env("SREMP_ALLOW_PRIVATE_ADDRESSES", "1");
        let running = Running::of(&mut command);
        assert!(running.line().starts_with("relay ready "));
        running
    }

    /// Somebody whom the operator has invited.
    pub(crate) fn person(&self, name: &str) -> Home {
        let link = text(&self.home.json(&["relay", "invite"]), "link");
        let home = Home::none();
        home.ok(&["init", "--name", name, "--no-passphrase", "--relay", &link]);
        home
    }
}

pub(crate) fn stop(running: Running) {
    running.signal("TERM");
    let (code, log) = running.end();
    assert_eq!((code, log.contains("panicked")), (0, false), "{log}");
}
