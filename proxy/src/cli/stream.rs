//! What an edge tells while it happens: events as they come over one connection (`text/event-stream`).
//!
//! Something comes at least every 15 s, be it a comment; whoever has said nothing for longer is gone.
//!
//! Left out: coming back. Whoever listens knows what he has heard last.

use std::time::Duration;

use bytes::Bytes;
use control::events::EventId;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::task::JoinSet;

use super::admin::Failure;

/// How long nothing may come.
const SILENCE: Duration = Duration::from_secs(45);
/// The longest event, in bytes: a change with its reasons and evidence takes some thousand.
const MAX_EVENT_BYTES: usize = 1 << 20;
/// What stands between two events.
const BREAK: &[u8] = b"\n\n";

/// Events that come.
#[derive(Debug)]
pub(super) struct Stream {
    body: Incoming,
    /// What has come and was not taken yet.
    heard: Heard,
    /// Ends with the stream.
    _connection: JoinSet<hyper::Result<()>>,
}

/// An event.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Event {
    /// With which to ask for what came after it. What is told about the stream itself has none.
    pub(super) id: Option<EventId>,
    /// What kind it is.
    pub(super) name: String,
    /// What has happened, as JSON.
    pub(super) data: String,
}

#[derive(Debug, Default)]
struct Heard(Vec<u8>);

impl Stream {
    pub(super) fn new(body: Incoming, connection: JoinSet<hyper::Result<()>>) -> Self {
        Self { body, heard: Heard::default(), _connection: connection }
    }

    /// The next event, or why there is none.
    pub(super) async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            if let Some(event) = self.heard.next()? {
                return Ok(event);
            }
            let lost =
                |why: &dyn std::fmt::Display| Failure::Unanswered(format!("the stream of events {why}"));
            let frame = tokio::time::timeout(SILENCE, self.body.frame()).await;
            let frame = frame
                .map_err(|_| lost(&format_args!("was silent for {} s", SILENCE.as_secs())))?
                .ok_or_else(|| lost(&"has ended"))?
                .map_err(|error| lost(&format_args!("broke off: {error}")))?;
            self.heard.add(&frame.into_data().unwrap_or_default());
        }
    }
}

impl Heard {
    fn add(&mut self, bytes: &Bytes) {
        self.0.extend_from_slice(bytes);
    }

    /// The next event, if all of it has come.
    fn next(&mut self) -> Result<Option<Event>, Failure> {
        while let Some(at) = self.0.windows(BREAK.len()).position(|bytes| bytes == BREAK) {
            let rest = self.0.split_off(at + BREAK.len());
            let text = std::mem::replace(&mut self.0, rest);
            let event = Event::of(&String::from_utf8_lossy(&text));
            if event.is_some() {
                return Ok(event);
            }
        }
        match self.0.len() <= MAX_EVENT_BYTES {
            true => Ok(None),
            false => Err(Failure::Garbled(format!("an event has more than {MAX_EVENT_BYTES} bytes"))),
        }
    }
}

impl Event {
    /// `None` for a comment, which only says that somebody is there.
    fn of(text: &str) -> Option<Self> {
        let mut event = Self::default();
        for line in text.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => event.id = value.parse().ok(),
                "event" => value.clone_into(&mut event.name),
                "data" => event.data.push_str(value),
                _ => {}
            }
        }
        (!event.name.is_empty()).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_as_they_come_and_comments_are_none() {
        let mut heard = Heard::default();
        heard.add(&Bytes::from_static(b":\n\nid: 19ac.7\nevent: health\nda"));
        assert_eq!(heard.next().expect("no mistake"), None);
        heard.add(&Bytes::from_static(b"ta: {}\n\nevent:end\ndata:{\"why\":\"stopping\"}\n\n"));
        let first = heard.next().expect("no mistake").expect("all of it has come");
        assert_eq!((first.name.as_str(), first.data.as_str()), ("health", "{}"));
        assert_eq!(first.id.map(|id| id.to_string()).as_deref(), Some("19ac.7"));
        let second = heard.next().expect("no mistake").expect("all of it has come");
        assert_eq!((second.id, second.name.as_str()), (None, "end"));
        assert_eq!(heard.next().expect("no mistake"), None);
    }

    #[test]
    fn an_event_without_an_end_is_not_kept_for_ever() {
        let mut heard = Heard::default();
        heard.add(&Bytes::from(vec![b'x'; MAX_EVENT_BYTES]));
        assert_eq!(heard.next().expect("it may go on"), None);
        heard.add(&Bytes::from_static(b"x"));
        assert!(matches!(heard.next(), Err(Failure::Garbled(_))));
    }
}
