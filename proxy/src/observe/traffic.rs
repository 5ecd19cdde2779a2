//! What requests came to, for the control plane: the workers' numbers, added up when it asks.
//!
//! Each number is read where its worker writes it, which costs the worker a cache miss at its next request. Of the locks, a worker takes
//! one for a route and region that it has not met before and when another table comes into force, and one at the end of each
//! request that had a reason; neither is held for longer than a piece of the series, or the reasons of one.

use std::sync::{Arc, PoisonError};

use control::traffic::{Answers, Traffic};

use super::reason::Reason;
use super::series::{CLASSES, RequestSeries, Shard};

/// The index of [`CLASSES`] of what a server failed.
const SERVER_ERROR: usize = 5;

/// The numbers of all workers.
pub(crate) struct WorkersTraffic(pub(crate) Vec<Arc<Shard>>);

impl Traffic for WorkersTraffic {
    fn tell(&self, each: &mut dyn FnMut(&str, &str, &Answers)) {
        for shard in &self.0 {
            shard.each_request(|(route, region), series| each(&route, &region, &answers(series)));
        }
    }
}

fn answers(series: &RequestSeries) -> Answers {
    let mut answers = Answers::default();
    let mut count = |class: usize, reason: Reason, count: u64| {
        answers.requests += count;
        let is_error = class == SERVER_ERROR && !matches!(reason, Reason::ClientGone | Reason::Loop);
        if is_error || reason.is_failure() {
            answers.errors += count;
        }
        if reason == Reason::NoRoute {
            answers.unrouted += count;
        }
    };
    for (class, tally) in (0..CLASSES.len()).zip(&series.plain) {
        count(class, Reason::None, tally.get());
    }
    for ((class, reason), counted) in series.reasoned.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        count(*class, *reason, *counted);
    }
    for (sum, tally) in answers.durations.iter_mut().zip(&series.durations.buckets) {
        *sum = tally.get();
    }
    answers
}

#[cfg(test)]
mod tests {
    use steer::Span;

    use super::*;

    #[test]
    fn errors_are_what_the_service_failed() {
        assert_eq!(CLASSES[SERVER_ERROR], "5xx");
        let series = RequestSeries::default();
        for (status, reason) in [
            (200, Reason::None),
            (200, Reason::FailedOver),
            (404, Reason::NoRoute),
            (400, Reason::BadRequest),
            (0, Reason::ClientGone),
            (508, Reason::Loop),
            (503, Reason::ClientGone),
        ] {
            series.add(status, reason, Span::from_millis(3));
        }
        let asked = answers(&series);
        assert_eq!((asked.requests, asked.errors, asked.unrouted), (7, 0, 1));
        // By an origin; by the edge; to a gRPC client; in the middle of an answer.
        for (status, reason) in [
            (500, Reason::None),
            (503, Reason::NoHealthy),
            (200, Reason::NoHealthy),
            (200, Reason::OriginBroke),
        ] {
            series.add(status, reason, Span::from_millis(3));
        }
        let more = answers(&series);
        assert_eq!((more.requests, more.errors, more.timed()), (11, 4, 11));
    }

    #[test]
    fn routes_and_regions_of_all_workers_are_told() {
        let traffic = WorkersTraffic(vec![Arc::default(), Arc::default()]);
        for shard in &traffic.0 {
            shard.requests("app", "eu").add(200, Reason::None, Span::ZERO);
        }
        let mut told = Vec::new();
        traffic.tell(&mut |route, region, answers| {
            told.push((route.to_owned(), region.to_owned(), answers.requests));
        });
        assert_eq!(told, [("app".to_owned(), "eu".to_owned(), 1), ("app".to_owned(), "eu".to_owned(), 1)]);
    }
}
