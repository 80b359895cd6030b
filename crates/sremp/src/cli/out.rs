//! How results are printed: JSON for programs, lines for people.

use std::io::{self, IsTerminal as _, Write};

use serde::Serialize;
use serde_json::Value;

use super::{args::Shared, peer};

/// The form of the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    /// JSON objects.
    pub(crate) json: bool,
    /// Words instead of marks and drawings.
    pub(crate) plain: bool,
    /// Whether standard output is a terminal.
    pub(crate) terminal: bool,
    /// Whether colour may be used; it never says anything alone.
    pub(crate) colour: bool,
}

impl Out {
    /// The form that was asked for.
    pub(crate) fn meant(shared: &Shared) -> Self {
        let terminal = io::stdout().is_terminal();
        // https://no-color.org: set and not empty.
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            json: shared.json,
            plain: shared.plain,
            terminal,
            colour: terminal && !no_colour && !shared.plain,
        }
    }

    /// Prints one thing.
    ///
    /// # Errors
    /// Those of writing.
    pub(crate) fn one<T: Serialize>(
        self,
        value: &T,
        people: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        self.list(std::slice::from_ref(value), people)
    }

    /// Prints a list: an object a line, or what people read.
    ///
    /// # Errors
    /// Those of writing.
    pub(crate) fn list<T: Serialize>(
        self,
        values: &[T],
        people: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if self.json {
            for value in values {
                object(&mut stdout, value)?;
            }
        } else {
            people(&mut stdout)?;
        }
        stdout.flush()
    }
}

/// Writes one JSON object and a newline; every string in it is cleaned.
///
/// # Errors
/// Those of writing.
pub(crate) fn object<T: Serialize>(to: &mut dyn Write, value: &T) -> io::Result<()> {
    let mut value = serde_json::to_value(value).map_err(io::Error::other)?;
    clean(&mut value);
    writeln!(to, "{value}")
}

fn clean(value: &mut Value) {
    match value {
        Value::String(text) => *text = peer::text(text),
        Value::Array(values) => values.iter_mut().for_each(clean),
        Value::Object(fields) => fields.values_mut().for_each(clean),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
