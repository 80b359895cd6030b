//! Counts of what was refused, by cause: a limit that is met says so in `status`.

use std::collections::BTreeMap;

/// Refusals since the start. Causes are fixed words, never names or keys.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<&'static str, u64>);

impl Refusals {
    pub(super) fn count(&mut self, cause: &'static str) {
        *self.0.entry(cause).or_default() += 1;
    }

    pub(super) fn to_map(&self) -> BTreeMap<String, u64> {
        self.0.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect()
    }
}
