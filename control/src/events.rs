//! What happens, told while it happens: changes, the health of placements, the uplink, what ends by itself.
//!
//! The last thousand or so are kept in a ring, numbered. A listener asks for the next one at his own pace: whoever is slow, or comes back,
//! is told what the ring still has, and how many he has missed. Nothing is kept per listener, so a slow one costs nothing.
//!
//! Left out: how events travel (`admin`), and keeping them across a restart: that is what the audit is for.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use utoipa::ToSchema;

use crate::changes::{Done, Made};
use crate::clock::Clock;
use crate::overlay::Target;

/// Events that are remembered.
const MAX_EVENTS: usize = 1024;
/// Who may listen at once.
pub const MAX_LISTENERS: usize = 32;

/// What has happened.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Happened {
    /// A change is in force.
    Change(ChangeEvent),
    /// The health of a placement changed.
    Health(HealthEvent),
    /// Something that was changed has ended by itself.
    Ended(EndedEvent),
    /// This PoP's own way out is suspected, or is not any more.
    Uplink(UplinkEvent),
}

/// `event: change`: a change is in force.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChangeEvent {
    /// What was changed.
    pub change: Made,
    /// Who.
    pub author: String,
    /// Why.
    pub reason: String,
    /// The table version in force since.
    pub version: u64,
    /// Whether a restart remembers it.
    pub persisted: bool,
    /// Where it stands in the audit: its line's number and hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor: Option<String>,
}

/// `event: health`: the health of a placement changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HealthEvent {
    /// The pool.
    pub pool: String,
    /// The region.
    pub region: String,
    /// `unknown up suspect down recovering held`.
    pub from: String,
    /// As `from`.
    pub to: String,
    /// Why, in words.
    pub cause: String,
}

/// `event: ended`: something that was changed has ended by itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EndedEvent {
    /// What it was.
    pub ended: Ended,
    /// Routes that have no usable region since; twenty of each kind at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub left_alone: Vec<String>,
}

/// What ends by itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// Overrides of this have expired.
    Override(Target),
    /// A drill of this region is over.
    Drill(String),
    /// The log is as it is usually.
    LogLevel,
}

/// `event: uplink`: this PoP's own way out is suspected, or is not any more.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UplinkEvent {
    /// Whether nothing at all answers.
    pub suspected: bool,
}

impl ChangeEvent {
    /// Of a change that is in force.
    #[must_use]
    pub fn of(done: &Done) -> Self {
        Self {
            change: done.made.clone(),
            author: done.author.clone(),
            reason: done.reason.clone(),
            version: done.version,
            persisted: done.kept.is_some(),
            anchor: done.kept.map(|stamp| stamp.to_string()),
        }
    }
}

impl EndedEvent {
    /// The end of something that leaves no route alone.
    #[must_use]
    pub const fn of(ended: Ended) -> Self {
        Self { ended, left_alone: Vec::new() }
    }
}

impl Happened {
    /// What kind of event it is.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Change(_) => "change",
            Self::Health(_) => "health",
            Self::Ended(_) => "ended",
            Self::Uplink(_) => "uplink",
        }
    }
}

/// An event, ready to be told.
#[derive(Debug)]
pub struct Event {
    /// By which a listener who comes back says what he has heard.
    pub id: EventId,
    /// What kind it is.
    pub name: &'static str,
    /// What has happened, and when, as JSON.
    pub data: String,
}

/// An event as it is written.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    when: When,
    #[serde(flatten)]
    happened: &'a Happened,
}

/// When it has happened.
#[derive(Serialize, ToSchema)]
pub(crate) struct When {
    /// When.
    time: Timestamp,
}

/// The name of an event: which start of which edge, and its number since.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EventId {
    /// In milliseconds since 1970.
    start: u64,
    number: u64,
}

/// What was written names no event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotAnEvent;

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}", self.start, self.number)
    }
}

impl FromStr for EventId {
    type Err = NotAnEvent;

    fn from_str(text: &str) -> Result<Self, NotAnEvent> {
        let (start, number) = text.split_once('.').ok_or(NotAnEvent)?;
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_plain(start) || !is_plain(number) {
            return Err(NotAnEvent);
        }
        let start = u64::from_str_radix(start, 16).map_err(|_| NotAnEvent)?;
        Ok(Self { start, number: number.parse().map_err(|_| NotAnEvent)? })
    }
}

/// All that happens.
#[derive(Debug)]
pub struct Events {
    clock: Clock,
    start: u64,
    ring: Mutex<Ring>,
    /// The number of the newest.
    newest: watch::Sender<u64>,
    room: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    /// The number of the first that is held; the first of all is 1.
    first: u64,
}

impl Events {
    /// None yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let start = u64::try_from(clock.wall().as_millisecond()).unwrap_or_default();
        Self {
            clock,
            start,
            ring: Mutex::new(Ring { events: VecDeque::new(), first: 1 }),
            newest: watch::Sender::new(0),
            room: Arc::new(Semaphore::new(MAX_LISTENERS)),
        }
    }

    /// Something has happened.
    pub fn add(&self, happened: &Happened) {
        let told = Told { when: When { time: self.clock.wall() }, happened };
        let Ok(data) = serde_json::to_string(&told) else {
            return tracing::error!(name = happened.name(), "an event cannot be written");
        };
        let mut ring = self.lock();
        let number = ring.first + ring.events.len() as u64;
        let id = EventId { start: self.start, number };
        ring.events.push_back(Arc::new(Event { id, name: happened.name(), data }));
        if ring.events.len() > MAX_EVENTS {
            ring.events.pop_front();
            ring.first += 1;
        }
        drop(ring);
        self.newest.send_replace(number);
    }

    /// Listens from now on, or from after an event that was heard before. `None` if too many listen already.
    #[must_use]
    pub fn listen(self: &Arc<Self>, after: Option<EventId>) -> Option<Listener> {
        let room = self.room.clone().try_acquire_owned().ok()?;
        let newest = self.newest.subscribe();
        let ring = self.lock();
        let coming = ring.first + ring.events.len() as u64;
        let (next, was_elsewhere) = match after {
            None => (coming, false),
            Some(id) if id.start == self.start && id.number < coming => (id.number + 1, false),
            // Of another start: what came after it there, nobody knows any more.
            Some(_) => (ring.first, true),
        };
        drop(ring);
        Some(Listener { events: self.clone(), next, was_elsewhere, newest, _room: room })
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who listens.
#[derive(Debug)]
pub struct Listener {
    events: Arc<Events>,
    next: u64,
    /// What he has heard, he has heard from another start.
    was_elsewhere: bool,
    newest: watch::Receiver<u64>,
    _room: OwnedSemaphorePermit,
}

/// What a listener hears.
#[derive(Clone, Debug)]
pub enum Heard {
    /// An event.
    Event(Arc<Event>),
    /// That so many are no longer held; `None` if nobody knows how many.
    Missed(Option<u64>),
}

impl Listener {
    /// The next thing to hear. Nothing is lost if it is asked and not waited for.
    pub async fn next(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.held() {
                return heard;
            }
            if self.newest.changed().await.is_err() {
                // The sender lives as long as the events, which are held here.
                std::future::pending::<()>().await;
            }
        }
    }

    fn held(&mut self) -> Option<Heard> {
        if std::mem::take(&mut self.was_elsewhere) {
            return Some(Heard::Missed(None));
        }
        let events = self.events.clone();
        // Seen before it is looked, or what comes in between would wait for the one after it.
        self.newest.mark_unchanged();
        let ring = events.lock();
        if self.next < ring.first {
            let missed = ring.first - self.next;
            self.next = ring.first;
            return Some(Heard::Missed(Some(missed)));
        }
        let at = usize::try_from(self.next - ring.first).ok()?;
        let event = ring.events.get(at)?.clone();
        self.next += 1;
        Some(Heard::Event(event))
    }
}

#[cfg(test)]
mod tests;
