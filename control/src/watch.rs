//! Files that change: tells when one of them may have.
//!
//! Editors and deployment tools replace files by renaming, so the folders are watched, not the files. Events come in bursts;
//! whoever listens gets one notice per burst and reads the files again. A notice means "look", not "it changed".
//!
//! Left out: network file systems that report nothing. SIGHUP reads everything again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// How long a file must be quiet before it is read: a writer that is not atomic gets this long to finish.
const SETTLE: Duration = Duration::from_millis(200);

/// A watch over some files. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    _watcher: notify::RecommendedWatcher,
    events: mpsc::Receiver<()>,
    /// When the burst that is under way will be over.
    quiet_at: Option<Instant>,
}

impl Watch {
    /// Watches the folders of `files`.
    ///
    /// # Errors
    /// If the system refuses, for example because it has no more watches to give.
    pub fn over(files: impl IntoIterator<Item = PathBuf>) -> notify::Result<Self> {
        let files: BTreeSet<PathBuf> = files.into_iter().collect();
        let folders: BTreeSet<PathBuf> = files.iter().map(|file| folder(file)).collect();
        let (sender, events) = mpsc::channel(1);
        let names: BTreeSet<_> =
            files.iter().filter_map(|file| file.file_name().map(ToOwned::to_owned)).collect();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let concerns = |event: &Event| {
                let named = |path: &PathBuf| path.file_name().is_some_and(|name| names.contains(name));
                // Kubernetes swaps a link named `..data` beside the files.
                let swapped = |path: &PathBuf| path.file_name().is_some_and(|name| name == "..data");
                !event.kind.is_access() && event.paths.iter().any(|path| named(path) || swapped(path))
            };
            if event.as_ref().map_or(true, concerns) {
                // Full means that a notice is waiting already.
                let _ = sender.try_send(());
            }
        })?;
        for folder in folders {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Self { _watcher: watcher, events, quiet_at: None })
    }

    /// Waits until one of the files may have changed and has been quiet since. Whoever stops waiting and waits again misses
    /// nothing.
    pub async fn changed(&mut self) {
        loop {
            let event = match self.quiet_at {
                None => self.events.recv().await,
                Some(at) => match timeout_at(at, self.events.recv()).await {
                    Ok(event) => event,
                    Err(_) => break,
                },
            };
            if event.is_none() {
                std::future::pending::<()>().await;
            }
            self.quiet_at = Some(Instant::now() + SETTLE);
        }
        self.quiet_at = None;
    }
}

fn folder(file: &Path) -> PathBuf {
    file.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_notice_outlives_those_who_stop_waiting_for_it() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("table.toml");
        let mut watch = Watch::over([file.clone()]).unwrap();
        std::fs::write(&file, "1").unwrap();
        let mut rounds = 0;
        // Each wait is shorter than it takes a burst to settle.
        while tokio::time::timeout(SETTLE / 4, watch.changed()).await.is_err() {
            rounds += 1;
            assert!(rounds < 100, "the notice is lost");
        }
    }
}
