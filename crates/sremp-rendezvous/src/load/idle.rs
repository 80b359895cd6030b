//! Connections on which nothing happens.

use sremp_core::rendezvous::RendezvousLink;
use tokio::task::JoinSet;

use super::{Asker, Keys, LoadError, failed};

/// Handshakes under way.
const AT_ONCE: usize = 16;

/// Connections that have asked for somebody once, and are silent; they end when this is dropped.
pub struct Idle(Vec<Asker>);

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Idle({})", self.0.len())
    }
}

impl Idle {
    /// Connects so many.
    ///
    /// # Errors
    /// [`LoadError`] when the server cannot be reached, or does not want one of them.
    pub async fn connect(
        link: &RendezvousLink,
        keys: &Keys,
        count: usize,
    ) -> Result<Self, LoadError> {
        let (mut connecting, mut all) = (JoinSet::new(), Vec::new());
        for n in 0..count.saturating_add(AT_ONCE) {
            if n < count {
                let (link, key) = (link.clone(), keys.walk(n).next());
                connecting.spawn(async move {
                    let mut asker = Asker::connect(&link).await?;
                    let key = key.ok_or_else(|| failed("nobody is registered"))?;
                    asker.lookup(key).await.map(|()| asker)
                });
            }
            if n >= AT_ONCE
                && let Some(opened) = connecting.join_next().await
            {
                all.push(opened.map_err(failed)??);
            }
        }
        Ok(Self(all))
    }
}
