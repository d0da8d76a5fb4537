//! Row "fetch": fetch sessions, in which a client names only what changes and is told only what is new.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::{FetchRequest, FetchResponse, MetadataRequest};
use rdkafka::consumer::Consumer;

use crate::support::batch::{batch, values};
use crate::support::wire::{FETCH, Wire, topic_name};
use crate::support::{Running, receive, send};

/// A fetch of partitions of topic "t" at these offsets, in a session.
fn request(session: (i32, i32), asked: &[(i32, i64)]) -> FetchRequest {
    let partition = |(index, offset): &(i32, i64)| {
        FetchPartition::default().with_partition(*index).with_fetch_offset(*offset).with_partition_max_bytes(1 << 20)
    };
    let partitions: Vec<FetchPartition> = asked.iter().map(partition).collect();
    let topic = FetchTopic::default().with_topic(topic_name("t")).with_partitions(partitions);
    FetchRequest::default()
        .with_min_bytes(0)
        .with_max_bytes(1 << 20)
        .with_session_id(session.0)
        .with_session_epoch(session.1)
        .with_topics(if asked.is_empty() { Vec::new() } else { vec![topic] })
}

/// Partition, error and values of everything that an answer tells of.
fn told(answer: &FetchResponse) -> Vec<(i32, i16, Vec<String>)> {
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    let one = partitions.map(|one| (one.partition_index, one.error_code, values(one.records.as_ref().unwrap())));
    one.collect()
}

async fn fetch(wire: &mut Wire, session: (i32, i32), asked: &[(i32, i64)]) -> FetchResponse {
    wire.call(FETCH, &request(session, asked)).await
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// A topic with three partitions and a session over all of them.
async fn begin(broker: &Running) -> (Wire, i32) {
    broker.topic("t", 3, &[]).await;
    let mut wire = broker.wire().await;
    let answer = fetch(&mut wire, (0, 0), &[(0, 0), (1, 0), (2, 0)]).await;
    assert_eq!((answer.error_code, told(&answer).len()), (0, 3), "the first answer tells of everything");
    assert!(answer.session_id > 0);
    (wire, answer.session_id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_tells_only_what_is_new_and_reads_on_where_the_client_says() {
    let broker = Running::start().await;
    let (mut wire, id) = begin(&broker).await;
    let answer = fetch(&mut wire, (id, 1), &[]).await;
    assert_eq!((answer.error_code, answer.session_id), (0, id));
    assert_eq!(told(&answer), [], "nothing is new");
    wire.produce("t", 1, batch(&["a"])).await;
    assert_eq!(told(&fetch(&mut wire, (id, 2), &[]).await), [(1, 0, texts(&["a"]))], "only what has records");
    // The client has not said that it read on: it gets the same again.
    assert_eq!(told(&fetch(&mut wire, (id, 3), &[]).await), [(1, 0, texts(&["a"]))]);
    assert_eq!(told(&fetch(&mut wire, (id, 4), &[(1, 1)]).await), []);
    wire.produce("t", 1, batch(&["b"])).await;
    wire.produce("t", 2, batch(&["c"])).await;
    let mut answer = told(&fetch(&mut wire, (id, 5), &[]).await);
    answer.sort();
    assert_eq!(answer, [(1, 0, texts(&["b"])), (2, 0, texts(&["c"]))]);
    assert_eq!(wire.delete_records("t", 2, 1).await, (0, 1));
    let answer = told(&fetch(&mut wire, (id, 6), &[(1, 2), (2, 1)]).await);
    assert_eq!(answer, [(2, 0, texts(&[]))], "that its first offset moved is news");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_added_and_forgotten_and_a_session_without_any_ends() {
    let broker = Running::start().await;
    broker.topic("t", 3, &[]).await;
    let mut wire = broker.wire().await;
    let id = fetch(&mut wire, (0, 0), &[(0, 0)]).await.session_id;
    for partition in 0..3 {
        wire.produce("t", partition, batch(&["v"])).await;
    }
    let forget = |session, partitions: &[i32]| {
        let forgotten = ForgottenTopic::default().with_topic(topic_name("t")).with_partitions(partitions.to_vec());
        request(session, &[]).with_forgotten_topics_data(vec![forgotten])
    };
    let mut answer = told(&fetch(&mut wire, (id, 1), &[(2, 0)]).await);
    answer.sort();
    assert_eq!(answer, [(0, 0, texts(&["v"])), (2, 0, texts(&["v"]))]);
    let answer = wire.call(FETCH, &forget((id, 2), &[0])).await;
    assert_eq!(told(&answer), [(2, 0, texts(&["v"]))]);
    let answer = wire.call(FETCH, &forget((id, 3), &[2])).await;
    assert_eq!((answer.error_code, answer.session_id, told(&answer)), (0, 0, vec![]));
    let answer = fetch(&mut wire, (id, 4), &[]).await;
    assert_eq!(answer.error_code, ResponseError::FetchSessionIdNotFound.code());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_session_and_a_wrong_epoch_are_told_and_a_full_fetch_begins_anew() {
    let broker = Running::start().await;
    let (mut wire, id) = begin(&broker).await;
    let code = |answer: FetchResponse| (answer.error_code, answer.session_id, answer.responses.len());
    let unknown = (ResponseError::FetchSessionIdNotFound.code(), 0, 0);
    let wrong = (ResponseError::InvalidFetchSessionEpoch.code(), 0, 0);
    let other = if id == 7 { 8 } else { 7 };
    assert_eq!(code(fetch(&mut wire, (other, 1), &[]).await), unknown);
    assert_eq!(code(fetch(&mut wire, (id, 2), &[]).await), wrong);
    assert_eq!(code(fetch(&mut wire, (id, 1), &[]).await), (0, id, 0), "the session did not suffer from that");
    assert_eq!(code(fetch(&mut wire, (id, 1), &[]).await), wrong, "each epoch counts once");
    // A session is known by its id alone: another connection goes on with it.
    let mut second = broker.wire().await;
    assert_eq!(code(fetch(&mut second, (id, 2), &[]).await), (0, id, 0));
    let anew = fetch(&mut second, (id, 0), &[(0, 0)]).await.session_id;
    assert!(anew > 0 && anew != id);
    assert_eq!(code(fetch(&mut wire, (id, 3), &[]).await), unknown, "the new one took its place");
    assert_eq!(code(fetch(&mut wire, (anew, -1), &[(0, 0)]).await), (0, 0, 1), "the last epoch ends it");
    assert_eq!(code(fetch(&mut wire, (anew, 1), &[]).await), unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_told_each_time_and_its_end_too() {
    let broker = Running::start().await;
    let (mut wire, id) = begin(&broker).await;
    let out_of_range = ResponseError::OffsetOutOfRange.code();
    for epoch in 1..=2 {
        let asked: &[(i32, i64)] = if epoch == 1 { &[(1, 5)] } else { &[] };
        assert_eq!(told(&fetch(&mut wire, (id, epoch), asked).await), [(1, out_of_range, texts(&[]))]);
    }
    assert_eq!(told(&fetch(&mut wire, (id, 3), &[(1, 0)]).await), [(1, 0, texts(&[]))], "it is over");
    assert_eq!(told(&fetch(&mut wire, (id, 4), &[]).await), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_names_topics_in_one_way_and_where_there_is_no_room_there_is_none() {
    let broker = Running::with(|config| config.fetch_sessions_max = 1).await;
    let (mut wire, id) = begin(&broker).await;
    let metadata = wire.call(12, &MetadataRequest::default().with_topics(None)).await;
    let topic_id = metadata.topics.iter().find(|topic| topic.name == Some(topic_name("t"))).unwrap().topic_id;
    let by_id = |session| {
        let mut request = request(session, &[(0, 0)]);
        request.topics[0].topic = topic_name("");
        request.topics[0].topic_id = topic_id;
        request
    };
    assert_eq!(wire.call(13, &by_id((id, 1))).await.error_code, ResponseError::FetchSessionTopicIdError.code());
    let second = wire.call(13, &by_id((0, 0))).await;
    assert_eq!((second.error_code, second.session_id, second.responses.len()), (0, 0, 1), "the one place is taken");
    let anew = wire.call(17, &by_id((id, 0))).await.session_id;
    assert!(anew > 0, "its own place is free");
    let answer = wire.call(17, &request((anew, 1), &[])).await;
    assert_eq!((answer.error_code, answer.responses.len()), (0, 0));
    wire.produce("t", 0, batch(&["v"])).await;
    let answer = wire.call(17, &request((anew, 2), &[])).await;
    assert_eq!((answer.responses[0].topic_id, told(&answer)), (topic_id, vec![(0, 0, texts(&["v"]))]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_fetch_of_a_session_is_answered_by_the_next_record() {
    let broker = Running::start().await;
    let (mut wire, id) = begin(&broker).await;
    let waiting = request((id, 1), &[]).with_min_bytes(1).with_max_wait_ms(60_000);
    wire.send(FETCH, &waiting).await;
    broker.wire().await.produce("t", 2, batch(&["v"])).await;
    let answer = wire.receive::<FetchRequest>(FETCH).await.unwrap();
    assert_eq!(told(&answer), [(2, 0, texts(&["v"]))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn librdkafka_reads_beside_sessions_of_others() {
    let broker = Running::start().await;
    let (mut wire, id) = begin(&broker).await;
    let (producer, consumer) = (broker.producer(&[]), broker.consumer("g", &[]));
    consumer.subscribe(&["t"]).unwrap();
    for round in 0..20 {
        let (partition, value) = (round % 3, format!("value {round}"));
        let (_, offset) = send(&producer, "t", partition, &value).await;
        assert_eq!(receive(&consumer).await, (partition, offset, value.clone()));
        let answer = fetch(&mut wire, (id, round + 1), &[(partition, offset)]).await;
        assert!(told(&answer).iter().any(|(index, _, values)| *index == partition && values.contains(&value)));
    }
}
