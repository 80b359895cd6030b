//! Requests that wait for an answer: at most 64 per direction (D1.15).

use std::collections::BTreeMap;

use crate::constants::MAX_OPEN_REQUESTS;

/// The open requests of one side of one connection, with what the asker remembers of each.
#[derive(Debug)]
pub struct OpenRequests<T> {
    open: BTreeMap<u32, T>,
    next: u32,
}

/// [`MAX_OPEN_REQUESTS`] requests wait for their answer; ask again when one has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyRequests;

impl std::fmt::Display for TooManyRequests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("too many requests wait for their answer")
    }
}

impl std::error::Error for TooManyRequests {}

impl<T> Default for OpenRequests<T> {
    fn default() -> Self {
        Self {
            open: BTreeMap::new(),
            next: 0,
        }
    }
}

impl<T> OpenRequests<T> {
    /// Opens a request; returns its `req_id`.
    ///
    /// # Errors
    /// [`TooManyRequests`] when as many as allowed are open.
    pub fn open(&mut self, request: T) -> Result<u32, TooManyRequests> {
        if self.open.len() >= MAX_OPEN_REQUESTS {
            return Err(TooManyRequests);
        }
        // 0 is the req_id of what nobody asked for
        while self.next == 0 || self.open.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let req_id = self.next;
        self.next = self.next.wrapping_add(1);
        self.open.insert(req_id, request);
        Ok(req_id)
    }

    /// Ends a request; `None` for an answer to nothing, which is to be ignored.
    pub fn close(&mut self, req_id: u32) -> Option<T> {
        self.open.remove(&req_id)
    }

    /// What the asker remembers of an open request.
    pub fn get(&self, req_id: u32) -> Option<&T> {
        self.open.get(&req_id)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Ends all of them, as when the connection is lost.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.open).into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_among_the_open_requests_also_after_the_counter_wraps() {
        let mut requests = OpenRequests {
            next: u32::MAX - 1,
            ..Default::default()
        };
        requests.open.insert(2, "old");
        let ids: Vec<u32> = (0..4).map(|_| requests.open("new").unwrap()).collect();
        assert_eq!(ids, [u32::MAX - 1, u32::MAX, 1, 3]);
        assert_eq!(requests.close(2), Some("old"));
        assert_eq!(requests.close(2), None, "an answer that nobody waits for");
        while requests.len() < MAX_OPEN_REQUESTS {
            requests.open("more").unwrap();
        }
        assert_eq!(requests.open("65th"), Err(TooManyRequests));
    }
}
