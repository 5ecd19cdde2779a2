//! A client of the admin API.
//!
//! A call ends: after ten seconds, or a minute for a table. What is made only once however often it is sent is sent a second time
//! when the connection breaks before an answer; nothing else is. Events come until the connection breaks ([`Stream`]).

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use control::access::Token;
use control::document::Finding;
use control::events::EventId;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::call::Call;
use super::door::Door;
use super::exit::Exit;
use super::stream::Stream;
use super::{AdminArgs, Output, complain, configuration, say_json};

/// The longest answer that is read, in bytes: all regions of the largest table take a twentieth of it.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Where the API is and how it is opened.
#[derive(Debug)]
pub(super) struct Api {
    door: Door,
    output: Output,
    /// None is sent where a certificate says who it is.
    token: Option<Token>,
}

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody answers there; it has heard nothing.
    Unreachable(String),
    /// It may have heard everything, and did not answer.
    Unanswered(String),
    /// It answered that it would not.
    Refused(StatusCode, Box<Problem>),
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
    /// All of it as it came, if the command speaks to a program.
    #[serde(skip)]
    document: Option<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(problem) | Self::Unanswered(problem) | Self::Garbled(problem) => {
                f.write_str(problem)
            }
            Self::Refused(_, problem) => {
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
    /// Something is not as the call expects.
    pub(super) const fn is_moved(&self) -> bool {
        matches!(self, Self::Refused(StatusCode::PRECONDITION_FAILED, _))
    }

    /// It will not be otherwise if it is asked again.
    pub(super) const fn is_final(&self) -> bool {
        let may_pass = matches!(
            self,
            Self::Unreachable(_) | Self::Unanswered(_) | Self::Refused(StatusCode::SERVICE_UNAVAILABLE, _)
        );
        !may_pass
    }

    /// Says it, to a program in the edge's own words besides, and that the command has failed.
    pub(super) fn report(&self) -> ExitCode {
        complain(&self.to_string());
        if let Self::Refused(_, problem) = self
            && let Some(document) = &problem.document
        {
            say_json(document);
        }
        let exit = match self {
            Self::Refused(StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED, _) => Exit::Refused,
            _ => Exit::Failed,
        };
        exit.into()
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
        Ok(token.map(|token| Self { door, output: args.output, token }))
    }

    /// Calls the API; the answer as text.
    pub(super) fn text(&self, call: &Call) -> Result<String, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a process that has started gets its event loop").block_on(self.answer(call))
    }

    /// Calls the API; the answer as what it means, and as text.
    pub(super) fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<(T, String), Failure> {
        let text = self.text(call)?;
        let parsed = serde_json::from_str(&text);
        parsed
            .map(|value| (value, text))
            .map_err(|error| Failure::Garbled(format!("the answer is not understood: {error}")))
    }

    async fn answer(&self, call: &Call) -> Result<String, Failure> {
        let unknown = |problem: String| match call.method {
            Method::GET => Failure::Unanswered(problem),
            _ => Failure::Unanswered(format!(
                "{problem}; whether it was made is not known: look before you do it again (nearside audit)"
            )),
        };
        let once = async || {
            let answer = Box::pin(tokio::time::timeout(call.patience, self.attempt(call))).await;
            answer.map_err(|_| self.too_late(call.patience))
        };
        let answer = match once().await {
            Ok(Err(Failure::Unanswered(_))) if call.key.is_some() => match once().await.flatten() {
                // Whatever it says of the second time, it may have done it the first time.
                Err(
                    again @ (Failure::Unreachable(_) | Failure::Refused(StatusCode::SERVICE_UNAVAILABLE, _)),
                ) => Err(Failure::Unanswered(again.to_string())),
                answer => answer,
            },
            answer => answer.flatten(),
        };
        answer.map_err(|failure| match failure {
            Failure::Unanswered(problem) => unknown(problem),
            other => other,
        })
    }

    async fn attempt(&self, call: &Call) -> Result<String, Failure> {
        let (response, _connection) = self.send(self.request(call)?).await?;
        let (status, text) = self.read(response).await?;
        if status == StatusCode::OK { Ok(text) } else { Err(self.refusal(status, &text)) }
    }

    /// Listens to what happens; after an event that was heard before, if there is one.
    pub(super) async fn listen(&self, after: Option<EventId>) -> Result<Stream, Failure> {
        let call = Call::get("/v1/events");
        let mut request = self.request(&call)?;
        let after = after.and_then(|after| HeaderValue::try_from(after.to_string()).ok());
        if let Some(after) = after {
            request.headers_mut().insert("last-event-id", after);
        }
        let begun = Box::pin(tokio::time::timeout(call.patience, self.send(request))).await;
        let (response, connection) = begun.map_err(|_| self.too_late(call.patience))??;
        if response.status() == StatusCode::OK {
            return Ok(Stream::new(response.into_body(), connection));
        }
        let answer = tokio::time::timeout(call.patience, self.read(response)).await;
        let (status, text) = answer.map_err(|_| self.too_late(call.patience))??;
        Err(self.refusal(status, &text))
    }

    /// An answer that has begun, and the connection that it comes over.
    async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, JoinSet<hyper::Result<()>>), Failure> {
        let unreachable = |error: &dyn std::fmt::Display| {
            let host = &self.door.host;
            Failure::Unreachable(format!("no edge answers at {host}: {error}; is it running?"))
        };
        let stream = self.door.connect().await.map_err(|error| unreachable(&error))?;
        let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(&error))?;
        let mut connection = JoinSet::new();
        connection.spawn(driver);
        let response = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
        Ok((response, connection))
    }

    async fn read(&self, response: Response<Incoming>) -> Result<(StatusCode, String), Failure> {
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| self.broken(&error))?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    fn refusal(&self, status: StatusCode, text: &str) -> Failure {
        match serde_json::from_str::<Problem>(text) {
            Ok(mut problem) => {
                problem.document = (self.output == Output::Json).then(|| text.to_owned());
                Failure::Refused(status, Box::new(problem))
            }
            Err(_) => Failure::Garbled(format!("{} answered {status}: {text}", self.door.host)),
        }
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> Failure {
        Failure::Unanswered(format!("{} broke off before its answer: {error}", self.door.host))
    }

    fn too_late(&self, patience: Duration) -> Failure {
        let (host, patience) = (&self.door.host, patience.as_secs());
        Failure::Unanswered(format!("no answer from {host} within {patience} s"))
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder().method(call.method.clone()).uri(&call.path);
        request = request.header(header::HOST, &self.door.host);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()));
        }
        if let Some(version) = call.expects {
            request = request.header(header::IF_MATCH, format!("\"{version}\""));
        }
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key);
        }
        request
            .body(Full::new(Bytes::from(call.body.clone())))
            .map_err(|error| Failure::Garbled(error.to_string()))
    }
}
