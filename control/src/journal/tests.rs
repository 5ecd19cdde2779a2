mod crash;
mod disk;
mod full;
mod history;
mod pace;
mod prefixes;
mod tampering;
mod texts;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::*;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Weight {
    region: String,
    percent: u8,
}

impl Record for Weight {
    type State = BTreeMap<String, u8>;
}

/// Segments of a few lines.
const SMALL: Limits = Limits { segment_bytes: 1500, segments: 1000, bytes: u64::MAX };

fn entry<D>(data: D) -> Entry<D> {
    Entry {
        time: "2026-03-01T03:00:00.25Z".parse().unwrap(),
        author: "ada".to_owned(),
        role: "operator".to_owned(),
        reason: "a \"quoted\" reason,\nin two lines ☂".to_owned(),
        data,
    }
}

fn weight(number: usize) -> Entry<Weight> {
    entry(Weight { region: format!("region-{number}"), percent: (number % 101) as u8 })
}

fn state(number: usize) -> Entry<BTreeMap<String, u8>> {
    entry(BTreeMap::from([("until".to_owned(), number as u8)]))
}

/// A folder in memory where there is one: many starts, and none of them has to wait for a disk.
fn folder() -> (TempDir, PathBuf) {
    let memory = Path::new("/dev/shm");
    let temporary = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
    let folder = temporary.path().join("journal");
    (temporary, folder)
}

fn open(folder: &Path) -> (Journal<Weight>, Recovered<Weight>) {
    Journal::open(folder, SMALL).unwrap()
}

/// The data of what was recovered, in order.
fn entries(recovered: &Recovered<Weight>) -> Vec<Entry<Weight>> {
    recovered.entries.iter().map(|written| written.entry.clone()).collect()
}

/// A journal of that many changes, with checkpoints where they are due.
fn filled(folder: &Path, changes: usize) -> Vec<Stamp> {
    let (mut journal, _) = open(folder);
    let mut stamps = Vec::new();
    for number in 0..changes {
        stamps.extend(journal.append(&[weight(number)]).unwrap());
        if journal.wants_checkpoint() {
            journal.checkpoint(&state(number)).unwrap();
        }
    }
    stamps
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    folder::segments(folder).unwrap().into_iter().map(|segment| segment.file).collect()
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let (_temporary, folder) = folder();
    let (mut journal, recovered) = open(&folder);
    assert!(recovered.checkpoint.is_none() && recovered.entries.is_empty() && recovered.damage.is_none());
    let stamps = journal.append(&[weight(1), weight(2)]).unwrap();
    assert_eq!(journal.append(&[]).unwrap(), []);
    let last = journal.append(&[weight(3)]).unwrap()[0];
    assert_eq!([stamps[0].seq, stamps[1].seq, last.seq], [1, 2, 3]);
    let id = journal.id().to_owned();
    drop(journal);
    let (journal, recovered) = open(&folder);
    assert_eq!(entries(&recovered), [weight(1), weight(2), weight(3)]);
    assert_eq!(
        recovered.entries.iter().map(|written| written.stamp).collect::<Vec<_>>(),
        [stamps[0], stamps[1], last]
    );
    assert_eq!((journal.head(), journal.id()), (last, id.as_str()));
    assert_eq!(verify(&folder, Some(last)).unwrap().journal, id);
}

#[test]
fn a_journal_can_move_to_its_thread() {
    fn moves<T: Send + 'static>() {}
    moves::<Journal<Weight>>();
    moves::<Texts>();
    fn is_shared<T: Clone + Send + Sync + 'static>() {}
    is_shared::<History<Weight>>();
    is_shared::<TextReader>();
}

#[test]
fn a_checkpoint_stands_for_what_was_before_it() {
    let (_temporary, folder) = folder();
    let (mut journal, _) = open(&folder);
    journal.append(&[weight(1), weight(2)]).unwrap();
    let stamp = journal.checkpoint(&state(2)).unwrap();
    journal.append(&[weight(3)]).unwrap();
    drop(journal);
    let (_, recovered) = open(&folder);
    assert_eq!(recovered.checkpoint, Some(Written { stamp, entry: state(2) }));
    assert_eq!(entries(&recovered), [weight(3)]);
    let verified = verify(&folder, Some(stamp)).unwrap();
    assert_eq!((verified.oldest, verified.segments, verified.entries), (0, 2, 3));
}

#[test]
fn old_segments_go_and_the_chain_goes_on() {
    let (_temporary, folder) = folder();
    let limits = Limits { segments: 3, ..SMALL };
    let (mut journal, _) = Journal::<Weight>::open(&folder, limits).unwrap();
    let mut stamps = Vec::new();
    for number in 0..60 {
        stamps.extend(journal.append(&[weight(number)]).unwrap());
        if journal.wants_checkpoint() {
            journal.checkpoint(&state(number)).unwrap();
            assert!(segments(&folder).len() <= 3);
        }
    }
    let verified = verify(&folder, stamps.last().copied()).unwrap();
    assert!(verified.oldest > 30 && verified.segments == 3, "{verified:?}");
    let old = verify(&folder, Some(stamps[0])).unwrap_err();
    assert!(matches!(old.fault, Fault::AnchorNotHeld { oldest, .. } if oldest == verified.oldest), "{old}");
    // The line before the oldest is gone, and its hash is still known.
    let before = |stamp: &&Stamp| stamp.seq + 1 == verified.oldest;
    let anchor = *stamps.iter().find(before).unwrap();
    verify(&folder, Some(anchor)).unwrap();
    let forged = Stamp { hash: Digest::of(b""), ..anchor };
    assert!(matches!(verify(&folder, Some(forged)).unwrap_err().fault, Fault::AnchorDiffers { .. }));
}

#[test]
fn the_segment_before_the_newest_stays() {
    let (_temporary, folder) = folder();
    let limits = Limits { segments: 0, bytes: 0, ..SMALL };
    let (mut journal, _) = Journal::<Weight>::open(&folder, limits).unwrap();
    for number in 0..5 {
        journal.append(&[weight(number)]).unwrap();
        journal.checkpoint(&state(number)).unwrap();
        assert_eq!(segments(&folder).len(), 2);
    }
    journal.append(&[weight(5)]).unwrap();
    drop(journal);
    // It says the same when the newest is lost.
    let newest = segments(&folder).pop().unwrap();
    fs::write(&newest, "").unwrap();
    let (journal, recovered) = open(&folder);
    assert_eq!(recovered.checkpoint.unwrap().entry, state(3));
    assert_eq!(recovered.entries.last().unwrap().entry, weight(4));
    assert_eq!(recovered.damage.unwrap().broken.file, newest);
    assert!(journal.poisoned().is_none() && newest.with_extension("jsonl.broken").exists());
}

#[test]
fn segments_are_bounded_in_bytes_too() {
    let (_temporary, folder) = folder();
    let limits = Limits { bytes: 5000, ..SMALL };
    let (mut journal, _) = Journal::<Weight>::open(&folder, limits).unwrap();
    for number in 0..60 {
        journal.append(&[weight(number)]).unwrap();
        if journal.wants_checkpoint() {
            journal.checkpoint(&state(number)).unwrap();
            let bytes: u64 = segments(&folder).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
            assert!(bytes <= 5000 && segments(&folder).len() >= 2, "{bytes}");
        }
    }
}

#[test]
fn a_second_owner_is_told_who_the_first_is() {
    let (_temporary, folder) = folder();
    let (journal, _) = open(&folder);
    let refused = Journal::<Weight>::open(&folder, SMALL).unwrap_err();
    assert!(refused.to_string().contains(&format!("process {} ", std::process::id())), "{refused}");
    drop(journal);
    open(&folder);
}

#[test]
fn only_the_owner_can_read_and_write() {
    let (_temporary, folder) = folder();
    let (mut journal, _) = open(&folder);
    journal.append(&[weight(1)]).unwrap();
    journal.checkpoint(&state(1)).unwrap();
    journal.texts().unwrap().put(&["a = 1"]).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    let check = |folder: &Path| {
        assert_eq!(mode(folder), 0o700);
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let files: Vec<_> = files.filter(|path| path.is_file()).collect();
        files.iter().for_each(|file| assert_eq!(mode(file), 0o600, "{}", file.display()));
        files.len()
    };
    assert_eq!((check(&folder), check(&folder.join("tables"))), (3, 1));
    drop(journal);
    // What somebody opened up is closed again.
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(segments(&folder).last().unwrap(), Permissions::from_mode(0o644)).unwrap();
    let (mut journal, _) = open(&folder);
    journal.append(&[weight(2)]).unwrap();
    check(&folder);
}

#[test]
fn a_folder_that_others_can_write_is_refused() {
    let (_temporary, folder) = folder();
    open(&folder);
    for mode in [0o777, 0o770, 0o702] {
        fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
        let refused = Journal::<Weight>::open(&folder, SMALL).unwrap_err();
        assert!(matches!(refused, OpenError::OthersCanWrite { .. }), "{refused}");
    }
}

#[test]
fn links_are_not_followed() {
    let (temporary, folder) = folder();
    open(&folder);
    let link = temporary.path().join("link");
    symlink(&folder, &link).unwrap();
    assert!(matches!(Journal::<Weight>::open(&link, SMALL), Err(OpenError::NotAFolder(_))));
    let segment = segments(&folder).remove(0);
    let elsewhere = temporary.path().join("elsewhere");
    fs::rename(&segment, &elsewhere).unwrap();
    symlink(&elsewhere, &segment).unwrap();
    assert!(matches!(Journal::<Weight>::open(&folder, SMALL), Err(OpenError::Io { .. })));
    assert!(matches!(verify(&folder, None).unwrap_err().fault, Fault::Unreadable(_)));
}

#[test]
fn what_another_version_wrote_is_left_as_it_is() {
    #[derive(Deserialize, Serialize)]
    struct Newer {
        colour: String,
    }
    impl Record for Newer {
        type State = ();
    }
    let (_temporary, folder) = folder();
    let (mut journal, _) = Journal::<Newer>::open(&folder, SMALL).unwrap();
    journal.append(&[entry(Newer { colour: "red".to_owned() })]).unwrap();
    drop(journal);
    let segment = segments(&folder).remove(0);
    let before = fs::read(&segment).unwrap();
    let refused = Journal::<Weight>::open(&folder, SMALL).unwrap_err();
    assert!(matches!(&refused, OpenError::Foreign(broken) if broken.line == 2), "{refused}");
    assert_eq!(fs::read(&segment).unwrap(), before);
    verify(&folder, None).unwrap();
}

#[test]
fn what_could_not_be_read_back_is_not_written() {
    #[derive(Deserialize, Serialize)]
    struct Share(f64);
    impl Record for Share {
        type State = Share;
    }
    let (_temporary, folder) = folder();
    let (mut journal, _) = Journal::<Share>::open(&folder, SMALL).unwrap();
    let refused = journal.append(&[entry(Share(0.5)), entry(Share(f64::NAN))]).unwrap_err();
    assert!(matches!(refused, AppendError::Unreadable(_)), "{refused}");
    assert!(journal.checkpoint(&entry(Share(f64::INFINITY))).is_err());
    assert_eq!(journal.append(&[entry(Share(0.5))]).unwrap()[0].seq, 1);
    assert_eq!(verify(&folder, None).unwrap().entries, 1);
}

#[test]
fn an_entry_has_a_bounded_length() {
    let (_temporary, folder) = folder();
    let (mut journal, _) = open(&folder);
    let huge = entry(Weight { region: "x".repeat(line::MAX_BYTES), percent: 0 });
    assert!(matches!(journal.append(&[weight(1), huge]), Err(AppendError::TooLarge { .. })));
    assert_eq!(journal.head().seq, 0);
}

#[test]
fn hashes_can_be_computed_with_a_shell() {
    let (_temporary, folder) = folder();
    let stamps = filled(&folder, 1);
    let script = r#"sed -n '2{s/,"hash":"[0-9a-f]*"}$//;p}' "$0" | tr -d '\n' | sha256sum"#;
    let output =
        std::process::Command::new("sh").args(["-c", script]).arg(&segments(&folder)[0]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{}  -\n", stamps[0].hash));
}

#[test]
fn anchors_are_read_as_they_are_written() {
    let stamp = Stamp { seq: 812, hash: Digest::of(b"text") };
    assert_eq!(stamp.to_string().parse(), Ok(stamp));
    for wrong in ["", "812", "x:00", "812:", &stamp.to_string().to_uppercase(), &format!("{stamp}0")] {
        assert_eq!(wrong.parse::<Stamp>(), Err(NotAStamp), "{wrong}");
    }
}
