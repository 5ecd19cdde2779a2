//! A crash leaves the beginning of what was written, of any length; a disk may change any byte.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

/// Changes in batches, some with awkward texts.
fn any_batches() -> impl Strategy<Value = Vec<Vec<Entry<Weight>>>> {
    let any_entry = ("\\PC{0,12}", ".{0,8}", 0..=100u8)
        .prop_map(|(region, reason, percent)| Entry { reason, ..entry(Weight { region, percent }) });
    proptest::collection::vec(proptest::collection::vec(any_entry, 1..3), 1..4)
}

/// Writes the batches, with a checkpoint before the one of that number.
fn write(folder: &Path, batches: &[Vec<Entry<Weight>>], checkpoint: usize) {
    let (mut journal, _) = open(folder);
    for (number, batch) in batches.iter().enumerate() {
        if number == checkpoint {
            journal.checkpoint(&state(number)).unwrap();
        }
        journal.append(batch).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in segments(from) {
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

/// Opens what is left of a journal, appends, and opens it again.
fn survives(folder: &Path, expected: &[Entry<Weight>]) -> Result<Recovered<Weight>, TestCaseError> {
    let (mut journal, first) = open(folder);
    prop_assert_eq!(entries(&first), expected);
    journal.append(&[weight(77)]).unwrap();
    let head = journal.head();
    drop(journal);
    let (_, second) = open(folder);
    prop_assert_eq!(entries(&second), [expected, &[weight(77)]].concat());
    prop_assert_eq!(&second.checkpoint, &first.checkpoint);
    prop_assert!(second.torn.is_none() && second.damage.is_none());
    prop_assert_eq!(verify(folder, Some(head)).unwrap().head, head);
    Ok(first)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_beginning_recovers_its_whole_lines(batches in any_batches(), checkpoint in 0..5usize) {
        let (temporary, folder) = folder();
        write(&folder, &batches, checkpoint);
        let newest = segments(&folder).pop().unwrap();
        let bytes = fs::read(&newest).unwrap();
        let has_checkpoint = checkpoint < batches.len();
        let (before, after) = batches.split_at(if has_checkpoint { checkpoint } else { 0 });
        let (in_former, in_newest) = (before.concat(), after.concat());
        for len in 0..=bytes.len() {
            let cut = temporary.path().join(format!("cut-{len}"));
            copy(&folder, &cut);
            let file = cut.join(newest.file_name().unwrap());
            fs::write(&file, &bytes[..len]).unwrap();
            let whole = bytes[..len].iter().filter(|byte| **byte == b'\n').count();
            let is_torn = len > 0 && bytes[len - 1] != b'\n';
            if whole == 0 {
                // Not even the beginning is there, which no crash does; the segment before has all that was before.
                let recovered = survives(&cut, &in_former)?;
                prop_assert!(recovered.damage.is_some() && recovered.checkpoint.is_none());
            } else {
                let recovered = survives(&cut, &in_newest[..whole - 1])?;
                prop_assert_eq!(recovered.checkpoint.is_some(), has_checkpoint);
                prop_assert!(recovered.damage.is_none());
                prop_assert_eq!(recovered.torn.is_some(), is_torn);
                let torn = fs::read(file.with_extension("jsonl.torn")).unwrap_or_default();
                let rest = bytes[..len].rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
                prop_assert_eq!(torn, rest, "what was cut off is kept");
            }
            fs::remove_dir_all(&cut).unwrap();
        }
    }

    #[test]
    fn every_changed_byte_is_found(batches in any_batches(), checkpoint in 0..5usize, flips in any::<[u8; 16]>()) {
        let (_temporary, folder) = folder();
        write(&folder, &batches, checkpoint);
        for file in segments(&folder) {
            let bytes = fs::read(&file).unwrap();
            for at in 0..bytes.len() {
                let flip = flips[at % flips.len()].max(1);
                // Also what makes an end of a line, and what unmakes one with the least change.
                for changed in [bytes[at] ^ flip, b'\n', bytes[at] ^ 1] {
                    let mut spoilt = bytes.clone();
                    spoilt[at] = changed;
                    fs::write(&file, &spoilt).unwrap();
                    prop_assert_eq!(verify(&folder, None).is_err(), changed != bytes[at], "byte {}: {}", at, changed);
                }
            }
            fs::write(&file, &bytes).unwrap();
        }
        verify(&folder, None).unwrap();
    }

    #[test]
    fn a_changed_byte_costs_what_follows_it_and_nothing_before(
        batches in any_batches(), at in any::<proptest::sample::Index>(), flip in 1..=255u8,
    ) {
        let (_temporary, folder) = folder();
        write(&folder, &batches, usize::MAX);
        let file = segments(&folder).pop().unwrap();
        let mut bytes = fs::read(&file).unwrap();
        let start = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let at = start + at.index(bytes.len() - start);
        let intact = bytes[start..at].iter().filter(|byte| **byte == b'\n').count();
        let good: usize = bytes.split_inclusive(|byte| *byte == b'\n').take(intact + 1).map(<[u8]>::len).sum();
        bytes[at] ^= flip;
        fs::write(&file, &bytes).unwrap();
        let recovered = survives(&folder, &batches.concat()[..intact])?;
        let damage = recovered.damage.expect("it is said");
        prop_assert_eq!((damage.broken.line, damage.bytes), (intact as u64 + 2, (bytes.len() - good) as u64));
        let aside = file.with_extension("jsonl.broken");
        prop_assert_eq!(&fs::read(&aside).unwrap(), &bytes[good..], "all of it is set aside");
        prop_assert_eq!(&recovered.aside, std::slice::from_ref(&aside));
        prop_assert_eq!(verify(&folder, None).unwrap().aside, [aside]);
    }
}

#[test]
fn after_damage_the_state_is_written_anew() {
    let (_temporary, folder) = folder();
    filled(&folder, 3);
    let file = segments(&folder).pop().unwrap();
    let spoilt = fs::read_to_string(&file).unwrap().replace("region-1", "region-9");
    fs::write(&file, spoilt).unwrap();
    let (mut journal, recovered) = open(&folder);
    assert_eq!(entries(&recovered), [weight(0)]);
    assert!(journal.wants_checkpoint());
    journal.checkpoint(&state(0)).unwrap();
    assert!(!journal.wants_checkpoint());
    drop(journal);
    let (_, again) = open(&folder);
    assert!(again.damage.is_none() && again.aside.len() == 1, "it can still be shouted about");
}
