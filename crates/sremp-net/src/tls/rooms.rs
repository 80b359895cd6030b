//! Places for open connections of one address.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::gate::AddressKey;

/// How many of each prefix are open: whoever comes slowly and stays must not take all places.
pub(super) struct Rooms {
    of_one: usize,
    taken: Mutex<HashMap<AddressKey, usize>>,
}

impl Rooms {
    pub(super) fn new(of_one: usize) -> Self {
        Self {
            of_one,
            taken: Mutex::default(),
        }
    }

    pub(super) fn enter(self: &Arc<Self>, from: AddressKey) -> Option<Room> {
        let mut taken = self.lock();
        let count = taken.entry(from).or_default();
        if *count >= self.of_one {
            return None;
        }
        *count = count.saturating_add(1);
        drop(taken);
        Some(Room {
            rooms: self.clone(),
            from,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AddressKey, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them; given back when it is over.
pub(super) struct Room {
    rooms: Arc<Rooms>,
    from: AddressKey,
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut taken = self.rooms.lock();
        if let Some(count) = taken.get_mut(&self.from) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_places_and_nothing_is_kept_of_who_is_gone() {
        let rooms = Arc::new(Rooms::new(2));
        let (one, other) = (AddressKey::simulated(1), AddressKey::simulated(2));
        let held = [rooms.enter(one), rooms.enter(one)];
        assert!(held.iter().all(Option::is_some));
        assert!(rooms.enter(one).is_none());
        assert!(rooms.enter(other).is_some());
        drop(held);
        assert!(rooms.lock().is_empty());
        assert!(rooms.enter(one).is_some());
    }
}
