//! Table texts by their hash.

use std::collections::BTreeSet;
use std::fs;

use super::*;

#[test]
fn a_text_is_had_by_its_hash_until_nothing_names_it() {
    let (_temporary, folder) = folder();
    let (journal, _) = open(&folder);
    let mut texts = journal.texts().unwrap();
    let digests = texts.put(&["a = 1", "b = 2", "a = 1"]).unwrap();
    assert_eq!(digests[0], digests[2]);
    assert_eq!(digests[0], Digest::of(b"a = 1"));
    assert_eq!(texts.reader().get(&digests[1]).unwrap(), "b = 2");
    assert_eq!(texts.collect(&BTreeSet::from([digests[1]])).unwrap(), 1);
    assert!(matches!(texts.get(&digests[0]), Err(TextError::Missing(_))));
    assert_eq!(texts.get(&digests[1]).unwrap(), "b = 2");
}

#[test]
fn a_damaged_text_is_never_shown_and_is_mended_by_the_same_text() {
    let (_temporary, folder) = folder();
    let (journal, _) = open(&folder);
    let mut texts = journal.texts().unwrap();
    let digest = texts.put(&["weight = 100"]).unwrap()[0];
    let file = folder.join("tables").join(format!("{digest}.toml"));
    for damaged in ["weight = 0", "", "\u{fffd}"] {
        fs::write(&file, damaged).unwrap();
        assert!(matches!(texts.get(&digest), Err(TextError::Damaged(_))));
    }
    texts.put(&["weight = 100"]).unwrap();
    assert_eq!(texts.get(&digest).unwrap(), "weight = 100");
}

#[test]
fn what_was_not_finished_is_cleared_and_other_files_stay() {
    let (_temporary, folder) = folder();
    let (journal, _) = open(&folder);
    let mut texts = journal.texts().unwrap();
    let digest = texts.put(&["a = 1"]).unwrap()[0];
    let tables = folder.join("tables");
    fs::write(tables.join("README"), "of an operator").unwrap();
    fs::write(tables.join(format!("{digest}.toml.tmp")), "a =").unwrap();
    let mut texts = journal.texts().unwrap();
    assert_eq!(texts.collect(&BTreeSet::new()).unwrap(), 1);
    assert_eq!(fs::read_dir(&tables).unwrap().count(), 1);
}

#[test]
fn links_in_a_texts_place_are_not_followed() {
    let (temporary, folder) = folder();
    let (journal, _) = open(&folder);
    let mut texts = journal.texts().unwrap();
    let secret = temporary.path().join("secret");
    fs::write(&secret, "a = 1").unwrap();
    let digest = Digest::of(b"a = 1");
    let file = folder.join("tables").join(format!("{digest}.toml"));
    symlink(&secret, &file).unwrap();
    assert!(matches!(texts.get(&digest), Err(TextError::Io(_))));
    texts.put(&["a = 1"]).unwrap();
    assert!(fs::symlink_metadata(&file).unwrap().is_file(), "the link was replaced");
}
