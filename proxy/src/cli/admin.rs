//! A client of the admin API.

use std::path::PathBuf;
use std::process::ExitCode;

use bytes::Bytes;
use control::access::Token;
use control::document::Finding;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::door::Door;
use super::{AdminArgs, complain, configuration};

/// Where the API is and how it is opened.
#[derive(Debug)]
pub(super) struct Api {
    door: Door,
    /// None is sent where a certificate says who it is.
    token: Option<Token>,
}

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody answers there.
    Unreachable(String),
    /// It answered that it would not.
    Refused(Box<Problem>),
    /// It answered something else.
    Garbled(String),
}

/// A problem document.
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    title: String,
    detail: String,
    #[serde(default)]
    field: Option<String>,
    #[serde(default)]
    example: Option<serde_json::Value>,
    #[serde(default)]
    findings: Vec<Finding>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(problem) | Self::Garbled(problem) => f.write_str(problem),
            Self::Refused(problem) => {
                problem.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))?;
                write!(f, "{}: ", problem.title)?;
                if let Some(field) = &problem.field {
                    write!(f, "{field}: ")?;
                }
                f.write_str(&problem.detail)?;
                problem.example.as_ref().map_or(Ok(()), |example| write!(f, "; for example: {example}"))
            }
        }
    }
}

impl Failure {
    /// Says it, and that the command has failed.
    pub(super) fn report(&self) -> ExitCode {
        complain(&self.to_string());
        ExitCode::from(1)
    }
}

impl Api {
    /// The API of the edge that the arguments mean; why it cannot be known, in words.
    pub(super) fn of(args: &AdminArgs) -> Result<Self, ExitCode> {
        Self::find(args)?.map_err(|problem| {
            complain(&problem);
            ExitCode::from(1)
        })
    }

    /// As [`Api::of`], but a missing token is told to the caller alone.
    pub(super) fn find(args: &AdminArgs) -> Result<Result<Self, String>, ExitCode> {
        // What is typed counts before what lies about in the environment, and says who it is.
        let is_typed = args.token_file.is_some() || args.cert.is_some();
        let from_env = std::env::var("NEARSIDE_TOKEN").ok().filter(|token| !token.is_empty() && !is_typed);
        let from_env = from_env.map(Token::from);
        let shows_who_it_is = args.token_file.is_some() || from_env.is_some() || args.cert.is_some();
        let needs_configuration = args.admin.is_none() || !shows_who_it_is;
        let settings = needs_configuration.then(|| configuration(&args.configured.file())).transpose()?;
        let configured = settings.as_ref().map(|settings| &settings.admin);
        let door = Door::find(args, configured).map_err(|problem| {
            complain(&problem);
            ExitCode::from(1)
        })?;
        let read = |file: PathBuf| {
            Token::read(&file)
                .map_err(|error| format!("the admin token {} cannot be read: {error}", file.display()))
        };
        let file = match (&args.token_file, &from_env, &args.cert) {
            (Some(file), None, _) => Some(file.clone()),
            // A certificate says who it is; a token would count before it.
            // The token of this machine's edge opens everything there, and is nobody else's business.
            (None, None, None) if args.admin.is_none() => configured.map(|admin| admin.token_file.clone()),
            _ => None,
        };
        let token = from_env.map(Ok).or_else(|| file.map(read)).transpose();
        Ok(token.map(|token| Self { door, token }))
    }

    /// Calls the API; the answer as text.
    pub(super) fn text(&self, method: Method, path: &str, body: Vec<u8>) -> Result<String, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime
            .expect("a process that has started gets its event loop")
            .block_on(self.call(method, path, body))
    }

    /// Calls the API; the answer as what it means, and as text.
    pub(super) fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(T, String), Failure> {
        let text = self.text(method, path, body)?;
        let parsed = serde_json::from_str(&text);
        parsed
            .map(|value| (value, text))
            .map_err(|error| Failure::Garbled(format!("the answer is not understood: {error}")))
    }

    async fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Result<String, Failure> {
        let host = &self.door.host;
        let unreachable = |error: &dyn std::fmt::Display| {
            Failure::Unreachable(format!("no edge answers at {host}: {error}; is it running?"))
        };
        let stream = self.door.connect().await.map_err(|error| unreachable(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(&error))?;
        let driver = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, host);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()));
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Failure::Garbled(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| unreachable(&error))?.to_bytes();
        driver.abort();
        let text = String::from_utf8_lossy(&body).into_owned();
        if status == StatusCode::OK {
            return Ok(text);
        }
        match serde_json::from_str(&text) {
            Ok(problem) => Err(Failure::Refused(Box::new(problem))),
            Err(_) => Err(Failure::Garbled(format!("{host} answered {status}: {text}"))),
        }
    }
}

/// A text as part of a query.
pub(super) fn quoted(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
