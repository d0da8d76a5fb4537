//! Finding events.

use eventkit::Clock;
use jiff::Timestamp;
use ops::events::Filter;
use ops::produce::event_record;

use crate::support::{Fixture, record};

#[tokio::test]
async fn the_newest_events_that_match_are_found_in_the_order_of_their_times() {
    let fixture = Fixture::start().await;
    fixture.create("trials", 2).await;
    let clock = Clock::manual(Timestamp::from_second(1_700_000_000).unwrap());
    for (number, key) in ["user-1", "user-2", "user-1"].into_iter().enumerate() {
        let event = event_record("trials", key, "user.updated", b"{}", &clock).unwrap();
        fixture.write(&event, i32::try_from(number % 2).unwrap()).await;
        clock.advance_ms(60_000);
    }
    fixture.write(&record("trials", "user-1", "no event"), 0).await;
    let topics = ["trials".to_owned()];
    let of_first = Filter { key: Some("user-1".to_owned()), ..Filter::default() };
    let found = fixture.kafka.find_events(&topics, &of_first, 10).await.unwrap();
    assert_eq!((found.matching, found.unreadable), (2, 1));
    assert!(found.events[0].time < found.events[1].time);
    let newest = fixture.kafka.find_events(&topics, &Filter::default(), 1).await.unwrap();
    assert_eq!((newest.events.len(), newest.matching), (1, 3));
    let since = Filter { since: Timestamp::from_second(1_700_000_060).ok(), ..Filter::default() };
    assert_eq!(fixture.kafka.find_events(&topics, &since, 10).await.unwrap().matching, 2);
    let correlation_id = found.events[0].correlation_id.clone();
    let caused = Filter { correlation_id, ..Filter::default() };
    assert_eq!(fixture.kafka.find_events(&topics, &caused, 10).await.unwrap().events, found.events[..1]);
}
