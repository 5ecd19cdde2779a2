//! What will happen, in order of time; what happens at the same time, in the order in which it was foreseen.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use steer::Moment;

use super::sim::Event;

#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Entry>,
    foreseen: u64,
}

#[derive(Debug)]
struct Entry {
    at: Moment,
    number: u64,
    event: Event,
}

impl Queue {
    pub(super) fn push(&mut self, at: Moment, event: Event) {
        self.foreseen += 1;
        self.heap.push(Entry { at, number: self.foreseen, event });
    }

    pub(super) fn pop(&mut self) -> Option<(Moment, Event)> {
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }
}

impl Ord for Entry {
    /// The greatest comes first out of the heap: the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}
