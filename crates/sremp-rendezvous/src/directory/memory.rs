//! A store that is gone with its process.

use std::collections::BTreeMap;

use sremp_core::{id::IdentityKey, rendezvous::Entry};

use super::{DirectoryStore, Op, StoreError};

/// Registrations in memory.
#[derive(Debug, Default)]
pub struct MemoryStore(BTreeMap<IdentityKey, Entry>);

impl DirectoryStore for MemoryStore {
    fn load(&mut self, each: &mut dyn FnMut(Entry)) -> Result<(), StoreError> {
        self.0.values().cloned().for_each(each);
        Ok(())
    }

    fn commit(&mut self, ops: &[Op]) -> Result<(), StoreError> {
        for op in ops {
            match op {
                Op::Put(entry) => {
                    let known = self.0.get(&entry.key());
                    if known.is_none_or(|known| known.seq() < entry.seq()) {
                        self.0.insert(entry.key(), Entry::clone(entry));
                    }
                }
                Op::Forget(key) => {
                    self.0.remove(key);
                }
            }
        }
        Ok(())
    }
}
