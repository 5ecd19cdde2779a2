//! A disk that fails as it is told to: half-written lines, errors when syncing, files that cannot be cut.

use std::fs::{self, File};
use std::sync::{Mutex, PoisonError};

use proptest::prelude::*;

use super::tail::Medium;
use super::*;

/// What the disk does next.
#[derive(Clone, Copy, Debug, Default)]
struct Mood {
    /// Bytes that it still takes; then it is full.
    room: Option<u64>,
    sync_fails: bool,
    cut_fails: bool,
    /// Whether a power cut would undo something.
    is_unsynced: bool,
}

struct Moody {
    file: File,
    mood: Arc<Mutex<Mood>>,
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

fn enospc() -> io::Error {
    io::Error::from_raw_os_error(28)
}

impl Moody {
    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_unsynced(&self, is_unsynced: bool) {
        self.mood.lock().unwrap_or_else(PoisonError::into_inner).is_unsynced = is_unsynced;
    }
}

impl Medium for Moody {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = self.mood().room.map_or(bytes.len(), |room| bytes.len().min(room as usize));
        self.set_unsynced(true);
        Medium::append(&mut self.file, &bytes[..room])?;
        if room < bytes.len() { Err(enospc()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.mood().sync_fails {
            return Err(eio());
        }
        self.set_unsynced(false);
        Medium::sync(&mut self.file)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        if self.mood().cut_fails {
            return Err(eio());
        }
        self.set_unsynced(true);
        Medium::cut(&mut self.file, len)
    }

    fn len(&self) -> io::Result<Option<u64>> {
        Medium::len(&self.file)
    }
}

fn open_moody(folder: &Path, mood: &Arc<Mutex<Mood>>) -> (Journal<Weight>, Recovered<Weight>) {
    let mood = mood.clone();
    let opener: Opener =
        Box::new(move |file| Ok(Box::new(Moody { file: file::append(file)?, mood: mood.clone() })));
    Journal::open_with(folder, SMALL, opener).unwrap()
}

fn any_mood() -> impl Strategy<Value = Mood> {
    let room = prop_oneof![Just(None), (0..900u64).prop_map(Some)];
    (room, proptest::bool::weighted(0.2), proptest::bool::weighted(0.3))
        .prop_map(|(room, sync_fails, cut_fails)| Mood { room, sync_fails, cut_fails, is_unsynced: false })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_disk_does_the_acknowledged_is_there_and_the_refused_is_not(
        days in proptest::collection::vec((any_mood(), 1..4usize, proptest::bool::weighted(0.2)), 1..16),
    ) {
        let (_temporary, folder) = folder();
        let mood = Arc::new(Mutex::new(Mood::default()));
        let (mut journal, _) = open_moody(&folder, &mood);
        let mut acknowledged = Vec::new();
        let mut checkpoint = None;
        for (day, (today, changes, checkpoints)) in days.into_iter().enumerate() {
            *mood.lock().unwrap() = today;
            let batch: Vec<_> = (0..changes).map(|change| weight(day * 10 + change)).collect();
            match journal.append(&batch) {
                Ok(_) => acknowledged.extend(batch),
                Err(error) => prop_assert!(
                    today.room.is_some() || today.sync_fails || today.cut_fails, "{}", error
                ),
            }
            if checkpoints && journal.checkpoint(&state(day)).is_ok() {
                checkpoint = Some(state(day));
                acknowledged.clear();
            }
            let head = journal.head();
            prop_assert_eq!(journal.history().head(), head);
            // What a start would find now. Where the disk does not even let go of what was refused, the journal knows.
            if journal.poisoned().is_none() {
                let verified = verify(&folder, Some(head)).unwrap();
                prop_assert_eq!((verified.head, verified.torn), (head, None));
                prop_assert!(!mood.lock().unwrap().is_unsynced, "a power cut would change what was answered");
            }
        }
        *mood.lock().unwrap() = Mood::default();
        journal.append(&[weight(99)]).unwrap();
        prop_assert_eq!(journal.poisoned(), None);
        acknowledged.push(weight(99));
        let head = journal.head();
        drop(journal);
        let (_, recovered) = open_moody(&folder, &mood);
        prop_assert_eq!(entries(&recovered), acknowledged);
        prop_assert_eq!(recovered.checkpoint.map(|written| written.entry), checkpoint);
        prop_assert!(recovered.torn.is_none() && recovered.damage.is_none());
        verify(&folder, Some(head)).unwrap();
    }
}

#[test]
fn a_full_disk_is_told_apart_and_may_have_room_again() {
    let (_temporary, folder) = folder();
    let mood = Arc::new(Mutex::new(Mood::default()));
    let (mut journal, _) = open_moody(&folder, &mood);
    journal.append(&[weight(1)]).unwrap();
    mood.lock().unwrap().room = Some(300);
    let refused = journal.append(&[weight(2), weight(3)]).unwrap_err();
    assert!(refused.is_full(), "{refused}");
    assert_eq!(journal.poisoned(), None);
    *mood.lock().unwrap() = Mood { sync_fails: true, ..Mood::default() };
    let refused = journal.append(&[weight(2)]).unwrap_err();
    assert!(matches!(refused, AppendError::Io(_)), "{refused}");
    let why = journal.poisoned().expect("the cut was not synced either").to_owned();
    assert!(why.contains("could not be cut off"), "{why}");
    assert!(matches!(journal.append(&[weight(2)]), Err(AppendError::Poisoned(_))));
    mood.lock().unwrap().sync_fails = false;
    assert_eq!(journal.append(&[weight(4)]).unwrap()[0].seq, 2);
    drop(journal);
    assert_eq!(entries(&open(&folder).1), [weight(1), weight(4)]);
}

#[test]
fn kernels_words_for_no_room() {
    for (errno, expected) in [(28, true), (122, true), (27, true), (5, false), (30, false)] {
        assert_eq!(AppendError::from(io::Error::from_raw_os_error(errno)).is_full(), expected, "{errno}");
    }
}

#[test]
fn what_somebody_else_wrote_is_set_aside() {
    let (_temporary, folder) = folder();
    let (mut journal, _) = open(&folder);
    journal.append(&[weight(1)]).unwrap();
    let file = segments(&folder).remove(0);
    let intact = fs::read_to_string(&file).unwrap();
    // An editor makes a new file, and here adds a line.
    fs::remove_file(&file).unwrap();
    fs::write(&file, intact + "a note\n").unwrap();
    assert!(matches!(journal.append(&[weight(2)]), Err(AppendError::Poisoned(_))));
    journal.append(&[weight(3)]).unwrap();
    assert_eq!(fs::read_to_string(file.with_extension("jsonl.broken")).unwrap(), "a note\n");
    // One that is not ours at all is never written to.
    fs::remove_file(&file).unwrap();
    fs::write(&file, "x".repeat(2000)).unwrap();
    for _ in 0..2 {
        assert!(matches!(journal.append(&[weight(4)]), Err(AppendError::Poisoned(_))));
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "x".repeat(2000));
}
