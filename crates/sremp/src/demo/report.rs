//! What the demo says: numbered steps, and under each what was checked.

use std::io::{self, Write as _};

use serde_json::json;
use sremp_client::view::CommandError;

use crate::cli::{Failure, Out, object, peer_line};

/// The account of a play.
pub(super) struct Report {
    out: Out,
    step: u32,
    title: &'static str,
    checked: Vec<String>,
}

impl Report {
    pub(super) fn new(out: Out) -> Self {
        Self {
            out,
            step: 0,
            title: "",
            checked: Vec::new(),
        }
    }

    /// Begins a step.
    pub(super) fn step(&mut self, title: &'static str) -> io::Result<()> {
        self.finish_step()?;
        self.step += 1;
        self.title = title;
        if self.out.json {
            return Ok(());
        }
        let mut to = io::stdout().lock();
        writeln!(to, "{}. {title}", self.step)?;
        to.flush()
    }

    /// Says what holds, or ends the play because it does not.
    pub(super) fn check(&mut self, holds: bool, what: impl Into<String>) -> Result<(), Failure> {
        let what = peer_line(&what.into());
        if !holds {
            return Err(super::person::broken(format!("this does not hold: {what}")).into());
        }
        if !self.out.json {
            let mark = if self.out.plain { "ok:" } else { "✓" };
            let mut to = io::stdout().lock();
            writeln!(to, "   {mark} {what}")?;
            to.flush()?;
        }
        self.checked.push(what);
        Ok(())
    }

    fn finish_step(&mut self) -> io::Result<()> {
        let checked = std::mem::take(&mut self.checked);
        if self.out.json && self.step > 0 {
            let step = json!({ "step": self.step, "title": self.title, "checked": checked });
            return object(&mut io::stdout().lock(), &step);
        }
        Ok(())
    }

    /// Ends the account of a play in which everything held.
    pub(super) fn all_held(&mut self) -> io::Result<()> {
        self.finish_step()?;
        let mut to = io::stdout().lock();
        if self.out.json {
            object(&mut to, &json!({ "demo": "held", "steps": self.step }))?;
        } else {
            writeln!(to, "All {} steps held.", self.step)?;
        }
        to.flush()
    }

    /// Says at which step the play ended.
    pub(super) fn broken_off(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Refused(error) => CommandError {
                message: format!(
                    "the demo ended at step {}, {:?}: {}; its homes are removed, run it again",
                    self.step, self.title, error.message
                ),
                ..error
            }
            .into(),
            output @ Failure::Output(_) => output,
        }
    }
}
