//! What `doctor` found.

use serde::{Deserialize, Serialize};

/// Every check, with what was measured just now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DoctorView {
    /// The checks.
    pub checks: Vec<CheckView>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CheckView {
    /// What was looked at: `clock`, `relay`, …
    pub check: String,
    /// Of several alike, which: a relay, a server.
    pub subject: Option<String>,
    /// How it stands.
    pub outcome: Outcome,
    /// What was measured, in `unit`s.
    pub measured: Option<i64>,
    /// The unit of `measured`.
    pub unit: Option<Unit>,
    /// What was found.
    pub words: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// Works, but not as well as it could.
    Warn,
    /// Something does not work.
    Fail,
    /// Not looked at; the words say why.
    Skipped,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Thousandths of a second.
    Milliseconds,
    /// Millionths of a second.
    Microseconds,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Things.
    Count,
}

impl CheckView {
    /// A check that ended so.
    pub fn new(check: &str, outcome: Outcome, words: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            subject: None,
            outcome,
            measured: None,
            unit: None,
            words: words.into(),
            remedy: None,
        }
    }

    /// Of this one.
    #[must_use]
    pub fn of(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// With this number.
    #[must_use]
    pub fn measured(mut self, value: i64, unit: Unit) -> Self {
        (self.measured, self.unit) = (Some(value), Some(unit));
        self
    }

    /// With this to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}
