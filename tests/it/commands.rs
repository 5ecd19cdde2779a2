//! The command line against a running edge: every command, how it ends, and how it is shown.

use std::process::Command;

use http::Method;
use serde_json::{Value, json};
use testkit::{Terminal, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::operator::{Operator, ended, near_and_far};
use crate::{NEARSIDE, skipped};

// Waiting for the commands takes a thread; the origins need another, or they would be silent to the probes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_overridden_is_shown_and_ended() {
    let (_origins, _edge, operator) = near_and_far().await;
    let said = operator.change(&["drain", "near", "--over", "1h", "--expires-in", "2h"]);
    assert!(said.starts_with("near: weight ") && said.contains("on its way to weight 0 until"), "{said}");
    operator.change(&["weight", "far", "60", "--over", "1h"]);
    operator.change(&["weight", "near", "80", "--pool", "app"]);
    let said = operator.change(&["health", "far", "up", "--pool", "app"]);
    assert!(said.starts_with("app/far: weight ") && said.contains("health up (forced)"), "{said}");
    let said = operator.well(&["overrides"]);
    for told in [
        "state drain, from weight 100 over 1h",
        "weight 60, from weight 100 over 1h",
        "app/near",
        "health up",
        "local",
    ] {
        assert!(said.contains(told), "{told} in {said}");
    }
    assert_eq!(operator.json(&["overrides"])["overrides"].as_array().map(Vec::len), Some(4));
    let said = operator.well(&["health"]);
    assert!(said.lines().any(|line| line.contains("far") && line.contains("up (forced)")), "{said}");
    let said = operator.well(&["health", "near"]);
    assert!(said.contains("near") && !said.contains("far"), "{said}");
    let said = operator.change(&["undrain", "near"]);
    assert!(said.starts_with("near: weight 100, state active,"), "{said}");
    operator.change(&["weight", "far", "--clear"]);
    operator.change(&["weight", "near", "--clear", "--pool", "app"]);
    operator.change(&["health", "far", "--clear", "--pool", "app"]);
    operator.change(&["state", "far", "standby"]);
    operator.change(&["state", "far", "--clear"]);
    assert_eq!(operator.well(&["overrides"]).trim(), "Nothing is overridden.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_is_begun_shown_and_ended() {
    let (_origins, _edge, operator) = near_and_far().await;
    assert_eq!(operator.well(&["drill"]).trim(), "No drill runs.");
    let said = operator.change(&["drill", "begin", "near", "--percent", "10", "--for", "5m"]);
    assert!(said.starts_with("near looks dead to 10 % of the clients"), "{said}");
    let said = operator.well(&["drill", "show"]);
    assert!(said.contains("by local: test"), "{said}");
    assert_eq!(operator.json(&["drill"])["drill"]["percent"], 10.0);
    let again = operator.run(&["drill", "begin", "far", "--percent", "1", "--for", "5m", "--reason", "x"]);
    assert_eq!(again.code, Some(4), "there is one at a time: {}", again.complained);
    // Ending it only gives back: nobody is asked.
    let said = operator.well(&["drill", "end", "--reason", "enough"]);
    assert_eq!(said.trim(), "The drill is over.");
    let again = operator.run(&["drill", "end", "--reason", "enough"]);
    assert_eq!((again.code, again.complained.contains("no such drill")), (Some(4), true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_is_shown_followed_and_verified() {
    let (_origins, edge, operator) = near_and_far().await;
    let anchor = operator.json(&["weight", "near", "50", "--reason", "one", "--yes"])["anchor"].clone();
    let anchor = anchor.as_str().unwrap().to_owned();
    operator.change(&["state", "far", "standby", "--pool", "app"]);
    let said = operator.well(&["audit"]);
    for told in ["table 1 from ", "near now: weight 50", "app/far now: state standby", "local (admin)", "one"]
    {
        assert!(said.contains(told), "{told} in {said}");
    }
    let audit = operator.json(&["audit", "--last", "1"]);
    assert_eq!(audit["changes"].as_array().map(Vec::len), Some(1), "{audit}");

    let mut follower = operator.follow(&["audit", "--follow", "--last", "1"]);
    let first = follower.next();
    assert!(first.contains("app/far now: state standby: test"), "{first}");
    operator.change(&["weight", "near", "60"]);
    let second = follower.next();
    assert!(second.contains("near now: weight 60: test"), "{second}");
    // Nobody reads any more: it ends by itself as soon as it has something to say.
    follower.turn_away();
    until("it has ended", async || {
        operator.change(&["weight", "near", "70"]);
        follower.is_over()
    })
    .await;

    let state = edge.folder.path().join("state");
    let verify = |more: &[&str]| {
        let mut command = Command::new(NEARSIDE);
        ended(command.args(["audit", "verify"]).arg(&state).args(more).output().unwrap())
    };
    let verified = verify(&[]);
    assert_eq!((verified.code, verified.said.starts_with("Every line holds: 0 to ")), (Some(0), true));
    let verified = verify(&["--anchor", &anchor, "-o", "json"]);
    let document: Value = serde_json::from_str(&verified.said).unwrap();
    assert_eq!((verified.code, document["oldest"].as_u64()), (Some(0), Some(0)), "{document}");
    let by_configuration = Command::new(NEARSIDE)
        .args(["audit", "verify", "-c"])
        .arg(edge.folder.path().join("nearside.toml"))
        .output()
        .unwrap();
    assert_eq!(by_configuration.status.code(), Some(0));
    let other = format!("{}:{}", anchor.split(':').next().unwrap(), "0".repeat(64));
    let refused = verify(&["--anchor", &other]);
    assert_eq!((refused.code, refused.complained.contains("another hash than the anchor")), (Some(1), true));
    assert_eq!(verify(&["--anchor", "yesterday"]).code, Some(2));
    let aside = state.join(format!("{:020}.jsonl.broken", 0));
    std::fs::write(&aside, "{}\n").unwrap();
    let refused = verify(&[]);
    assert_eq!((refused.code, refused.said.contains("was set aside")), (Some(1), true));
    std::fs::remove_file(aside).unwrap();
    assert_eq!(verify(&[]).code, Some(0), "a person has looked at it");
    let file = state.join(format!("{:020}.jsonl", 0));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"one\"", "\"two\"")).unwrap();
    let refused = verify(&[]);
    assert_eq!((refused.code, refused.complained.contains("was edited")), (Some(1), true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_can_tell_how_a_command_ended() {
    let (_origins, edge, operator) = near_and_far().await;
    let code = |args: &[&str]| operator.run(args).code;
    assert_eq!(code(&["weight", "near", "90", "--reason", "x", "--yes"]), Some(0));
    assert_eq!(code(&["weight", "near", "40", "--reason", "x", "--dry-run"]), Some(0));
    assert_eq!(code(&["weight", "mars", "50", "--reason", "x", "--yes"]), Some(1));
    assert_eq!(code(&["weight", "near", "40", "--reason", "x", "--over", "0s", "--yes"]), Some(1));
    for misunderstood in [
        &["weight", "near", "400", "--reason", "x"][..],
        &["weight", "near", "40"],
        &["health", "near", "sick", "--reason", "x"],
        &["health", "near", "down"],
        &["drill", "begin", "near", "--percent", "NaN", "--for", "1m", "--reason", "x"],
        &["regions", "--watch", "1ms"],
    ] {
        assert_eq!(code(misunderstood), Some(2), "{misunderstood:?}");
    }
    assert_eq!(code(&["weight", "near", "40", "--reason", "x"]), Some(3));
    operator.change(&["weight", "near", "--clear"]);
    operator.change(&["state", "far", "off"]);
    for yes in [&["--yes"][..], &[]] {
        let refused = operator.run(&[&["state", "near", "off", "--reason", "x"][..], yes].concat());
        assert_eq!((refused.code, refused.complained.contains("no usable region")), (Some(4), true));
    }
    // A program learns there what was refused, and what to name if that is meant.
    for how in ["--dry-run", "--yes"] {
        let refused = operator.run(&["state", "near", "off", "--reason", "x", how, "-o", "json"]);
        assert_eq!(refused.code, Some(4), "{how}: {}", refused.complained);
        let told: Value = serde_json::from_str(&refused.said).unwrap();
        assert!(told["violations"].as_array().is_some_and(|violations| !violations.is_empty()), "{told}");
        assert!(told["version"] == 1 && told["overlay"].is_u64(), "{told}");
    }
    assert_eq!(code(&["state", "near", "off", "--reason", "x", "--dry-run", "--force", "1"]), Some(0));
    let unknown = operator.run(&["regions", "mars", "-o", "json"]);
    let told: Value = serde_json::from_str(&unknown.said).unwrap();
    assert_eq!((unknown.code, &told["status"]), (Some(1), &404.into()), "{told}");
    let moved = ["state", "near", "off", "--reason", "x", "--yes", "--force", "9"];
    assert_eq!(code(&moved), Some(4), "another table is in force");
    drop(edge);
    assert_eq!(code(&["regions"]), Some(1), "nobody answers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_given_to_programs_as_well() {
    let (_origins, edge, operator) = near_and_far().await;
    let text = std::fs::read_to_string(edge.folder.path().join("table.toml")).unwrap();
    assert_eq!(operator.well(&["tables", "show", "1"]), text, "not a byte more");
    assert_eq!(operator.json(&["tables", "show", "1"])["text"], text.as_str());
    let next = edge.folder.path().join("next.toml");
    std::fs::write(&next, format!("{text}# more\n")).unwrap();
    let published = operator.json(&["tables", "publish", next.to_str().unwrap(), "--reason", "x", "--yes"]);
    assert_eq!(published["version"], 2);
    let diff = operator.json(&["tables", "diff", "2"]);
    assert!(diff["diff"].as_str().unwrap().contains("+# more"), "{diff}");
    let said = operator.change(&["tables", "rollback", "1"]);
    assert!(said.starts_with("version 3 ("), "{said}");
    assert_eq!(operator.json(&["tables"])["current"], 3);
    let misplaced = operator.run(&["tables", "-o", "json", "show", "2"]);
    assert_eq!(
        misplaced.code,
        Some(2),
        "an option that would be lost is not taken: {}",
        misplaced.complained
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_looked_again_until_somebody_has_seen_enough() {
    let (_origins, edge, operator) = near_and_far().await;
    let mut watcher = operator.follow(&["regions", "--watch", "200ms", "-o", "json"]);
    for weight in ["100", "70"] {
        operator.change(&["weight", "near", weight]);
        let weight: u64 = weight.parse().unwrap();
        // Bounded: it is in force already, and lines from before are few.
        let seen = (0..100).any(|_| {
            let answer: Value = serde_json::from_str(&watcher.next()).unwrap();
            answer["regions"][0]["effective"]["weight"] == weight
        });
        assert!(seen, "{weight}");
    }
    watcher.turn_away();
    assert_eq!(watcher.ended().await, Some(0));

    let mut terminal = Terminal::of(60, 8);
    terminal.run(operator.command(&["overrides", "--watch"]));
    terminal.until_shown("Ctrl-C ends").await;
    let shown = terminal.shown();
    assert!(shown.starts_with("\u{1b}[H") && shown.contains("weight 70"), "{shown:?}");
    operator.change(&["weight", "far", "90"]);
    // Eight rows are few.
    terminal.until_shown("make the window higher").await;
    // What goes wrong later is shown, and no reason to stop.
    drop(edge);
    terminal.until_shown("no edge answers").await;
}

/// An edge of another version, which lets through what this one refuses: it gives the same answer to each question.
async fn credulous(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // A question is smaller than what is read at once.
            let _ = stream.read(&mut [0; 16 << 10]).await;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
            let _ = stream.write_all(format!("{head}{answer}").as_bytes()).await;
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_write_does_not_reach_the_terminal() {
    let (_origins, edge, _) = near_and_far().await;
    let reason = "\u{1b}]0;owned\u{7}\u{9b}2J\nfar: weight 0\u{202e}";
    let since = "2026-03-01T03:00:00Z";
    let weight =
        json!({ "value": 40, "author": "ann", "reason": reason, "since": since, "expires_at": null });
    let overridden =
        json!({ "target": { "region": "near" }, "applies": true, "overrides": { "weight": weight } });
    let line = json!({ "seq": 1, "hash": "00", "time": since, "author": "ann", "role": "operator", "reason": reason,
        "change": "override", "target": { "region": "near" }, "overrides": { "weight": weight } });
    for (command, answer) in [
        ("overrides", json!({ "overlay": 1, "overrides": [overridden] })),
        ("audit", json!({ "anchor": "1:00", "changes": [line] })),
    ] {
        let operator = Operator::of(&edge).through(&credulous(answer.to_string()).await);
        for output in ["table", "json"] {
            let said = operator.well(&[command, "-o", output]);
            let is_obeyed = |it: char| (it.is_control() && it != '\n') || it == '\u{202e}';
            assert!(!said.contains(is_obeyed), "{command}: {said:?}");
            assert!(said.contains("owned") && !said.contains("\nfar: weight 0"), "{said}");
        }
        assert_eq!(operator.json(&[command]), answer, "a program reads the same");
    }
}

/// With numbers and times as N, and single spaces: they vary.
fn without_numbers(text: &str) -> String {
    let word = |word: &str| match word.trim_matches(['(', ')', ',', '.', ';', '+', '-']) {
        number if number.starts_with(|it: char| it.is_ascii_digit()) => word.replace(number, "N"),
        _ => word.to_owned(),
    };
    let line = |line: &str| {
        let indent = line.len() - line.trim_start().len();
        let words: Vec<String> = line.split_whitespace().map(word).collect();
        format!("{}{}", " ".repeat(indent), words.join(" ").replace("N ms", "N s"))
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_columns_are_enough() {
    let (_origins, edge, operator) = near_and_far().await;
    operator.change(&["drain", "near", "--over", "1h", "--expires-in", "2h"]);
    operator.change(&["health", "far", "up", "--pool", "app"]);
    operator.change(&["weight", "far", "100"]);
    until("latencies are measured", async || {
        let (_, answer) = edge.admin.json(Method::GET, "/v1/regions", "").await;
        answer["regions"].as_array().unwrap().iter().all(|region| region["observed"]["measured"] == true)
    })
    .await;
    let mut all = String::new();
    for (args, code) in [
        (&["regions"][..], 0),
        (&["overrides"], 0),
        (&["health"], 0),
        (&["weight", "far", "25", "--reason", "x", "--dry-run"], 4),
        (&["state", "far", "off", "--reason", "x"], 4),
    ] {
        let ended = operator.within(60, args);
        let told = ended.said + &ended.complained;
        assert_eq!(ended.code, Some(code), "{args:?}: {told}");
        all += &format!("$ nearside {}\n{}\n\n", args.join(" "), without_numbers(&told));
    }
    insta::assert_snapshot!("sixty_columns", all);
    // These name files, whose folder is another one each time.
    for args in [&["tables"][..], &["audit"], &["explain", "--ip", "81.2.69.142"]] {
        assert_eq!(operator.within(60, args).code, Some(0), "{args:?}");
    }
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = Command::new(NEARSIDE).args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains("rollback"), "{shell}");
        if shell != "bash" {
            continue;
        }
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("nearside.bash");
        std::fs::write(&file, script).unwrap();
        let Ok(checked) = Command::new("bash").arg("-n").arg(&file).output() else {
            skipped("the completions", "bash");
            continue;
        };
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        // What is completed after `nearside dri`.
        let line = "source \"$1\"; COMP_WORDS=(nearside dri); COMP_CWORD=1; _nearside nearside dri nearside; echo ${COMPREPLY[@]}";
        let completed = Command::new("bash").args(["-c", line, "bash"]).arg(&file).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&completed.stdout).trim(), "drill");
    }
}

#[tokio::test]
async fn an_edge_that_says_nothing_is_not_waited_for_for_ever() {
    // It takes connections and answers none: ten seconds are given.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (_origins, edge, _) = near_and_far().await;
    let operator = Operator::of(&edge).through(&silent.local_addr().unwrap().to_string());
    let begun = std::time::Instant::now();
    let ended = tokio::task::spawn_blocking(move || operator.run(&["regions"])).await.unwrap();
    assert_eq!(
        (ended.code, ended.complained.contains("within 10 s")),
        (Some(1), true),
        "{}",
        ended.complained
    );
    assert!((9.0..25.0).contains(&begun.elapsed().as_secs_f64()));
    assert_eq!(edge.admin.json(Method::GET, "/v1/drill", "").await.0, 200);
}
