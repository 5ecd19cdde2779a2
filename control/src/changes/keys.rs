//! Orders that are known if they come again, so that an answer that was lost on its way costs nothing but a question.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::order::{Done, Key, Refused};
use crate::journal::{Digest, json_bytes};

/// How many are known. At 10,000 changes a minute it is about the last ten seconds; at what people do it is days.
const MAX_KEYS: usize = 2048;
/// What they may take together where they are kept, in bytes: the whole state has to fit into one line of the journal.
pub(super) const MAX_KEY_BYTES: usize = 4 << 20;

/// The newest orders that had a key.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    known: HashMap<String, Known>,
    order: VecDeque<String>,
    /// What they take where they are kept.
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Known {
    order: Digest,
    done: Arc<Done>,
    bytes: usize,
}

impl Keys {
    /// What became of an order with that key, if it is known.
    pub(super) fn find(&self, key: &Key) -> Result<Option<Arc<Done>>, Refused> {
        match self.known.get(&key.name) {
            Some(known) if known.order == key.order => Ok(Some(known.done.clone())),
            Some(_) => Err(Refused::KeyReused),
            None => Ok(None),
        }
    }

    pub(super) fn add(&mut self, key: Key, done: Arc<Done>) {
        // With brackets and the comma behind it.
        let bytes = json_bytes(&(&key, &*done)) + 1;
        self.bytes += bytes;
        match self.known.insert(key.name.clone(), Known { order: key.order, done, bytes }) {
            Some(before) => self.bytes -= before.bytes,
            None => self.order.push_back(key.name),
        }
        while self.order.len() > MAX_KEYS || self.bytes > MAX_KEY_BYTES {
            let Some(oldest) = self.order.pop_front() else { return };
            self.bytes -= self.known.remove(&oldest).map_or(0, |known| known.bytes);
        }
    }

    /// These, and newer ones.
    pub(super) fn with(mut self, newer: impl Iterator<Item = (Key, Arc<Done>)>) -> Self {
        newer.for_each(|(key, done)| self.add(key, done));
        self
    }

    /// All of them, oldest first.
    pub(super) fn saved(&self) -> Vec<(Key, Arc<Done>)> {
        let key = |name: &String| {
            let Known { order, done, .. } = self.known.get(name)?;
            Some((Key { name: name.clone(), order: *order }, done.clone()))
        };
        self.order.iter().filter_map(key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::Made;

    #[test]
    fn they_take_no_more_than_they_may() {
        let mut keys = Keys::default();
        let reason = "\u{1}".repeat(1000);
        let done = Arc::new(Done {
            made: Made::FileRead("x".repeat(2000)),
            author: "ada".to_owned(),
            reason,
            version: 1,
            overlay: 2,
            kept: None,
        });
        let key = |index: u64| Key { name: format!("ada\n{index}"), order: Digest::of(b"order") };
        for index in 0..2000 {
            keys.add(key(index), done.clone());
            keys.add(key(index), done.clone());
        }
        let bytes = serde_json::to_vec(&keys.saved()).unwrap().len();
        assert!(bytes <= MAX_KEY_BYTES + 2 && bytes > MAX_KEY_BYTES - 20_000, "{bytes}");
        assert_eq!(keys.find(&key(1999)), Ok(Some(done)));
        assert_eq!(keys.find(&key(0)), Ok(None), "the oldest went");
    }
}
