//! What `verify` says of what people do to a journal.

use std::fs;
use std::path::Path;

use super::*;

/// A journal of several segments, changed by `change`, and what is said of it.
fn said(change: impl Fn(&[PathBuf])) -> (Broken, Vec<PathBuf>) {
    let (_temporary, folder) = folder();
    filled(&folder, 20);
    let files = segments(&folder);
    assert!(files.len() >= 3, "{files:?}");
    change(&files);
    (verify(&folder, None).unwrap_err(), files)
}

fn lines(file: &Path, change: impl Fn(&mut Vec<String>)) {
    let text = fs::read_to_string(file).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(file, lines.join("\n") + "\n").unwrap();
}

/// The first file, changed line by line, and what is said of it.
fn said_of_lines(change: impl Fn(&mut Vec<String>)) -> Broken {
    let (broken, files) = said(|files| lines(&files[0], &change));
    assert_eq!(broken.file, files[0], "{broken}");
    broken
}

/// A line with another text and the hash of that.
fn forged(line: &str) -> String {
    let body = line.split(",\"hash\":").next().unwrap().replace("\"author\":\"ada\"", "\"author\":\"eve\"");
    format!("{body},\"hash\":\"{}\"}}", Digest::of(body.as_bytes()))
}

#[test]
fn an_edited_line_is_named() {
    let broken = said_of_lines(|lines| lines[2] = lines[2].replace("ada", "eve"));
    assert!(broken.line == 3 && matches!(broken.fault, Fault::Edited), "{broken}");
}

#[test]
fn a_line_that_was_edited_with_a_new_hash_is_named_by_the_next() {
    let broken = said_of_lines(|lines| lines[2] = forged(&lines[2]));
    assert!(broken.line == 4 && matches!(broken.fault, Fault::Replaced), "{broken}");
}

#[test]
fn removed_lines_are_named() {
    let broken = said_of_lines(|lines| drop(lines.drain(2..4)));
    assert!(broken.line == 3 && matches!(broken.fault, Fault::Removed { first: 2, last: 3 }), "{broken}");
}

#[test]
fn an_inserted_line_is_named() {
    let broken = said_of_lines(|lines| lines.insert(3, forged(&lines[3])));
    assert!(broken.line == 5 && matches!(broken.fault, Fault::Inserted { belongs: 4, found: 3 }), "{broken}");
    let broken = said_of_lines(|lines| lines.insert(3, "{\"seq\":3}".to_owned()));
    assert!(broken.line == 4 && matches!(broken.fault, Fault::NotALine), "{broken}");
}

#[test]
fn a_repeated_line_is_named() {
    let broken = said_of_lines(|lines| lines.insert(3, lines[2].clone()));
    assert!(broken.line == 4 && matches!(broken.fault, Fault::Inserted { belongs: 3, found: 2 }), "{broken}");
}

#[test]
fn reordered_lines_are_named() {
    let broken = said_of_lines(|lines| lines.swap(2, 4));
    let is_it = matches!(broken.fault, Fault::Reordered { belongs: 2, line: 5, .. });
    assert!(broken.line == 3 && is_it, "{broken}");
    // Also across files.
    let (broken, files) = said(|files| {
        let moved = fs::read_to_string(&files[0]).unwrap().lines().nth(2).unwrap().to_owned();
        lines(&files[0], |lines| drop(lines.remove(2)));
        lines(&files[1], |lines| lines.push(moved.clone()));
    });
    let is_it = matches!(&broken.fault, Fault::Reordered { belongs: 2, file, .. } if *file == files[1]);
    assert!(broken.line == 3 && is_it, "{broken}");
}

#[test]
fn a_line_that_was_cut_in_the_middle_is_named() {
    let broken = said_of_lines(|lines| lines[2].truncate(60));
    assert!(broken.line == 3 && matches!(broken.fault, Fault::NotALine), "{broken}");
    let (broken, files) = said(|files| {
        let bytes = fs::read(&files[1]).unwrap();
        fs::write(&files[1], &bytes[..bytes.len() - 10]).unwrap();
    });
    assert!(broken.file == files[1] && matches!(broken.fault, Fault::CutShort), "{broken}");
}

#[test]
fn a_removed_file_is_named_by_the_next() {
    let (broken, files) = said(|files| fs::remove_file(&files[1]).unwrap());
    assert!(broken.file == files[2] && matches!(broken.fault, Fault::Removed { .. }), "{broken}");
}

#[test]
fn a_file_under_another_name_or_of_another_journal_is_named() {
    let (broken, files) = said(|files| {
        fs::rename(&files[0], files[0].with_file_name(folder::name_of(1))).unwrap();
    });
    assert!(broken.file != files[0] && matches!(broken.fault, Fault::WrongName), "{broken}");
    // Only its own name and its own chain were made to fit.
    let (broken, _) = said(|files| {
        let text = fs::read_to_string(&files[1]).unwrap();
        let line = text.lines().next().unwrap();
        let (before, after) = line.split_once("\"journal\":\"").unwrap();
        let line = forged(&format!("{before}\"journal\":\"{}{}", "0".repeat(32), &after[32..]));
        fs::write(&files[1], line + "\n").unwrap();
    });
    assert!(broken.line == 1 && matches!(broken.fault, Fault::OtherJournal), "{broken}");
}

#[test]
fn a_removed_end_is_seen_with_an_anchor_and_only_with_one() {
    let (_temporary, folder) = folder();
    let stamps = filled(&folder, 22);
    let anchor = stamps.last().copied();
    verify(&folder, anchor).unwrap();
    let newest = segments(&folder).pop().unwrap();
    lines(&newest, |lines| drop(lines.pop()));
    verify(&folder, None).unwrap();
    let broken = verify(&folder, anchor).unwrap_err();
    assert!(matches!(broken.fault, Fault::EndRemoved { .. }), "{broken}");
    fs::remove_file(newest).unwrap();
    verify(&folder, None).unwrap();
    assert!(matches!(verify(&folder, anchor).unwrap_err().fault, Fault::EndRemoved { .. }));
}

#[test]
fn a_chain_that_was_written_anew_is_seen_with_an_anchor_and_only_with_one() {
    let (_temporary, folder) = folder();
    let stamps = filled(&folder, 3);
    lines(&segments(&folder)[0], |lines| {
        for index in 2..lines.len() {
            let at = lines[index].find(",\"prev\":").unwrap();
            let hash = lines[index - 1].split(",\"hash\":").nth(1).unwrap().trim_end_matches('}').to_owned();
            let body = format!("{},\"prev\":{hash}", &lines[index][..at]);
            lines[index] = forged(&format!("{body},\"hash\":"));
        }
    });
    verify(&folder, Some(stamps[0])).unwrap();
    verify(&folder, None).unwrap();
    let broken = verify(&folder, stamps.last().copied()).unwrap_err();
    assert!(matches!(broken.fault, Fault::AnchorDiffers { .. }), "{broken}");
}

#[test]
fn a_torn_end_is_told_apart() {
    let (_temporary, folder) = folder();
    filled(&folder, 2);
    let file = segments(&folder).pop().unwrap();
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    let verified = verify(&folder, None).unwrap();
    assert_eq!(verified.entries, 1);
    assert_eq!(verified.torn.map(|torn| torn.line), Some(3));
}

#[test]
fn nothing_is_no_journal() {
    let (_temporary, folder) = folder();
    fs::create_dir(&folder).unwrap();
    assert!(matches!(verify(&folder, None).unwrap_err().fault, Fault::Empty));
    assert!(matches!(verify(&folder.join("none"), None).unwrap_err().fault, Fault::Unreadable(_)));
}

#[test]
fn a_line_without_end_does_not_fill_the_memory() {
    let (_temporary, folder) = folder();
    filled(&folder, 1);
    let file = segments(&folder).pop().unwrap();
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(1 << 30).unwrap();
    let broken = verify(&folder, None).unwrap_err();
    assert!(broken.line == 3 && matches!(broken.fault, Fault::TooLong), "{broken}");
}
