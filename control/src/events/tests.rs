use std::time::Duration;

use super::*;

fn some(events: &Events, count: usize) {
    for _ in 0..count {
        events.add(&Happened::Uplink(UplinkEvent { suspected: true }));
    }
}

/// The numbers that are heard without waiting, misses as negative numbers.
async fn heard(listener: &mut Listener) -> Vec<i64> {
    let mut all = Vec::new();
    while let Ok(heard) = tokio::time::timeout(Duration::from_millis(20), listener.next()).await {
        all.push(match heard {
            Heard::Event(event) => i64::try_from(event.id.number).unwrap(),
            Heard::Missed(missed) => -missed.map_or(i64::MAX, |missed| i64::try_from(missed).unwrap()),
        });
    }
    all
}

#[tokio::test]
async fn a_listener_hears_what_comes_and_what_he_left() {
    let events = Arc::new(Events::new(Clock::start()));
    some(&events, 3);
    let mut listener = events.listen(None).unwrap();
    assert_eq!(heard(&mut listener).await, [0; 0]);
    some(&events, 2);
    assert_eq!(heard(&mut listener).await, [4, 5]);
    let back = |number| EventId { start: events.start, number };
    assert_eq!(heard(&mut events.listen(Some(back(2))).unwrap()).await, [3, 4, 5]);
    assert_eq!(heard(&mut events.listen(Some(back(5))).unwrap()).await, [0; 0]);
    let other = EventId { start: 7, number: 2 };
    assert_eq!(heard(&mut events.listen(Some(other)).unwrap()).await, [-i64::MAX, 1, 2, 3, 4, 5]);
    assert_eq!(
        heard(&mut events.listen(Some(back(6))).unwrap()).await.len(),
        6,
        "nobody can have heard that"
    );
}

#[tokio::test]
async fn a_slow_listener_is_told_how_many_he_has_missed() {
    let events = Arc::new(Events::new(Clock::start()));
    let mut listener = events.listen(None).unwrap();
    some(&events, MAX_EVENTS + 10);
    let all = heard(&mut listener).await;
    assert_eq!((all[0], all[1], all.len()), (-10, 11, MAX_EVENTS + 1));
}

#[test]
fn so_many_listen_and_no_more() {
    let events = Arc::new(Events::new(Clock::start()));
    let mut all: Vec<Listener> = (0..MAX_LISTENERS).map(|_| events.listen(None).unwrap()).collect();
    assert!(events.listen(None).is_none());
    all.pop();
    assert!(events.listen(None).is_some());
}

#[test]
fn ids_are_read_as_they_are_written() {
    let id = EventId { start: 0x1234_abcd, number: 12 };
    assert_eq!((id.to_string().as_str(), id.to_string().parse()), ("1234abcd.12", Ok(id)));
    for text in ["", ".", "1", "1.", ".1", "1.2.3", "g.1", "1.+2", "+1.2", "1.-2", "1.99999999999999999999"] {
        assert_eq!(text.parse::<EventId>(), Err(NotAnEvent), "{text}");
    }
}
