//! Orders that are known if they come again, so that an answer that was lost on its way costs nothing but a question.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::order::{Done, Key, Refused};
use crate::journal::Digest;

/// How many are known. At 10,000 changes a minute it is about the last ten seconds; at what people do it is days.
const MAX_KEYS: usize = 2048;

/// The newest orders that had a key.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    known: HashMap<String, (Digest, Arc<Done>)>,
    order: VecDeque<String>,
}

impl Keys {
    /// What became of an order with that key, if it is known.
    pub(super) fn find(&self, key: &Key) -> Result<Option<Arc<Done>>, Refused> {
        match self.known.get(&key.name) {
            Some((order, done)) if *order == key.order => Ok(Some(done.clone())),
            Some(_) => Err(Refused::KeyReused),
            None => Ok(None),
        }
    }

    pub(super) fn add(&mut self, key: Key, done: Arc<Done>) {
        if self.known.insert(key.name.clone(), (key.order, done)).is_none() {
            self.order.push_back(key.name);
        }
        while self.order.len() > MAX_KEYS {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    /// All of them, oldest first.
    pub(super) fn saved(&self) -> Vec<(Key, Arc<Done>)> {
        let key = |name: &String| {
            let (order, done) = self.known.get(name)?;
            Some((Key { name: name.clone(), order: *order }, done.clone()))
        };
        self.order.iter().filter_map(key).collect()
    }
}
