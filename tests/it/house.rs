//! House rules that a machine can hold.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::NEARSIDE;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.flat_map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match path.is_dir() {
            true if name == "target" || name.starts_with('.') => Vec::new(),
            true => files(&path, ending),
            false if name.ends_with(ending) => vec![path],
            false => Vec::new(),
        }
    });
    found.collect()
}

#[test]
fn shipped_configurations_are_valid() {
    let configs = files(&root().join("config"), "nearside.toml");
    assert!(configs.len() >= 3, "{configs:?}");
    // Those of config/from-nginx are where certbot leaves them.
    let certificates = tempfile::TempDir::new().unwrap();
    let certificate = testkit::Authority::new().issue(&["www.example.com"]);
    fs::write(certificates.path().join("fullchain.pem"), certificate.chain).unwrap();
    fs::write(certificates.path().join("privkey.pem"), certificate.key).unwrap();
    for config in configs {
        let mut check = Command::new(NEARSIDE);
        check.env("CERTIFICATES", certificates.path()).args(["check", "-c"]).arg(&config);
        let output = check.output().unwrap();
        assert!(output.status.success(), "{}: {}", config.display(), String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn every_key_stands_in_the_shipped_configurations() {
    let output = Command::new(NEARSIDE)
        .args(["check", "--print", "-c"])
        .arg(root().join("config/nearside.toml"))
        .output();
    let effective = String::from_utf8(output.unwrap().stdout).unwrap();
    let shipped = fs::read_to_string(root().join("config/nearside.toml")).unwrap()
        + &fs::read_to_string(root().join("config/table.toml")).unwrap();
    let keys: BTreeSet<&str> = effective
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(key, _)| key.trim())
        .filter(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect();
    assert!(keys.len() > 25, "{keys:?}");
    for key in keys {
        assert!(shipped.contains(key), "{key} is not in the shipped configurations");
    }
}

/// The least versions without known holes, of crates that others bring along.
const LEAST_VERSIONS: [(&str, [u64; 3]); 5] = [
    ("bytes", [1, 11, 1]),
    ("h2", [0, 4, 16]),
    ("maxminddb", [0, 27, 0]),
    ("rustls", [0, 23, 18]),
    ("rustls-webpki", [0, 103, 13]),
];

#[test]
fn crates_with_known_holes_are_not_brought_along() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for (name, least) in LEAST_VERSIONS {
        let entry = format!("name = {name:?}\nversion = \"");
        let versions: Vec<&str> =
            lock.split(&entry).skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let [version] = versions[..] else { panic!("{name} is there in several versions: {versions:?}") };
        let parts: Vec<u64> =
            version.split('.').map(|part| part.parse().expect("a stable release")).collect();
        assert!(parts[..] >= least[..], "{name} {version}");
    }
}

#[test]
fn words_are_the_fields_own() {
    // The glossary has one word for each thing.
    let banned = ["upstream", "backend", "endpoint", "failover_region", "home region"];
    for file in files(&root(), ".rs").into_iter().filter(|file| !file.ends_with("house.rs")) {
        let text = fs::read_to_string(&file).unwrap().to_lowercase();
        for word in banned {
            // OTLP's own word for where a collector listens.
            let is_otlp = word == "endpoint" && text.contains("otlp");
            assert!(is_otlp || !text.contains(word), "{} says {word:?}", file.display());
        }
    }
}

#[test]
fn every_module_says_why_it_exists() {
    for file in files(&root(), ".rs") {
        let text = fs::read_to_string(&file).unwrap();
        let is_tests_beside_code = file.file_name().unwrap() == "tests.rs";
        assert!(is_tests_beside_code || text.starts_with("//!"), "{} opens without a word", file.display());
    }
}

#[test]
fn files_stay_small() {
    for file in files(&root(), ".rs") {
        let text = fs::read_to_string(&file).unwrap();
        let is_source = file.components().any(|part| part.as_os_str() == "src");
        let code = text.split("\n#[cfg(test)]").next().unwrap().lines().count();
        assert!(
            !is_source || code <= 400,
            "{} has {code} lines: what is the second noun in it?",
            file.display()
        );
    }
}
