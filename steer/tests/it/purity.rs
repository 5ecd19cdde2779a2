//! The decision core has no clock, I/O, randomness or hash order: the rule that the rest of the house leans on.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn no_source_file_names_anything_impure() {
    let banned = [
        "Instant",
        "SystemTime",
        "std::fs",
        "std::env",
        "std::thread",
        "TcpStream",
        "UdpSocket",
        "ToSocketAddrs",
        "HashMap",
        "HashSet",
        "RandomState",
        "thread_rng",
        "getrandom",
        "println!",
        "static mut",
        "Mutex",
        "Atomic",
        "tokio",
        "unsafe",
    ];
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(files.len() > 20, "looked in the wrong place");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for word in banned {
                assert!(!line.contains(word), "{}:{number} names {word}", file.display());
            }
        }
    }
}

#[test]
fn dependencies_are_pure_too() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let section = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let names: Vec<&str> = section
        .lines()
        .filter_map(|line| line.split(['.', ' ']).next())
        .filter(|name| !name.is_empty())
        .collect();
    assert_eq!(
        names,
        ["arrayvec", "libm", "regex", "schemars", "serde"],
        "a new dependency needs the same scrutiny"
    );
}
