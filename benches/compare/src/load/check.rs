//! Whether a contestant does at all what is going to be measured: every kind of answer, byte by byte.

use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::PATIENCE;
use super::client::{Target, request, request_http2};
use crate::{Fault, answers, say};

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Where the contestant speaks plain HTTP/1.1
    #[arg(long)]
    plain: SocketAddr,
    /// Where it speaks TLS; left out for one that does not
    #[arg(long)]
    tls: Option<SocketAddr>,
    /// Its certificate, PEM
    #[arg(long)]
    certificate: PathBuf,
}

/// Says `well`, or what was wrong.
pub(crate) async fn run(options: &Options) -> Result<(), Fault> {
    let certificate = Some(options.certificate.as_path());
    http1("plain", &Target::new(options.plain, None, b"")?).await?;
    if let Some(tls) = options.tls {
        http1("TLS", &Target::new(tls, certificate, b"http/1.1")?).await?;
        http2(&Target::new(tls, certificate, b"h2")?).await?;
    }
    say("well");
    Ok(())
}

/// Method, path, body and answer; the small one twice, so that the connection is kept.
fn questions() -> [(Method, &'static str, Bytes, Bytes); 4] {
    let count = Bytes::from(answers::LARGE_BYTES.to_string());
    let nothing = Bytes::new();
    [
        (Method::GET, answers::SMALL_PATH, nothing.clone(), answers::small()),
        (Method::GET, answers::LARGE_PATH, nothing.clone(), answers::large()),
        (Method::POST, answers::UPLOAD_PATH, answers::large(), count),
        (Method::GET, answers::SMALL_PATH, nothing, answers::small()),
    ]
}

async fn http1(how: &str, target: &Target) -> Result<(), Fault> {
    let mut sender = target.open().await.map_err(|fault| format!("{how}: no connection: {fault}"))?;
    for (method, path, body, expected) in questions() {
        let asked = async {
            sender.ready().await?;
            compare(sender.send_request(request(method, path, body, 0)).await?, &expected).await
        };
        told(timeout(PATIENCE, asked).await, how, path)?;
    }
    Ok(())
}

async fn http2(target: &Target) -> Result<(), Fault> {
    let opened = timeout(PATIENCE, target.open_http2()).await?;
    let mut sender = opened.map_err(|fault| format!("HTTP/2: no connection: {fault}"))?;
    for (method, path, body, expected) in questions() {
        let asked = async {
            sender.ready().await?;
            compare(sender.send_request(request_http2(method, path, body)).await?, &expected).await
        };
        told(timeout(PATIENCE, asked).await, "HTTP/2", path)?;
    }
    Ok(())
}

fn told<E: std::fmt::Display>(
    asked: Result<Result<(), Fault>, E>,
    how: &str,
    path: &str,
) -> Result<(), Fault> {
    match asked {
        Ok(Ok(())) => Ok(()),
        Ok(Err(fault)) => Err(format!("{how}: {path}: {fault}").into()),
        Err(late) => Err(format!("{how}: {path}: {late}").into()),
    }
}

async fn compare(response: Response<Incoming>, expected: &Bytes) -> Result<(), Fault> {
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if status != 200 {
        return Err(format!("status {status}").into());
    }
    if body != expected {
        return Err(format!("{} bytes that are not the {} expected", body.len(), expected.len()).into());
    }
    Ok(())
}
