//! A start: from what was in force before, and the table's file, to what is in force now.
//!
//! Whoever changed the table last is obeyed. If its file is as it was when it was last read, what was published since by the API
//! goes on; if the file has changed, it is published, as it would have been had this edge been running. If it is missing or
//! wrong, the last table that was in force serves, and the log says so: a typo must not keep an edge from starting. It says so
//! at every start that serves something else than the file, for whoever reads the log of this start alone.
//!
//! "As it would have been" includes the guard. A file that was changed while nobody ran is compared with what was in force last,
//! under the overrides that go on: else a restart would put in force what a running edge refuses, and the drain of yesterday
//! together with the file of today would leave a route without a region. Nothing is known of health yet, so only what was
//! written counts. Where nothing was in force before, there is nothing to protect. What was refused, by the guard or
//! for its mistakes, is noted as read, or the next start would take it for a change again.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use jiff::Timestamp;
use steer::Moment;
use steer::client::Pop;

use super::Changes;
use super::file_fate::{refused_by_guard, refused_for};
use super::keeper::{Broken, Keeping};
use super::known::{KnownVersion, Text};
use super::opening::open;
use super::record::{Line, Recorded};
use super::restore::Boot;
use super::seen::Seen;
use super::unwritten::Unwritten;
use crate::clock::Clock;
use crate::document::Finding;
use crate::effect::refused;
use crate::journal::{Digest, Entry, TextReader};
use crate::publisher::{Draft, Publisher, Resumed, TableCheck};
use crate::share::Samples;
use crate::snapshot::Snapshot;
use crate::version::{About, fingerprint};

/// What a start needs.
pub struct Start<'a> {
    /// Where changes are kept; `None` if nowhere.
    pub state: Option<&'a Path>,
    /// The table's file, as it was read; or why it could not be.
    pub file: Result<Draft, Box<Finding>>,
    /// Where this PoP is.
    pub pop: Pop,
    /// How many workers there will be.
    pub workers: usize,
    /// The clock of everything.
    pub clock: Clock,
    /// A further check of tables.
    pub check: TableCheck,
    /// What predictions are made from.
    pub samples: Arc<Samples>,
}

/// A control plane that has started.
#[derive(Debug)]
pub struct Started {
    /// What is in force.
    pub publisher: Arc<Publisher>,
    /// Where orders go.
    pub changes: Changes,
    /// The thread that carries them out; it ends when the last [`Changes`] is dropped.
    pub thread: JoinHandle<()>,
}

/// Why nothing can start.
#[derive(Debug)]
pub enum NotStarted {
    /// No table can serve; what is wrong with the first of them.
    Table(Vec<Finding>),
    /// The system gives no thread.
    System(std::io::Error),
}

/// A table that may serve first.
struct First {
    draft: Draft,
    /// What it was before, if it is the version that was in force.
    was: Option<About>,
    is_file: bool,
}

impl std::fmt::Debug for Start<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Start").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Starts a control plane.
///
/// # Errors
/// [`NotStarted`]. A state folder that cannot be used is no error: this edge serves without, says so, and tries again.
pub fn start(parts: Start<'_>) -> Result<Started, NotStarted> {
    let Start { state, file, pop, workers, clock, check, samples } = parts;
    let (keeping, mut boot) = opened(state, clock.now());
    let texts = match &keeping {
        Keeping::Journal(_, texts) => Some(texts.reader()),
        Keeping::Nowhere | Keeping::Broken(_) => None,
    };
    let (file, mut mistakes) = match file {
        Ok(draft) => (Some(draft), None),
        Err(problem) => (None, Some(vec![*problem])),
    };
    let read_before = file.clone().filter(|draft| is_read(&boot, draft));
    let mut first = boot.remarks(clock.wall());
    for First { draft, was, is_file } in candidates(&boot, file, texts.as_ref()) {
        let resumed = was.clone().map_or(Resumed::After(boot.last_version()), Resumed::Again);
        let place = (pop.clone(), workers);
        let publisher = match Publisher::resume(
            draft.clone(),
            resumed,
            boot.overlay.clone(),
            place,
            clock,
            check.clone(),
        ) {
            Ok(publisher) => publisher,
            Err(findings) => {
                if is_file {
                    first.push(refused_file(
                        &mut boot,
                        &draft,
                        &refused_for(&findings, &draft.text),
                        clock.wall(),
                    ));
                }
                mistakes.get_or_insert(findings);
                continue;
            }
        };
        if is_file && let Some(former) = in_force_last(&boot, texts.as_ref(), (&pop, workers), clock, &check)
        {
            let (former, after) = (former.snapshot(), publisher.snapshot());
            // Under the very same overrides: theirs were revived a moment earlier, and would expire a moment apart.
            let before = Snapshot { overlay: after.overlay.clone(), ..Snapshot::clone(&former) };
            let violations = refused(&before, &after);
            if !violations.is_empty() {
                violations.iter().for_each(|violation| tracing::error!("{violation}"));
                let (file, seen) = (&draft.source, Seen::of(&before));
                tracing::error!(
                    "the table's file has changed and is refused; the table that was in force before serves; \
                     if that is meant: nearside tables publish {file} --reason ... --force {seen}"
                );
                first.push(refused_file(&mut boot, &draft, &refused_by_guard(&violations), clock.wall()));
                continue;
            }
        }
        let about = publisher.snapshot().version.about.clone();
        for finding in mistakes.iter().flatten() {
            tracing::error!("{finding}");
        }
        if mistakes.is_some() {
            let (version, from) = (about.version, about.published_at);
            tracing::error!(version, %from, "the table that was in force before serves");
        }
        if let Some(file) = read_before.filter(|file| fingerprint(&file.text) != about.fingerprint) {
            tell_of_other(file, about.version, &publisher);
        }
        if was.is_none() {
            first.push(begun(&mut boot, &about, &draft.text, is_file));
        }
        let publisher = Arc::new(publisher);
        return Changes::start(publisher.clone(), samples, keeping, boot, first)
            .map(|(changes, thread)| Started { publisher, changes, thread })
            .map_err(NotStarted::System);
    }
    Err(NotStarted::Table(mistakes.unwrap_or_default()))
}

fn opened(state: Option<&Path>, now: Moment) -> (Keeping, Boot) {
    let Some(folder) = state else { return (Keeping::Nowhere, Boot::default()) };
    let (keeping, boot) = open(folder);
    let (is_read, boot) = (boot.is_some(), boot.unwrap_or_default());
    let keeping = keeping.unwrap_or_else(|problem| {
        tracing::error!(folder = %folder.display(), error = problem, "changes cannot be kept; it is tried again");
        Keeping::Broken(Broken::new(folder, problem, boot.last_version(), now))
    });
    if !is_read {
        tracing::error!("what operators changed in former runs is not in force");
    }
    (keeping, boot)
}

/// What was in force when the process before ended, as far as it can still be read and compiled.
fn in_force_last(
    boot: &Boot,
    texts: Option<&TextReader>,
    (pop, workers): (&Pop, usize),
    clock: Clock,
    check: &TableCheck,
) -> Option<Publisher> {
    let last = boot.known.versions().next_back()?;
    let (again, place) = (Resumed::Again(last.about.clone()), (pop.clone(), workers));
    Publisher::resume(last.draft(texts)?, again, boot.overlay.clone(), place, clock, check.clone()).ok()
}

/// The tables that may serve first, the best one first.
fn candidates(
    boot: &Boot,
    file: Option<Draft>,
    texts: Option<&TextReader>,
) -> impl Iterator<Item = First> + use<> {
    let changed = file.clone().filter(|draft| !is_read(boot, draft));
    let changed = changed.map(|draft| First { draft, was: None, is_file: true });
    let (known, texts, last) = (boot.known.clone(), texts.cloned(), boot.last_version());
    let held: Vec<KnownVersion> = known.versions().rev().cloned().collect();
    let held = held.into_iter().filter_map(move |known| {
        let draft = known.draft(texts.as_ref())?;
        let version = known.about.version;
        Some(match version == last {
            true => First { draft, was: Some(known.about), is_file: false },
            false => {
                let source = format!("version {version}");
                First { draft: Draft { source, ..draft }, was: None, is_file: false }
            }
        })
    });
    // Nothing that was in force can be read any more: the file, though it has not changed.
    let unchanged = file.map(|draft| First { draft, was: None, is_file: true });
    changed.into_iter().chain(held).chain(unchanged)
}

/// A file that does not serve was read all the same: what has to be written of it.
fn refused_file(boot: &mut Boot, draft: &Draft, reason: &str, time: Timestamp) -> Unwritten {
    let fingerprint = fingerprint(&draft.text);
    boot.known.file = Some(fingerprint.clone());
    Unwritten::own(Recorded::FileRead { fingerprint }, reason, time)
}

/// Whether the table's file is as it was when it was last read.
fn is_read(boot: &Boot, file: &Draft) -> bool {
    boot.known.file.as_ref().is_some_and(|read| *read == fingerprint(&file.text))
}

/// Says that the table's file is something else than what serves, though it has not changed since it was last read.
fn tell_of_other(file: Draft, version: u64, publisher: &Publisher) {
    let source = file.source.clone();
    match publisher.compiled(file, version) {
        Err(findings) => {
            findings.iter().for_each(|finding| tracing::error!("{finding}"));
            tracing::error!(
                "{source} has mistakes and differs from version {version}, which is in force and serves"
            );
        }
        Ok(_) => tracing::warn!(
            "{source} differs from version {version}, which is in force and serves; if the file is meant: nearside tables \
             publish {source} --reason ..."
        ),
    }
}

/// The first table is a new version: what has to be written of it.
pub(super) fn begun(boot: &mut Boot, about: &About, text: &str, is_file: bool) -> Unwritten {
    if is_file {
        boot.known.file = Some(about.fingerprint.clone());
    }
    let held = Text::Held(text.into());
    boot.known.add(KnownVersion { about: about.clone(), is_volatile: true, text: held });
    let change = Recorded::Table { about: about.clone(), text: Digest::of(text.as_bytes()), is_file };
    let entry = Entry {
        time: about.published_at,
        author: about.author.clone(),
        role: about.author.clone(),
        reason: about.reason.clone(),
        data: Line { change, key: None, late: false },
    };
    Unwritten { entry, text: Some(text.into()) }
}
