//! `/v1/events`: what happens, while it happens, as server-sent events.
//!
//! A stream ends when this edge drains, and within a second when what its caller has shown opens nothing any more, be it that the
//! authorities of his certificate were replaced: nobody goes on listening because he has come in once.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Serialize;
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval};
use utoipa::ToSchema;

use super::extract::field;
use super::kinds::problems;
use super::problem::Problem;
use super::{Admin, Shared};
use crate::access::Caller;
use crate::events::{EventId, Heard, Listener};

const LAST_EVENT_ID: &str = "last-event-id";
/// How often it is asked whether a listener may still listen.
const LOOK: Duration = Duration::from_secs(1);
/// How often something is said though nothing happens, so that nobody in between takes a quiet stream for a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `event: missed`: some events are no longer held, because the listener was away, or slow.
#[derive(Serialize, ToSchema)]
#[schema(as = MissedEvent)]
pub(super) struct Missed {
    /// How many; `None` if nobody knows, because this edge was started in between.
    missed: Option<u64>,
}

/// `event: end`: the last one.
#[derive(Serialize, ToSchema)]
#[schema(as = EndEvent)]
pub(super) struct End {
    /// `stopping`: this edge drains. `access`: the caller may not listen any more.
    why: &'static str,
}

problems!(
    /// Of listening.
    Listening = ANY, "bad-event", "too-many-listeners"
);

/// What happens, while it happens
///
/// Events are `change` (a `ChangeEvent`), `health` (a `HealthEvent`), `ended` (an `EndedEvent`), `uplink` (an `UplinkEvent`), each with
/// its `time`; `missed` (a `MissedEvent`) where some are no longer held, and `end` (an `EndEvent`). The last thousand are held: whoever
/// comes back with `Last-Event-ID` is told what came since. A comment comes every 15 s. 32 may listen at once.
#[utoipa::path(get, path = "/v1/events", tag = "events", operation_id = "listen",
    params(("Last-Event-ID" = Option<String>, Header, pattern = r"^[0-9a-f]{1,16}\.[0-9]{1,19}$",
        description = "The `id` of the event that was heard last.")),
    responses((status = 200, description = "A stream of events.", body = String, content_type = "text/event-stream"), Listening))]
pub(super) async fn listen(
    State(admin): Shared,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let listener = admin.publisher.events().listen(last_heard(&headers)?).ok_or_else(|| {
        let detail = "as many listen to events as may: 32";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-listeners", detail).retry_after("10")
    })?;
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ends = admin.process.ends();
    let told = Stream { admin, caller, listener, looks, ends };
    let stream = unfold(Some(told), |told| async move {
        let (event, told) = told?.next().await;
        Some((Ok::<Event, Infallible>(event), told))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

fn last_heard(headers: &HeaderMap) -> Result<Option<EventId>, Problem> {
    field(
        headers,
        LAST_EVENT_ID,
        |id| id.parse().ok(),
        || {
            let detail = "it is the id of the event that was heard last, and there is one";
            Problem::field("bad-event", "Last-Event-ID", detail, json!("Last-Event-ID: 19ac2f0b7d1.812"))
        },
    )
}

/// What a listener is told, one after the other.
struct Stream {
    admin: Arc<Admin>,
    caller: Caller,
    listener: Listener,
    looks: Interval,
    ends: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Stream {
    /// The next event, and who waits for the one after it: nobody after the last.
    async fn next(mut self) -> (Event, Option<Self>) {
        loop {
            tokio::select! {
                biased;
                () = &mut self.ends => return (last("stopping"), None),
                _ = self.looks.tick() => {
                    if !self.admin.access.still_knows(&self.caller) {
                        return (last("access"), None);
                    }
                }
                heard = self.listener.next() => {
                    let event = match heard {
                        Heard::Event(event) => {
                            Event::default().id(event.id.to_string()).event(event.name).data(&event.data)
                        }
                        Heard::Missed(missed) => told("missed", &Missed { missed }),
                    };
                    return (event, Some(self));
                }
            }
        }
    }
}

fn last(why: &'static str) -> Event {
    told("end", &End { why })
}

fn told(name: &str, data: &impl Serialize) -> Event {
    let data = serde_json::to_string(data).expect("it has only numbers and words");
    Event::default().event(name).data(data)
}
