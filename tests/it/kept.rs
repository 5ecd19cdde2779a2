//! Changes are kept: through kill -9, full disks and handovers, and are in the audit.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use http::Method;
use serde_json::{Value, json};
use testkit::{Edge, EdgeBuilder, table, until};

use crate::access::{add, token};
use crate::changes::{asked, near_and_far, weight};
use crate::{NEARSIDE, skipped};

#[tokio::test]
async fn what_an_operator_changed_survives_kill_9_and_is_in_the_audit() {
    let (_near, _far, builder, table) = near_and_far().await;
    let edge = builder.start().await;
    edge.admin.patch("near", &weight(0)).await;
    let (_, published) = edge.admin.publish(&table.replace("www", "web")).await;
    let anchor = published["anchor"].as_str().unwrap().to_owned();
    let edge = edge.killed_and_started_again().await;
    let (_, tables) = edge.admin.json(Method::GET, "/v1/tables", "").await;
    assert_eq!((&tables["current"], &tables["versions"][0]["persisted"]), (&2.into(), &true.into()));
    let (_, overrides) = edge.admin.json(Method::GET, "/v1/overrides", "").await;
    assert_eq!(overrides["overrides"][0]["overrides"]["weight"]["value"], 0, "{overrides}");
    let (_, audit) = edge.admin.json(Method::GET, "/v1/audit", "").await;
    let changes: Vec<&Value> = audit["changes"].as_array().unwrap().iter().collect();
    let told: Vec<(&str, &str)> = changes
        .iter()
        .map(|change| (change["change"].as_str().unwrap(), change["author"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("table", "file"), ("override", "local"), ("table", "local")], "{audit}");
    let hash = changes.last().unwrap()["hash"].as_str().unwrap();
    assert!(anchor.ends_with(hash), "what was answered is what stands there");
}

/// The lines of the audit, as anchors.
async fn audited(edge: &Edge) -> BTreeSet<String> {
    let (mut lines, mut after) = (BTreeSet::new(), 0);
    loop {
        let path = format!("/v1/audit?after={after}&last=1000");
        let (status, audit) = edge.admin.json(Method::GET, &path, "").await;
        assert_eq!(status, 200, "{audit}");
        let changes = audit["changes"].as_array().unwrap();
        let Some(last) = changes.last() else { return lines };
        after = last["seq"].as_u64().unwrap();
        let anchor = |line: &Value| format!("{}:{}", line["seq"], line["hash"].as_str().unwrap());
        lines.extend(changes.iter().map(anchor));
    }
}

/// What serves after a restart is what the last lines of the audit say, and nothing by halves.
async fn in_force_as_audited(edge: &Edge) {
    let (_, audit) = edge.admin.json(Method::GET, "/v1/audit?last=1000", "").await;
    let changes = audit["changes"].as_array().unwrap();
    let last = |kind: &str| changes.iter().rev().find(|line| line["change"] == kind);
    let (_, tables) = edge.admin.json(Method::GET, "/v1/tables", "").await;
    let (_, listed) = edge.admin.json(Method::GET, "/v1/overrides", "").await;
    if let Some(table) = last("table") {
        assert_eq!(tables["current"], table["about"]["version"]);
    }
    if let Some(set) = last("override") {
        assert_eq!(listed["overrides"][0]["overrides"], set["overrides"]);
    }
}

/// More rounds with NEARSIDE_ROUNDS.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_the_middle_of_changes_loses_none_that_was_answered() {
    const CALLERS: usize = 4;
    const CHANGES: u8 = 50;
    let rounds = std::env::var("NEARSIDE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(4u64);
    let (_near, _far, builder, table) = near_and_far().await;
    let mut edge = builder.start().await;
    let (mut answered, mut cut_off) = (BTreeSet::new(), 0);
    for round in 0..rounds {
        let count = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (admin, table, count) = (edge.admin.clone(), table.clone(), count.clone());
                tokio::spawn(async move {
                    let mut anchors = Vec::new();
                    for change in 0..CHANGES {
                        let answer = if caller == 0 {
                            let table = format!("{table}\n# {round} {change}\n");
                            admin.attempt(Method::POST, "/v1/tables?reason=test", &table).await
                        } else {
                            admin.attempt(Method::PATCH, "/v1/regions/far", &weight(change)).await
                        };
                        let Some((status, answer)) = answer else { return (anchors, true) };
                        assert_eq!(status, 200, "{answer}");
                        anchors.push(answer["anchor"].as_str().unwrap().to_owned());
                        count.fetch_add(1, Relaxed);
                    }
                    (anchors, false)
                })
            })
            .collect();
        // At another point of what it does each time.
        let before = 1 + usize::try_from(round).unwrap() * 37 % (CALLERS * usize::from(CHANGES) - 20);
        until("so many changes are answered", async || count.load(Relaxed) >= before).await;
        edge.kill();
        for caller in callers {
            let (anchors, is_cut_off) = caller.await.unwrap();
            answered.extend(anchors);
            cut_off += usize::from(is_cut_off);
        }
        edge = edge.killed_and_started_again().await;
        let held = audited(&edge).await;
        let lost: Vec<_> = answered.difference(&held).collect();
        assert_eq!(lost, Vec::<&String>::new(), "round {round}");
        in_force_as_audited(&edge).await;
    }
    assert!(cut_off > 0, "it was never killed in the middle of anything");
    let state = edge.folder.path().join("state");
    let verified = ::control::journal::verify(&state, None).unwrap();
    assert!(verified.entries >= answered.len() as u64, "{verified:?}");
}

/// A file system of 256 KiB; gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(folder: &Path) -> Option<Self> {
        std::fs::create_dir(folder).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs"];
        let mounted = Command::new("mount").args(options).arg(folder).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| Self(folder.to_owned()))
    }

    fn fill(&self) {
        let mut size = 256 << 10;
        // What is left, to the last byte.
        for index in 0.. {
            if std::fs::write(self.0.join(format!("filler{index}")), vec![0; size]).is_err() {
                size /= 2;
            }
            if size == 0 {
                return;
            }
        }
    }

    fn make_room(&self) {
        for entry in std::fs::read_dir(&self.0).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with("filler") {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn on_a_full_disk_a_region_can_still_be_drained_and_it_is_kept_once_there_is_room() {
    let (_near, _far, builder, _) = near_and_far().await;
    let Some(disk) = SmallDisk::at(&builder.folder().join("state")) else {
        return skipped("a full disk", "root, and a kernel that mounts a tmpfs");
    };
    let edge = builder.start().await;
    // Its end is longer than what is left once a short line has no room.
    let drill = json!({"region": "far", "percent": 1, "for": "10m", "reason": "z".repeat(1000)}).to_string();
    assert_eq!(edge.admin.json(Method::POST, "/v1/drill", &drill).await.0, 200);
    disk.fill();
    let drain = json!({"state": "drain", "reason": "y".repeat(1000)}).to_string();
    // What is left of the journal's last page takes a few lines more.
    for length in [1000, 1] {
        let filling = json!({"weight": 100, "reason": "x".repeat(length)}).to_string();
        for lines in 0.. {
            assert!(lines < 20, "a page has 4 KiB");
            if edge.admin.json(Method::PATCH, "/v1/regions/near", &filling).await.0 == 507 {
                break;
            }
        }
    }
    let (status, refused) = edge.admin.json(Method::PATCH, "/v1/regions/near", &drain).await;
    assert_eq!((status, &refused["type"]), (507, &"urn:nearside:problem:not-kept".into()), "{refused}");
    assert_eq!(asked(&edge).await, "near", "nothing has changed");
    // A drill only gives back when it ends.
    let (status, ended) = edge.admin.json(Method::DELETE, "/v1/drill?reason=test", "").await;
    assert_eq!((status, &ended["drill"], &ended["persisted"]), (200, &Value::Null, &false.into()), "{ended}");
    assert!(ended["note"].as_str().unwrap().starts_with("not kept: "), "{ended}");
    let (status, done) = edge.admin.json(Method::PATCH, "/v1/regions/near?volatile=1", &drain).await;
    assert_eq!((status, &done["persisted"]), (200, &false.into()), "{done}");
    assert_eq!(asked(&edge).await, "far", "in force");
    disk.make_room();
    until("it is kept", async || {
        let (_, audit) = edge.admin.json(Method::GET, "/v1/audit", "").await;
        audit["changes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|line| line["change"] == "override" && line["late"] == true)
    })
    .await;
    let edge = edge.killed_and_started_again().await;
    assert_eq!(asked(&edge).await, "far", "and a restart remembers it");
    drop((edge, disk));
}

#[tokio::test]
async fn a_file_that_was_refused_does_not_come_into_force_by_a_restart() {
    let (near, _far, builder, first) = near_and_far().await;
    let edge = builder.start().await;
    edge.admin.patch("near", r#"{"state": "drain", "reason": "test"}"#).await;
    // Without the other region, nobody would be left.
    edge.save_table(&table(&[("near", &[near.host()])]));
    until("it is refused", async || edge.log().contains("the table is refused")).await;
    let edge = edge.killed_and_started_again().await;
    let (_, tables) = edge.admin.json(Method::GET, "/v1/tables", "").await;
    assert_eq!(tables["current"], 1, "{tables}");
    assert_eq!(edge.admin.text(Method::GET, "/v1/tables/1", "").await.1, first);
    assert_eq!(asked(&edge).await, "far");
}

/// The newest line of that kind.
async fn newest(edge: &Edge, kind: &str) -> Option<Value> {
    let (_, audit) = edge.admin.json(Method::GET, "/v1/audit", "").await;
    let changes = audit["changes"].as_array()?;
    changes.iter().rev().find(|line| line["change"] == kind).cloned()
}

#[tokio::test]
async fn a_broken_file_is_in_the_audit_with_its_first_mistake_and_in_the_log_of_every_start() {
    let (_near, _far, builder, table) = near_and_far().await;
    let edge = builder.start().await;
    edge.save_table("regions = 7\n");
    until("it is noted", async || newest(&edge, "file-read").await.is_some()).await;
    let read = newest(&edge, "file-read").await.unwrap();
    let reason = read["reason"].as_str().unwrap();
    assert!(reason.starts_with("refused: ") && reason.contains("table.toml:1: "), "{read}");
    let edge = edge.killed_and_started_again().await;
    until("the start says so", async || edge.log().contains("has mistakes and differs from version 1")).await;
    let other = format!("{table}\n# another\n");
    edge.save_table(&other);
    until("it is in force", async || newest(&edge, "table").await.unwrap()["about"]["version"] == 2).await;
    edge.admin.json(Method::POST, "/v1/tables/1/rollback?reason=test", "").await;
    edge.save_table(&table);
    until("it is noted", async || newest(&edge, "file-read").await.unwrap() != read).await;
    assert_eq!(newest(&edge, "file-read").await.unwrap()["reason"], "the same as what is in force");
    edge.admin.publish(&other).await;
    let edge = edge.killed_and_started_again().await;
    until("the start says so", async || edge.log().contains("differs from version 4, which is in force"))
        .await;
}

#[tokio::test]
async fn tokens_that_come_and_go_are_in_the_audit() {
    let (_near, _far, builder, _) = near_and_far().await;
    let edge = builder.start().await;
    add(edge.folder.path(), &["sue", "--role", "operator", "--region", "near"]);
    until("it is audited", async || newest(&edge, "tokens").await.is_some()).await;
    let added = newest(&edge, "tokens").await.unwrap();
    assert_eq!(added["author"], "nearside", "{added}");
    let sue = json!([{"name": "sue", "role": "operator", "regions": ["near"]}]);
    assert_eq!(added["tokens"], json!({ "added": sue }), "and no secret");
    assert_eq!(token(edge.folder.path(), &["remove", "sue"]).0, Some(0));
    until("it is audited", async || newest(&edge, "tokens").await.unwrap() != added).await;
    assert_eq!(newest(&edge, "tokens").await.unwrap()["tokens"], json!({ "removed": sue }));
}

/// What the calls say for people who look at health and version.
async fn are_kept(edge: &Edge) -> [bool; 2] {
    let (_, health) = edge.admin.json(Method::GET, "/v1/health", "").await;
    let (_, version) = edge.admin.json(Method::GET, "/v1/version", "").await;
    [health, version].map(|answer| answer["changes_kept"] == true)
}

#[tokio::test]
async fn a_state_that_another_process_holds_is_taken_up_when_it_lets_go() {
    let (_near, _far, builder, table) = near_and_far().await;
    let mut former = builder.start().await;
    former.admin.patch("near", &weight(0)).await;
    let state = former.folder.path().join("state");
    let admin = format!("listen = \"127.0.0.1:0\"\nstate_dir = {:?}", state.to_str().unwrap());
    let edge = EdgeBuilder::new(NEARSIDE, &table).admin(&admin).start().await;
    assert_eq!((edge.metric("nearside_changes_kept").await, asked(&edge).await), (0.0, "near".to_owned()));
    let (status, gates) = edge.health("/readyz?verbose").await;
    assert!(status == 200 && gates.contains("[-] changes_kept"), "{gates}");
    assert_eq!(are_kept(&edge).await, [false, false]);
    let (status, refused) = edge.admin.json(Method::PATCH, "/v1/regions/far", &weight(1)).await;
    assert_eq!((status, &refused["type"]), (503, &"urn:nearside:problem:not-kept".into()), "{refused}");
    assert_eq!(edge.admin.json(Method::GET, "/v1/audit", "").await.0, 503);
    // What it changes while the other one already serves is there as well.
    former.admin.patch("far", &weight(70)).await;
    former.kill();
    until("changes are kept", async || edge.metric("nearside_changes_kept").await > 0.0).await;
    assert_eq!(asked(&edge).await, "far", "the override of the former process is in force");
    let (_, far) = edge.admin.json(Method::GET, "/v1/regions/far", "").await;
    assert_eq!(far["overridden"]["weight"]["value"], 70, "{far}");
    assert!(edge.health("/readyz?verbose").await.1.contains("[+] changes_kept"));
    assert_eq!(are_kept(&edge).await, [true, true]);
    assert_eq!(edge.admin.json(Method::GET, "/v1/audit", "").await.0, 200);
    let kept = edge.admin.patch("far", &weight(60)).await;
    assert_eq!(kept["persisted"], true, "{kept}");
}
