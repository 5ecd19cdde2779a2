//! Real disks that are full, or cannot be written: file systems in memory, mounted for it.

use std::fs;
use std::io::Write;
use std::process::Command;

use super::*;

/// A file system of 64 KiB.
struct Disk(TempDir);

impl Disk {
    /// None where this process may not mount; says so.
    fn mount() -> Option<Self> {
        let temporary = TempDir::new().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs"]).arg(temporary.path());
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self(temporary)),
            other => {
                let line = format!("SKIPPED: a test with a full disk needs root and mount: {other:?}\n");
                io::stderr().write_all(line.as_bytes()).unwrap();
                None
            }
        }
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let mut mount = Command::new("mount");
        assert!(mount.args(["-o", &options]).arg(self.0.path()).status().unwrap().success());
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("journal")
    }

    /// Takes all the room that is left, which is given back when the file is removed.
    fn fill(&self) -> PathBuf {
        let file = self.0.path().join("filler");
        let mut filler = fs::File::create(&file).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
        file
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_costs_nothing_and_takes_entries_again_when_there_is_room() {
    let Some(disk) = Disk::mount() else { return };
    let folder = disk.folder();
    let (mut journal, _) = open(&folder);
    journal.append(&[weight(0)]).unwrap();
    let filler = disk.fill();
    let mut acknowledged = vec![weight(0)];
    // Some fit into the last page.
    let refused = loop {
        let batch = [weight(acknowledged.len()), weight(acknowledged.len() + 1)];
        match journal.append(&batch) {
            Ok(_) => acknowledged.extend(batch),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 1000);
    };
    assert!(refused.is_full(), "{refused}");
    let refused = journal.checkpoint(&state(1)).unwrap_err();
    assert!(refused.is_full(), "{refused}");
    let head = journal.head();
    assert_eq!(verify(&folder, Some(head)).unwrap().head, head);
    assert!(journal.texts().is_err() || journal.texts().unwrap().put(&["a = 1"]).is_err());
    drop(journal);
    // A start on a full disk.
    let (mut journal, recovered) = open(&folder);
    assert_eq!(entries(&recovered), acknowledged);
    assert!(journal.append(&[weight(1), weight(2)]).unwrap_err().is_full());
    fs::remove_file(filler).unwrap();
    journal.append(&[weight(7)]).unwrap();
    journal.checkpoint(&state(7)).unwrap();
    journal.append(&[weight(8)]).unwrap();
    drop(journal);
    assert_eq!(entries(&open(&folder).1), [weight(8)]);
    assert_eq!(verify(&folder, Some(head)).unwrap().entries, acknowledged.len() as u64 + 2);
}

#[test]
fn damage_on_a_full_disk_is_set_aside_as_soon_as_there_is_room() {
    let Some(disk) = Disk::mount() else { return };
    let folder = disk.folder();
    let (mut journal, _) = open(&folder);
    (0..10).for_each(|number| drop(journal.append(&[weight(number)]).unwrap()));
    drop(journal);
    let file = segments(&folder).remove(0);
    let spoilt = fs::read_to_string(&file).unwrap().replace("region-3", "region-x");
    fs::write(&file, &spoilt).unwrap();
    let filler = disk.fill();
    let (mut journal, recovered) = open(&folder);
    assert_eq!(entries(&recovered), [weight(0), weight(1), weight(2)]);
    assert!(recovered.damage.is_some() && journal.poisoned().is_some());
    assert!(journal.append(&[weight(3)]).unwrap_err().is_full());
    assert_eq!(fs::read_to_string(&file).unwrap(), spoilt, "nothing is lost meanwhile");
    fs::remove_file(filler).unwrap();
    journal.append(&[weight(4)]).unwrap();
    assert!(fs::read_to_string(file.with_extension("jsonl.broken")).unwrap().contains("region-9"));
    drop(journal);
    assert_eq!(entries(&open(&folder).1), [weight(0), weight(1), weight(2), weight(4)]);
}

#[test]
fn a_torn_line_does_not_stop_a_start_on_a_full_disk() {
    let Some(disk) = Disk::mount() else { return };
    let folder = disk.folder();
    let (mut journal, _) = open(&folder);
    journal.append(&[weight(0), weight(1)]).unwrap();
    drop(journal);
    let file = segments(&folder).remove(0);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 9]).unwrap();
    disk.fill();
    let (mut journal, recovered) = open(&folder);
    assert!(recovered.torn.is_some() && journal.poisoned().is_none());
    // Into the room that it took.
    journal.append(&[weight(2)]).unwrap();
    drop(journal);
    assert_eq!(entries(&open(&folder).1), [weight(0), weight(2)]);
}

#[test]
fn what_was_kept_is_known_on_a_disk_that_cannot_be_written() {
    let Some(disk) = Disk::mount() else { return };
    let folder = disk.folder();
    let (mut journal, _) = open(&folder);
    journal.append(&[weight(0), weight(1)]).unwrap();
    let text = journal.texts().unwrap().put(&["a = 1"]).unwrap()[0];
    drop(journal);
    disk.remount("ro");
    let (mut journal, recovered) = open(&folder);
    assert_eq!(entries(&recovered), [weight(0), weight(1)]);
    assert_eq!(journal.texts().unwrap().get(&text).unwrap(), "a = 1");
    let refused = journal.append(&[weight(2)]).unwrap_err();
    assert!(matches!(refused, AppendError::Poisoned(_)), "{refused}");
    assert!(matches!(Journal::<Weight>::open(&folder, SMALL), Err(OpenError::Owned { .. })));
    disk.remount("rw");
    journal.append(&[weight(3)]).unwrap();
    drop(journal);
    assert_eq!(entries(&open(&folder).1), [weight(0), weight(1), weight(3)]);
}

#[test]
fn what_cannot_be_read_is_left_alone_and_what_is_before_it_is_known() {
    let (_temporary, folder) = folder();
    let (mut journal, _) = open(&folder);
    journal.append(&[weight(0)]).unwrap();
    journal.checkpoint(&state(0)).unwrap();
    journal.append(&[weight(1)]).unwrap();
    drop(journal);
    // A file whose first byte is a bad block: the memory of this process has nothing there.
    let newest = segments(&folder).pop().unwrap();
    let memory = format!("/proc/{}/mem", std::process::id());
    let bound = Command::new("mount").args(["--bind", &memory]).arg(&newest).status();
    if !bound.is_ok_and(|status| status.success()) {
        io::stderr().write_all(b"SKIPPED: a test with a bad block needs root and mount\n").unwrap();
        return;
    }
    let opened = Journal::<Weight>::open(&folder, SMALL);
    let is_unbound = Command::new("umount").arg(&newest).status().is_ok_and(|status| status.success());
    assert!(is_unbound);
    let (mut journal, recovered) = opened.unwrap();
    assert_eq!(entries(&recovered), [weight(0)]);
    assert!(matches!(&recovered.damage, Some(damage) if matches!(damage.broken.fault, Fault::Unreadable(_))));
    assert!(matches!(journal.append(&[weight(2)]), Err(AppendError::Poisoned(_))));
    drop(journal);
    // It can be read again: nothing was lost.
    let (mut journal, recovered) = open(&folder);
    assert!(recovered.damage.is_none() && recovered.aside.is_empty());
    assert_eq!(entries(&recovered), [weight(1)]);
    journal.append(&[weight(2)]).unwrap();
}
