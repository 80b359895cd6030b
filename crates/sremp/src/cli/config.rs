//! `sremp config`: settings of a home, shown and changed.

use std::io::{self, Write};

use serde_json::{Map, Value};
use sremp_client::{
    config::edit,
    view::{CommandError, ErrorKind},
};

use super::{DONE, Ending, Failure, context::Context, peer, words};

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sremp config                                    show all settings
  sremp config listen 0.0.0.0:33399               change one
  sremp config rendezvous 'sremp-rdv:1#…' example.org   change a list
  sremp config relays --none                      empty a list
  sremp config listen --default                   go back to the default

config.toml in the home explains each setting, and may be changed by hand as well. A client that runs
already takes changes over when it starts again.")]
pub(crate) struct Args {
    /// The setting
    setting: Option<String>,
    /// What it is to be: one value, or for a list several
    #[arg(requires = "setting", conflicts_with_all = ["none", "default"])]
    values: Vec<String>,
    /// Empty a list
    #[arg(long, requires = "setting", conflicts_with = "default")]
    none: bool,
    /// Go back to the default
    #[arg(long, requires = "setting")]
    default: bool,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Ending {
        if !context.home.exists() {
            let message = format!(
                "there is no home in {}; make one with `sremp init`",
                context.path.display()
            );
            return Err(Failure::new(ErrorKind::Home, message));
        }
        let text = context.home.config_text().map_err(CommandError::from)?;
        let refuse = |e: sremp_client::config::ConfigError| {
            Failure::new(ErrorKind::Usage, format!("{e}; nothing was changed"))
        };
        let changed = match (
            &self.setting,
            self.default,
            self.none || !self.values.is_empty(),
        ) {
            (Some(key), true, _) => Some(edit::unset(&text, key).map_err(refuse)?),
            (Some(key), false, true) => Some(edit::set(&text, key, &self.values).map_err(refuse)?),
            _ => None,
        };
        if let Some(changed) = &changed {
            context
                .home
                .write_config(changed)
                .map_err(CommandError::from)?;
        }
        let shown = edit::settings(changed.as_deref().unwrap_or(&text)).map_err(refuse)?;
        let asked = self.setting.as_deref();
        if let Some(key) = asked.filter(|key| !shown.iter().any(|(name, _)| name == key)) {
            // names those that there are
            edit::unset(&text, key).map_err(refuse)?;
        }
        let shown: Vec<_> = shown
            .into_iter()
            .filter(|(name, _)| asked.is_none_or(|key| key == *name))
            .collect();
        let object: Map<String, Value> = shown
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone().unwrap_or_default()))
            .collect();
        context.out.one(&object, |to| show(to, &shown))?;
        if changed.is_some() && context.running()?.is_some() {
            writeln!(
                io::stderr().lock(),
                "the client that runs goes on with what it had; `sremp up --stop` and start it again"
            )?;
        }
        Ok(DONE)
    }
}

fn show(to: &mut dyn Write, shown: &[(&'static str, Option<Value>)]) -> io::Result<()> {
    let mut rows = Vec::new();
    for (name, value) in shown {
        match value {
            None => rows.push([(*name).to_owned(), "-".to_owned()]),
            Some(Value::Array(list)) if list.is_empty() => {
                rows.push([(*name).to_owned(), "(none)".to_owned()]);
            }
            Some(Value::Array(list)) => {
                rows.extend(list.iter().map(|one| [(*name).to_owned(), plain(one)]));
            }
            Some(value) => rows.push([(*name).to_owned(), plain(value)]),
        }
    }
    words::table(to, &rows)
}

fn plain(value: &Value) -> String {
    match value.as_str() {
        Some(text) => peer::line(text),
        None => value.to_string(),
    }
}
