//! Many requests at once by h2load: none may fail.

use std::process::Command;

use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use testkit::{Origin, table, text};

use super::{Front, Peer, has};

/// Runs h2load, and checks that each request was answered with 200.
async fn none_fails(front: &Front, requests: u32, args: &[&str], url: &str) {
    let mut command = Command::new("h2load");
    command.args(["-t", "1", "-n", &requests.to_string()]).args(args).arg(url);
    let ended = Peer::start(command).ended().await;
    let (out, all) = (ended.out, requests);
    assert_eq!(ended.code, Some(0), "{out}{}", ended.complaints);
    let done = format!(
        "requests: {all} total, {all} started, {all} done, {all} succeeded, 0 failed, 0 errored, 0 timeout"
    );
    let odd: Vec<_> =
        front.edge.access_log().into_iter().filter(|line| line["status"] != 200).take(3).collect();
    assert!(out.contains(&done), "{out}{odd:#?}");
    assert!(out.contains(&format!("status codes: {all} 2xx, 0 3xx, 0 4xx, 0 5xx")), "{out}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_requests_and_none_fails() {
    if !has("h2load") {
        return crate::skipped("load by h2load", "h2load, of Debian's package nghttp2-client");
    }
    let origin = Origin::with(|request: Request<Incoming>| async move {
        let _ = request.into_body().collect().await;
        text(&"page ".repeat(200))
    })
    .await;
    let front = Front::start(&table(&[("eu", &[origin.host()])])).await;
    let (plain, tls) = (front.plain(), front.tls());
    let (http, https) = (format!("http://127.0.0.1:{plain}/"), format!("https://127.0.0.1:{tls}/"));
    none_fails(&front, 6000, &["-c", "10", "-m", "32"], &https).await;
    none_fails(&front, 3000, &["-c", "10", "--h1"], &https).await;
    none_fails(&front, 3000, &["-c", "10", "--h1"], &http).await;
    // Bodies go through the window updates of both sides.
    let upload = front.edge.folder.path().join("upload");
    std::fs::write(&upload, vec![b'x'; 100_000]).unwrap();
    none_fails(&front, 500, &["-c", "5", "-m", "10", "-d", upload.to_str().unwrap()], &https).await;
    assert_eq!(origin.requests().len(), 12_500);
    let page = front.edge.health("/metrics").await.1;
    assert!(!page.contains("code_class=\"5xx\""), "{page}");
}
