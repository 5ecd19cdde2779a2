//! Commands that look at one answer of the admin API, and those that change what moves no traffic.

use std::process::Command;

use crate::NEARSIDE;
use crate::operator::near_and_far;

// Waiting for the commands takes a thread; the origins need another, or they would be silent to the probes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_there_is_is_listed_and_shown_in_its_layers() {
    let (_origins, _edge, operator) = near_and_far().await;
    operator.change(&["weight", "near", "50"]);
    operator.well(&["health", "far", "up", "--pool", "app", "--reason", "it lies", "--yes"]);
    let said = operator.well(&["routes"]);
    let route = said.lines().find(|line| line.contains("app.test")).unwrap();
    for told in ["app", "pool app", "active-passive (order)", "prefix /"] {
        assert!(route.contains(told), "{told} in {said}");
    }
    assert!(said.ends_with("\n1 of 1. Table 1.\n"), "{said}");
    let said = operator.well(&["pools"]);
    assert!(said.lines().any(|line| line.contains("app") && line.contains("2 of 2")), "{said}");
    for (command, told) in [
        (["routes", "app"], "steering  active-passive (order)"),
        (["pools", "app"], "every 100ms"),
        (["regions", "near"], "near    active  50 *"),
    ] {
        let said = operator.well(&command);
        assert!(said.contains(told), "{told} in {said}");
        let near = said.lines().find(|line| line.contains("app/near")).unwrap();
        assert!(near.contains("50 (region-override)") && near.contains("100 active"), "{said}");
        let far = said.lines().find(|line| line.contains("app/far"));
        let is_told =
            far.is_some_and(|far| far.contains("up (placement-override)") && far.contains("it lies"));
        assert!(is_told || command[0] == "regions", "{said}");
    }
    let route = operator.json(&["routes", "app"]);
    let near = route["placements"].as_array().unwrap().iter().find(|it| it["region"] == "near").unwrap();
    assert_eq!(near["effective"]["weight_by"], "region-override", "{route}");
    for command in ["routes", "pools", "regions"] {
        let refused = operator.run(&[command, "mars"]);
        assert_eq!((refused.code, refused.complained.contains("mars")), (Some(1), true), "{command}");
    }
    assert_eq!(operator.run(&["routes", "app", "--limit", "5"]).code, Some(2), "one has no parts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_is_being_drained_shows_where_its_ramp_leads() {
    let (_origins, _edge, operator) = near_and_far().await;
    operator.change(&["drain", "near", "--over", "1h"]);
    operator.change(&["weight", "far", "60", "--over", "1h"]);
    let said = operator.well(&["regions"]);
    let line = |name: &str| said.lines().find(|line| line.trim_start().starts_with(name)).unwrap().to_owned();
    assert!(line("near").contains("active → drain by ") && line("near").contains("Z *"), "{said}");
    assert!(line("far").contains(" → 60 by ") && !line("far").contains("drain"), "{said}");
    assert!(operator.well(&["regions", "near"]).contains("active → drain by "));
    // Where it has come to, nothing is on its way any more.
    operator.change(&["drain", "near"]);
    let said = operator.well(&["regions", "near"]);
    assert!(said.contains("drain *") && !said.contains('→'), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_under_a_drill_is_marked_among_the_regions() {
    let (_origins, _edge, operator) = near_and_far().await;
    operator.change(&["drill", "begin", "near", "--percent", "10", "--for", "5m"]);
    let told = "Drill: near looks dead to 10 % of the clients from ";
    for command in [&["regions"][..], &["regions", "near"]] {
        let said = operator.well(command);
        assert!(said.contains("active, drill") && said.contains(told), "{said}");
        assert!(said.contains(", by local: test\n"), "{said}");
    }
    let said = operator.well(&["regions", "far"]);
    assert!(!said.contains("drill") && !said.contains(told), "{said}");
    let regions = operator.json(&["regions"]);
    assert_eq!(regions["regions"][0]["drill"]["percent"], 10.0, "{regions}");
    assert!(regions["regions"][1].get("drill").is_none(), "{regions}");
    operator.well(&["drill", "end", "--reason", "enough"]);
    assert!(!operator.well(&["regions"]).contains("rill"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_explanation_says_who_overrides_what_and_why() {
    let (_origins, _edge, operator) = near_and_far().await;
    operator.change(&["weight", "near", "50"]);
    let health = ["health", "far", "up", "--pool", "app", "--expires-in", "2h"];
    operator.well(&[&health[..], &["--reason", "it lies", "--yes"]].concat());
    let explain = ["explain", "--ip", "81.2.69.142"];
    let said = operator.well(&explain);
    for told in [
        "override  near: weight 50, by local until cleared: test\n",
        "override  app/far: health up, by local until ",
        ": it lies\n",
    ] {
        assert!(said.contains(told), "{told} in {said}");
    }
    assert!(
        operator.within(60, &explain).said.contains("override  near: weight 50, by local until cleared:")
    );
    operator.change(&["weight", "near", "--clear"]);
    assert!(!operator.well(&explain).contains("weight 50"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn regions_that_operators_drained_are_not_called_unhealthy() {
    let (_origins, _edge, operator) = near_and_far().await;
    operator.change(&["state", "far", "off"]);
    operator.change(&["drain", "near", "--force", "1"]);
    let choice = || {
        let said = operator.well(&["explain", "--ip", "81.2.69.142"]);
        said.lines().find(|line| line.starts_with("choice")).unwrap().to_owned()
    };
    assert_eq!(choice(), "choice    refused: no region is usable: 1 drained, 1 off");
    operator.change(&["drain", "far"]);
    assert_eq!(choice(), "choice    refused: no region is usable: all are drained");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn origins_are_told_a_part_at_a_time() {
    let ([near, far], _edge, operator) = near_and_far().await;
    let (near, far) = (near.host(), far.host());
    operator.change(&["health", "far", "up"]);
    let said = operator.well(&["origins"]);
    assert!(said.contains(&near) && said.ends_with("2 of 2. Table 1.\n"), "{said}");
    let forced = said.lines().find(|line| line.contains(&far)).unwrap();
    assert!(forced.contains("up; its placement: forced (region-override)"), "{said}");
    let said = operator.well(&["origins", "--limit", "1"]);
    assert!(said.contains("1 of 2. Table 1. There are more: --after app/near/"), "{said}");
    let next = operator.json(&["origins", "--limit", "1"])["next"].as_str().unwrap().to_owned();
    let said = operator.well(&["origins", "--after", &next]);
    assert!(!said.contains(&near) && said.contains(&far), "{said}");
    let said = operator.well(&["origins", "near", "--pool", "app"]);
    assert!(said.contains(&near) && !said.contains(&far), "{said}");
    for unknown in [&["origins", "mars"][..], &["origins", "near", "--pool", "mars"]] {
        let refused = operator.run(unknown);
        assert_eq!((refused.code, refused.complained.contains("mars")), (Some(1), true), "{unknown:?}");
    }
    let gone = operator.run(&["origins", "--after", "app/near/gone:1"]);
    assert_eq!((gone.code, gone.complained.contains("begin again")), (Some(1), true), "{}", gone.complained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_says_where_somebody_is_and_what_it_is_itself() {
    let (_origins, _edge, operator) = near_and_far().await;
    let said = operator.well(&["geo", "81.2.69.142"]);
    for told in
        ["address  81.2.69.142\n", "country  GB\n", "the centre of its population\n", "source   built-in\n"]
    {
        assert!(said.contains(told), "{told} in {said}");
    }
    assert_eq!(operator.json(&["geo", "::ffff:81.2.69.142"])["place"]["country"], "GB");
    assert_eq!(operator.run(&["geo", "london"]).code, Some(2));
    let own = concat!("nearside ", env!("CARGO_PKG_VERSION"));
    let said = operator.well(&["version"]);
    assert!(said.starts_with(&format!("edge     {own}, started ")), "{said}");
    for told in
        [format!("command  {own}\n").as_str(), "table    1 (", "inputs   overlay 0, ", "changes  kept\n"]
    {
        assert!(said.contains(told), "{told} in {said}");
    }
    assert_eq!(operator.json(&["version"])["table"]["version"], 1);
    let binary = Command::new(NEARSIDE).arg("--version").output().unwrap();
    assert_eq!(String::from_utf8(binary.stdout).unwrap().trim(), own, "which asks no edge");
    let said = operator.well(&["health"]);
    assert!(said.ends_with("\nThis edge is ready.\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_says_more_for_a_while() {
    let (_origins, _edge, operator) = near_and_far().await;
    let usual = operator.well(&["log-level"]);
    assert!(usual.ends_with(", as usual\n"), "{usual}");
    // It moves nothing: nobody is asked.
    let set = ["log-level", "debug", "--for", "10m", "--reason", "why does it flap?"];
    let said = operator.well(&[&set[..], &["--dry-run"]].concat());
    assert!(said.ends_with("Nothing was changed.\n"), "{said}");
    assert_eq!(operator.well(&["log-level"]), usual);
    let said = operator.well(&set);
    assert!(said.starts_with("debug until ") && said.ends_with("; in force, a restart ends it\n"), "{said}");
    let said = operator.well(&["log-level"]);
    assert!(said.contains("by local: why does it flap?"), "{said}");
    assert_eq!(operator.json(&["log-level"])["set"]["level"], "debug");
    assert!(operator.well(&["audit"]).contains("log level debug until "));
    for (args, code) in [
        (&["log-level", "debug"][..], 2),
        (&["log-level", "loud", "--reason", "x"], 2),
        (&["log-level", "--for", "1m"], 2),
        (&["log-level", "--dry-run"], 2),
        (&["log-level", "--volatile"], 2),
        (&["log-level", "debug", "--reason", "x", "--force", "1"], 2),
        (&["log-level", "debug", "--for", "0s", "--reason", "x"], 1),
    ] {
        assert_eq!(operator.run(args).code, Some(code), "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_override_is_watched_and_its_watch_is_shown_and_ended() {
    let (_origins, _edge, operator) = near_and_far().await;
    let said = operator.well(&["watches"]);
    assert_eq!(said, "No change is watched, or was since this edge was started.\n");
    let change = ["weight", "near", "90", "--watch", "1h", "--guard", "error_rate=+1%", "--reason", "slowly"];
    let mut watching = operator.follow(&[&change[..], &["--yes"]].concat());
    let first = watching.next();
    assert!(first.starts_with("near: weight 90, "), "{first}");
    assert_eq!(watching.next(), "watching it for 1h: error_rate=+1%");
    let said = operator.well(&["watches"]);
    for told in ["running", "the overrides of near", "local", "error_rate=+1%", "slowly"] {
        assert!(said.contains(told), "{told} in {said}");
    }
    assert_eq!(operator.json(&["watches"])["running"]["number"], 1);
    let second = operator.run(&["state", "far", "standby", "--watch", "60s", "--reason", "x", "--yes"]);
    assert_eq!(
        (second.code, second.complained.contains("watch 1, of")),
        (Some(4), true),
        "{}",
        second.complained
    );
    assert_eq!(operator.run(&["watches", "end", "1"]).code, Some(2), "there is a reason");
    assert_eq!(
        operator.run(&["watches", "end", "9", "--reason", "x"]).code,
        Some(1),
        "there is no such watch"
    );
    let said = operator.well(&["watches", "end", "1", "--reason", "enough"]);
    assert_eq!(said, "The watch of the overrides of near is over; what was changed stays in force.\n");
    assert_eq!(watching.next_with("ended: "), "ended: local has ended the watch: enough");
    assert_eq!(watching.ended().await, Some(1), "it did not pass");
    assert_eq!(operator.run(&["watches", "end", "1", "--reason", "again"]).code, Some(4), "it is over");
    let said = operator.well(&["watches"]);
    assert!(said.contains("ended") && said.contains("local has ended the watch: enough"), "{said}");
    assert_eq!(operator.json(&["regions", "near"])["effective"]["weight"], 90);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_is_guarded_as_somebody_says() {
    let (_origins, _edge, operator) = near_and_far().await;
    let drill = ["drill", "begin", "near", "--percent", "10", "--for", "5m", "--guard"];
    let said = operator.change(&[&drill[..], &["error_rate=+2%"]].concat());
    assert!(said.ends_with("; watched: error_rate=+2%\n"), "{said}");
    operator.well(&["drill", "end", "--reason", "enough"]);
    let said = operator.change(&[&drill[..], &["off"]].concat());
    assert!(said.ends_with("; not watched\n"), "{said}");
    assert_eq!(operator.run(&[&drill[..], &["luck", "--reason", "x"]].concat()).code, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_looked_at_fits_sixty_columns() {
    let (_origins, _edge, operator) = near_and_far().await;
    operator.change(&["health", "far", "up", "--pool", "app"]);
    for args in [
        &["routes"][..],
        &["routes", "app"],
        &["pools"],
        &["pools", "app"],
        &["regions", "near"],
        &["origins"],
        &["geo", "81.2.69.142"],
        &["version"],
        &["log-level"],
        &["watches"],
        &["events", "--after", "1.7", "--count", "1"],
    ] {
        let ended = operator.within(60, args);
        assert_eq!((ended.code, ended.said.is_empty()), (Some(0), false), "{args:?}: {}", ended.complained);
    }
}
