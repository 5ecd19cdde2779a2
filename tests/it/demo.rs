//! The demo: what a newcomer sees first must not fail.

use std::process::Command;

use crate::NEARSIDE;

#[test]
fn a_region_dies_and_returns_and_no_request_fails() {
    let output = Command::new(NEARSIDE)
        .args(["demo", "--headless", "--duration", "8s", "--seed", "1", "--rate", "100"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("is killed") && said.contains("lives again"), "{said}");
    assert!(said.contains("\nfailed              0\n"), "{said}");
    assert!(said.contains("the last request was sent there"), "{said}");
}
