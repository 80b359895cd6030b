//! Changing one setting in the text of a config file; everything else in it stays as its owner wrote it.

use serde_json::Value as Json;
use toml_edit::{Array, DocumentMut, Item, Value};

use super::{Config, ConfigError};

/// What a setting holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Text,
    Flag,
    List,
}

/// Every setting, in the order of the file.
const SETTINGS: [(&str, Holds); 11] = [
    ("listen", Holds::Text),
    ("advertise", Holds::Text),
    ("strangers", Holds::Text),
    ("direct", Holds::Text),
    ("prefers_async", Holds::Flag),
    ("allow_private_addresses", Holds::Flag),
    ("passphrase_command", Holds::Text),
    ("relays", Holds::List),
    ("rendezvous", Holds::List),
    ("map_port", Holds::Flag),
    ("built_in_relay", Holds::Flag),
];

fn fault(message: String) -> ConfigError {
    ConfigError {
        line: None,
        message,
    }
}

fn holds(key: &str) -> Result<Holds, ConfigError> {
    let known = SETTINGS.iter().find(|(name, _)| *name == key);
    known.map(|(_, holds)| *holds).ok_or_else(|| {
        let names = SETTINGS.map(|(name, _)| name).join(", ");
        fault(format!("there is no setting {key}; there are {names}"))
    })
}

/// All settings, each with what the text says of it: a text, a flag or a list of texts.
///
/// # Errors
/// [`ConfigError`] if the text is no config file.
pub fn settings(text: &str) -> Result<Vec<(&'static str, Option<Json>)>, ConfigError> {
    Config::parse(text)?;
    let document: DocumentMut = text.parse().map_err(|e| fault(format!("{e}")))?;
    let value = |name: &str| document.get(name).and_then(Item::as_value).map(json);
    Ok(SETTINGS.map(|(name, _)| (name, value(name))).to_vec())
}

fn json(value: &Value) -> Json {
    match value {
        Value::Boolean(flag) => Json::Bool(*flag.value()),
        Value::Array(list) => list.iter().map(json).collect(),
        other => other.as_str().map_or(Json::Null, Json::from),
    }
}

/// The text with a setting at these values: one, or for a list any number.
///
/// # Errors
/// [`ConfigError`]: no such setting, a value that it does not take, or a file that is none.
pub fn set(text: &str, key: &str, values: &[String]) -> Result<String, ConfigError> {
    let value: Value = match (holds(key)?, values) {
        (Holds::List, values) => values.iter().collect::<Array>().into(),
        (Holds::Text, [value]) => value.as_str().into(),
        (Holds::Flag, [value]) => match value.parse::<bool>() {
            Ok(flag) => flag.into(),
            Err(_) => return Err(fault(format!("{key} is true or false"))),
        },
        _ => return Err(fault(format!("{key} has one value"))),
    };
    change(text, key, Some(value))
}

/// The text without a setting, which has its default then.
///
/// # Errors
/// As [`set`].
pub fn unset(text: &str, key: &str) -> Result<String, ConfigError> {
    holds(key)?;
    change(text, key, None)
}

fn change(text: &str, key: &str, value: Option<Value>) -> Result<String, ConfigError> {
    Config::parse(text)?;
    let mut document: DocumentMut = text.parse().map_err(|e| fault(format!("{e}")))?;
    let changed = match (value, document.get_mut(key)) {
        (None, _) => {
            document.remove(key);
            document.to_string()
        }
        (Some(value), Some(item)) => {
            let decor = item.as_value().map(|old| old.decor().clone());
            let mut value = value;
            if let Some(decor) = decor {
                *value.decor_mut() = decor;
            }
            *item = Item::Value(value);
            document.to_string()
        }
        (Some(value), None) => beside_its_explanation(text, key, &value),
    };
    Config::parse(&changed)?;
    Ok(changed)
}

/// A setting that is not set stands in the file as a comment, below what explains it.
fn beside_its_explanation(text: &str, key: &str, value: &Value) -> String {
    let line = format!("{key} = {}", value.clone().decorated("", ""));
    let example = format!("# {key} = ");
    let mut done = false;
    let mut lines: Vec<&str> = Vec::new();
    for old in text.lines() {
        let here = !done && old.starts_with(&example);
        done |= here;
        lines.push(if here { &line } else { old });
    }
    if !done {
        lines.push(&line);
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(key: &str, value: &str) -> Result<String, ConfigError> {
        set(&Config::default().to_toml(), key, &[value.to_owned()])
    }

    #[test]
    fn a_setting_is_changed_in_its_place_and_all_else_stays() {
        let before = Config::default().to_toml();
        let changed = one("listen", "0.0.0.0:4000").unwrap();
        assert_eq!(
            Config::parse(&changed).unwrap().listen.as_deref(),
            Some("0.0.0.0:4000")
        );
        assert_eq!(changed.lines().count(), before.lines().count());
        let differ = before.lines().zip(changed.lines()).filter(|(a, b)| a != b);
        assert_eq!(differ.count(), 1);
        let again = set(&changed, "listen", &["0.0.0.0:5000".into()]).unwrap();
        assert!(again.contains("listen = \"0.0.0.0:5000\"") && !again.contains("4000"));
        let mine = "direct = \"never\" # for now\n\n# mine\nmap_port = false\n";
        let changed = set(mine, "direct", &["trusted".into()]).unwrap();
        assert_eq!(changed, mine.replace("never", "trusted"));
        assert_eq!(
            unset(&changed, "direct").unwrap(),
            "\n# mine\nmap_port = false\n"
        );
        assert_eq!(
            set("", "map_port", &["true".into()]).unwrap(),
            "map_port = true\n"
        );
    }

    #[test]
    fn lists_take_any_number_and_none() {
        let places = ["example.org".to_owned(), "example.net".to_owned()];
        let text = set("", "rendezvous", &places).unwrap();
        assert_eq!(Config::parse(&text).unwrap().rendezvous_places().len(), 2);
        let text = set(&text, "rendezvous", &[]).unwrap();
        assert_eq!(text, "rendezvous = []\n");
    }

    #[test]
    fn what_a_setting_does_not_take_changes_nothing_and_is_said() {
        for (key, value, said) in [
            (
                "listne",
                "x",
                "there is no setting listne; there are listen, advertise",
            ),
            ("listen", "here", "has to be an address"),
            ("map_port", "yes", "map_port is true or false"),
            ("direct", "maybe", "unknown variant"),
            ("relays", "x", "`relays`"),
        ] {
            let error = one(key, value).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(set("", "listen", &[]).is_err());
        assert!(set("a =", "listen", &["127.0.0.1:1".into()]).is_err());
    }

    #[test]
    fn every_setting_of_the_file_is_known_here() {
        let shown = settings(&Config::default().to_toml()).unwrap();
        let whole = Config::default().to_toml();
        for (name, value) in shown {
            assert!(whole.contains(&format!("{name} = ")), "{name}");
            let set = whole.contains(&format!("\n{name} = "));
            assert_eq!(value.is_some(), set, "{name}");
        }
        let lines = whole.lines().map(|l| l.trim_start_matches("# "));
        let keys = lines
            .filter_map(|line| line.split_once(" = "))
            .map(|(key, _)| key);
        for key in keys {
            assert!(holds(key).is_ok(), "{key}");
        }
    }
}
