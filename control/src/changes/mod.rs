//! How a change becomes what is in force, whoever wants it: an operator, a file, a guard.
//!
//! ```text
//! order ─► staged  upon what the orders before it leave: compiled, resolved, guarded     else refused, nothing has changed
//!       ─► kept    a batch of orders is one write to the journal and one fsync           else refused, nothing has changed
//!       ─► adopted the publisher makes all of it current in one swap
//!       ─► answered
//! ```
//! One thread does this, so that "upon what the orders before it leave" means something: two operators who both drain the last
//! but one region do not both succeed. Orders that come while it writes wait and share the next write.
//!
//! What cannot be kept is not adopted, unless its order says that it may be forgotten: on a full disk a region can still be
//! drained. Such changes are written as soon as the disk takes them.
//!
//! Left out: who may order what (`access`), and how orders are spelled (`admin`).

mod commit;
pub mod file_fate;
mod hold;
mod keeper;
mod keeps;
mod keys;
mod known;
mod opening;
mod order;
mod record;
mod renumbered;
mod restore;
mod running;
mod seen;
mod staged;
mod start;
#[cfg(test)]
mod tests;
mod unwritten;

use std::io;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::{self, JoinHandle};

use tokio::sync::{broadcast, oneshot};

pub(crate) use hold::Hold;
pub use keeps::Keeps;
pub use known::{Known, KnownVersion};
pub use order::{Done, FILE, Key, Made, Order, Refused, What};
pub use record::{Kept, Line, Recorded};
pub(crate) use renumbered::Renumbered;
pub use seen::{NotSeen, Seen};
pub use start::{NotStarted, Start, Started, start};
pub use unwritten::OWN_NAME;

use crate::effect::{Effect, if_dead, preview};
use crate::journal::{History, TextReader};
use crate::overlay::MAX_TARGETS;
use crate::publisher::{Publisher, Step};
use crate::share::Samples;
use commit::Commit;
use hold::Holds;
use keeper::{Keeper, Keeping};
use known::SharedKnown;
use restore::Boot;
use staged::Staged;
use unwritten::Unwritten;

/// Orders that wait. More than that are told to come again.
const MAX_WAITING: usize = 1024;
/// Events that somebody who listens may be behind. A state that is opened late may change every override at once.
const MAX_BEHIND: usize = 2 * MAX_TARGETS;

/// Where orders go. A clone is the same.
#[derive(Clone, Debug)]
pub struct Changes {
    publisher: Arc<Publisher>,
    samples: Arc<Samples>,
    orders: mpsc::SyncSender<Job>,
    known: SharedKnown,
    events: broadcast::Sender<Arc<Done>>,
    readers: Arc<OnceLock<Readers>>,
    keeps: Keeps,
    holds: Holds,
}

/// What was written, for whoever reads it; there once the state could be opened.
#[derive(Debug)]
struct Readers {
    history: History<Line>,
    texts: TextReader,
}

/// An order, and who waits for what becomes of it.
struct Job {
    order: Order,
    done: oneshot::Sender<Result<Arc<Done>, Refused>>,
}

impl Changes {
    /// Starts the thread. It ends when the last clone is dropped; the journal is let go of then.
    fn start(
        publisher: Arc<Publisher>,
        samples: Arc<Samples>,
        keeping: Keeping,
        boot: Boot,
        first: Vec<Unwritten>,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (orders, jobs) = mpsc::sync_channel(MAX_WAITING);
        let (events, _) = broadcast::channel(MAX_BEHIND);
        let readers = Arc::new(OnceLock::new());
        if let Keeping::Journal(journal, texts) = &keeping {
            readers.get_or_init(|| Readers { history: journal.history(), texts: texts.reader() });
        }
        let changes = Self {
            publisher: publisher.clone(),
            samples,
            orders,
            known: SharedKnown::new(boot.known.clone()),
            events: events.clone(),
            readers: readers.clone(),
            keeps: Keeps::new(!matches!(keeping, Keeping::Nowhere)),
            holds: Holds::default(),
        };
        let (keeps, known) = (changes.keeps.clone(), changes.known.clone());
        let keeper = Keeper::new(keeping, keeps, known, boot.running, first);
        let (known, holds) = (changes.known.clone(), changes.holds.clone());
        let commit = Commit { publisher, keeper, known, events, readers, keys: boot.keys, holds };
        let thread = thread::Builder::new().name("changes".to_owned()).spawn(move || {
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| commit.run(&jobs)));
            if ended.is_err() {
                tracing::error!("the thread that makes changes has failed: what is in force stays, and nothing can be changed");
            }
        })?;
        Ok((changes, thread))
    }

    /// Has an order carried out. When this returns, it is in force, and kept if it says so.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn submit(&self, order: Order) -> Result<Arc<Done>, Refused> {
        let (done, answer) = oneshot::channel();
        self.orders.try_send(Job { order, done }).map_err(|error| match error {
            mpsc::TrySendError::Full(_) => Refused::Busy,
            mpsc::TrySendError::Disconnected(_) => Refused::Stopping,
        })?;
        answer.await.unwrap_or(Err(Refused::Stopping))
    }

    /// What an order would do, as things stand now. It takes as long as compiling a table does.
    ///
    /// # Errors
    /// Why it would be refused; what only a guard refuses is part of the effect.
    pub fn preview(&self, order: &Order) -> Result<Effect, Refused> {
        let current = self.publisher.snapshot();
        let staged = Staged::upon(&self.publisher, current.clone());
        let (step, _, after) = staged.stage(order, &|version| self.text(version))?;
        let mut effect = preview(&current, &after, &self.samples);
        match &step {
            Step::Drill(drill) => effect.violations = if_dead(&current, &drill.region, drill.ends),
            Step::Table(_) => self.publisher.forget_unpublished(),
            Step::Override(change) => {
                effect.afterwards = change.afterwards(current.overlay.of(&change.target), current.table());
            }
            Step::Overlay(_) | Step::EndDrill | Step::Nothing => {}
        }
        Ok(effect)
    }

    /// What was published, and what is known of it.
    #[must_use]
    pub fn known(&self) -> Known {
        self.known.lock().clone()
    }

    /// The text of a published version, if it is still held.
    #[must_use]
    pub fn text(&self, version: u64) -> Option<Arc<str>> {
        let known = self.known.lock().get(version)?.text.clone();
        known.read(self.readers.get().map(|readers| &readers.texts))
    }

    /// Tells of every change, once it is in force.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Arc<Done>> {
        self.events.subscribe()
    }

    /// What was written to the journal, if there is one.
    #[must_use]
    pub fn history(&self) -> Option<&History<Line>> {
        self.readers.get().map(|readers| &readers.history)
    }

    /// Keeps a state that could not be opened from being opened, as long as it lives.
    pub(crate) fn hold(&self) -> Hold {
        self.holds.hold()
    }

    /// By how much the numbers of this run's versions were raised.
    pub(crate) fn renumbered(&self) -> Renumbered {
        self.known.lock().renumbered
    }

    /// Whether changes are being kept.
    #[must_use]
    pub const fn keeps(&self) -> &Keeps {
        &self.keeps
    }
}
