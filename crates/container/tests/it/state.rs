//! What routes remember: over a restart, in another revision, and when a record comes again.

use std::path::Path;

use eventkit::testing::eventually;
use eventkit::transport::{Record, Transport};

use crate::support::House;

/// Collects three of each customer.
const COLLECT: &str = r##"- route:
    id: collect
    from:
      uri: kafka:orders
      parameters: { groupId: collecting, autoOffsetReset: earliest }
      steps:
        - aggregate:
            correlationExpression: { header: customer }
            aggregationStrategy: "#class:org.apache.camel.processor.aggregate.GroupedBodyAggregationStrategy"
            completionSize: 3
            steps:
              - setBody: { simple: "MARK ${body}" }
              - to: kafka:collected
"##;

/// Lets each customer through once.
const ONCE: &str = r##"- beans:
    - name: seen
      type: org.apache.camel.support.processor.idempotent.MemoryIdempotentRepository
- route:
    id: once
    from:
      uri: kafka:orders
      parameters: { groupId: once, autoOffsetReset: earliest }
      steps:
        - idempotentConsumer:
            header: customer
            idempotentRepository: seen
            steps:
              - choice:
                  when:
                    - simple: "${body} == 'bad'"
                      steps: [ { throwException: { exceptionType: java.lang.Exception, message: "no" } } ]
              - setBody: { simple: "first ${body}" }
              - to: kafka:firsts
        - to: kafka:through
"##;

async fn put(house: &House, customer: &str, value: &str) {
    put_as(house, customer, value, &format!("id-of-{value}")).await;
}

async fn put_as(house: &House, customer: &str, value: &str, id: &str) {
    let record = Record {
        topic: "orders".to_owned(),
        key: Some(value.to_owned().into()),
        value: Some(value.to_owned().into()),
        headers: vec![("ce_id".into(), id.to_owned().into()), ("customer".into(), customer.to_owned().into())],
        timestamp_ms: Some(1),
    };
    house.transport.publish(vec![record]).await.unwrap();
}

fn values(house: &House, topic: &str) -> Vec<String> {
    let text = |record: eventkit::transport::ConsumedRecord| {
        String::from_utf8(record.record.value.unwrap_or_default().to_vec()).unwrap()
    };
    house.transport.records(topic).into_iter().map(text).collect()
}

async fn arrive(house: &House, topic: &str, wanted: &[&str]) {
    eventually(&format!("{wanted:?} on {topic}"), async || {
        let mut found = values(house, topic);
        found.sort();
        (found == wanted).then_some(())
    })
    .await;
}

async fn joined(house: &House, members: i64) {
    eventually(&format!("{members} have joined"), async || {
        let sql = "select count(*) as members from route_joined";
        let row = house.publisher.db().query_one(sql, &[]).await.unwrap();
        (row.get::<i64>("members").unwrap() == members).then_some(())
    })
    .await;
}

/// How many rows of groups there are, complete or not.
async fn left(house: &House) -> i64 {
    let sql = "select (select count(*) from route_groups) + (select count(*) from route_group_members)
                   + (select count(*) from route_complete_groups) as rows";
    house.publisher.db().query_one(sql, &[]).await.unwrap().get("rows").unwrap()
}

fn write(house: &House, name: &str, text: &str) {
    std::fs::write(house.routes_dir().join(name), text).unwrap();
}

async fn second_revision(house: &House) {
    eventually("the second revision runs", async || {
        let (_, listed) = house.call("operator", "GET", "/operator/v1/routes", None).await;
        let files = listed["files"].as_array().unwrap().clone();
        files.iter().any(|file| file["file"] == "collect.yaml" && file["revision"] == 2).then_some(())
    })
    .await;
}

async fn nothing_left(house: &House) {
    eventually("nothing is kept of complete groups", async || (left(house).await == 0).then_some(())).await;
}

async fn opened(folder: &Path, name: &str, text: &str) -> House {
    let house = House::open_in(folder).await;
    write(&house, name, text);
    house
}

#[tokio::test]
async fn what_a_group_has_collected_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let house = opened(folder.path(), "collect.yaml", COLLECT).await;
    put(&house, "an", "1").await;
    put(&house, "an", "2").await;
    put(&house, "binh", "3").await;
    joined(&house, 3).await;
    house.stop_routes().await;
    // The transport in memory begins anew: the first two come again, as after a death before their commit.
    let house = opened(folder.path(), "collect.yaml", COLLECT).await;
    for value in ["1", "2", "4"] {
        put(&house, "an", value).await;
    }
    arrive(&house, "collected", &["MARK [1, 2, 4]"]).await;
    put(&house, "binh", "5").await;
    put(&house, "binh", "6").await;
    arrive(&house, "collected", &["MARK [1, 2, 4]", "MARK [3, 5, 6]"]).await;
    nothing_left(&house).await;
}

async fn survives_another_revision(house: House) {
    write(&house, "collect.yaml", COLLECT);
    put(&house, "an", "1").await;
    // Twice the same event: it is collected once.
    put(&house, "an", "1").await;
    put(&house, "an", "2").await;
    joined(&house, 2).await;
    write(&house, "collect.yaml", &COLLECT.replace("MARK", "second"));
    second_revision(&house).await;
    put(&house, "an", "3").await;
    arrive(&house, "collected", &["second [1, 2, 3]"]).await;
    nothing_left(&house).await;
}

#[tokio::test]
async fn what_a_group_has_collected_survives_another_revision_of_its_route() {
    survives_another_revision(House::open(&[]).await).await;
    if let Some(house) = House::open_on_postgres(&[]).await {
        survives_another_revision(house).await;
    }
}

#[tokio::test]
async fn groups_are_complete_by_time_also_if_that_came_while_nobody_ran() {
    let folder = tempfile::tempdir().unwrap();
    let collect = COLLECT.replace("completionSize: 3", "completionTimeout: TIMEOUT");
    let slow = collect.replace("TIMEOUT", "600000");
    let house = opened(folder.path(), "collect.yaml", &slow).await;
    put(&house, "an", "1").await;
    joined(&house, 1).await;
    let db = house.publisher.db().clone();
    house.stop_routes().await;
    // As if the time had come meanwhile.
    let due = async |tx: &mut db::Tx| tx.execute("update route_groups set due_at = 1", &[]).await;
    assert_eq!(db.unit(due).await.unwrap(), 1);
    let house = opened(folder.path(), "collect.yaml", &slow).await;
    arrive(&house, "collected", &["MARK [1]"]).await;
    write(&house, "collect.yaml", &collect.replace("TIMEOUT", "20"));
    second_revision(&house).await;
    put(&house, "binh", "2").await;
    arrive(&house, "collected", &["MARK [1]", "MARK [2]"]).await;
    nothing_left(&house).await;
}

#[tokio::test]
async fn a_group_that_cannot_be_read_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let collect = COLLECT.replace("completionSize: 3", "completionTimeout: 600000");
    let house = opened(folder.path(), "collect.yaml", &collect).await;
    put(&house, "an", "1").await;
    put(&house, "binh", "2").await;
    joined(&house, 2).await;
    let db = house.publisher.db().clone();
    house.stop_routes().await;
    let spoil = async |tx: &mut db::Tx| {
        let sql = "update route_group_members set content = $1 where group_key = 'an'";
        assert_eq!(tx.execute(sql, &db::params![vec![0_u8]]).await?, 1);
        tx.execute("update route_groups set due_at = case group_key when 'an' then 1 else 2 end", &[]).await
    };
    assert_eq!(db.unit(spoil).await.unwrap(), 2);
    let house = opened(folder.path(), "collect.yaml", &collect).await;
    arrive(&house, "collected", &["MARK [2]"]).await;
    eventually("the other stays", async || (left(&house).await == 2).then_some(())).await;
}

#[tokio::test]
async fn complete_groups_whose_steps_fail_are_kept_and_tried_again() {
    are_kept_and_tried_again(House::open(&[]).await).await;
    if let Some(house) = House::open_on_postgres(&[]).await {
        are_kept_and_tried_again(house).await;
    }
}

async fn are_kept_and_tried_again(house: House) {
    let failing =
        COLLECT.replace("to: kafka:collected", "throwException: { exceptionType: java.lang.Exception, message: x }");
    write(&house, "collect.yaml", &failing);
    for value in ["1", "2", "3"] {
        put(&house, "an", value).await;
    }
    eventually("they have failed", async || {
        let sql = "select number from route_complete_groups where failures > 0";
        (!house.publisher.db().query(sql, &[]).await.unwrap().is_empty()).then_some(())
    })
    .await;
    write(&house, "collect.yaml", COLLECT);
    arrive(&house, "collected", &["MARK [1, 2, 3]"]).await;
    nothing_left(&house).await;
}

#[tokio::test]
async fn of_many_with_one_key_the_first_goes_through() {
    goes_through(House::open(&[]).await).await;
    if let Some(house) = House::open_on_postgres(&[]).await {
        goes_through(house).await;
    }
}

async fn goes_through(house: House) {
    for value in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"] {
        // They are of different keys of the topic, and go through the route at the same time.
        put(&house, "an", value).await;
    }
    put(&house, "binh", "bad").await;
    write(&house, "once.yaml", ONCE);
    arrive(&house, "orders.dlq", &["bad"]).await;
    put(&house, "binh", "good").await;
    eventually("ten and one are through", async || (values(&house, "through").len() == 11).then_some(())).await;
    let firsts = values(&house, "firsts");
    assert_eq!(firsts.len(), 2, "{firsts:?}");
    assert!(firsts.contains(&"first good".to_owned()));
}

#[tokio::test]
async fn closed_keys_stay_closed_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let collect =
        COLLECT.replace("completionSize: 3", "completionSize: 1\n            closeCorrelationKeyOnCompletion: 10");
    let house = opened(folder.path(), "collect.yaml", &collect).await;
    put(&house, "an", "1").await;
    arrive(&house, "collected", &["MARK [1]"]).await;
    nothing_left(&house).await;
    house.stop_routes().await;
    let house = opened(folder.path(), "collect.yaml", &collect).await;
    put(&house, "an", "2").await;
    arrive(&house, "orders.dlq", &["2"]).await;
    assert!(values(&house, "collected").is_empty());
}

#[tokio::test]
async fn what_was_seen_is_seen_after_a_restart_and_what_failed_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let house = opened(folder.path(), "once.yaml", ONCE).await;
    put(&house, "an", "1").await;
    put(&house, "binh", "bad").await;
    arrive(&house, "orders.dlq", &["bad"]).await;
    arrive(&house, "through", &["first 1"]).await;
    house.stop_routes().await;
    let house = opened(folder.path(), "once.yaml", ONCE).await;
    // At another place of the topic than before, so that it is a second one of the same customer.
    put(&house, "chi", "other").await;
    put(&house, "an", "2").await;
    put(&house, "binh", "3").await;
    arrive(&house, "firsts", &["first 3", "first other"]).await;
    arrive(&house, "through", &["2", "first 3", "first other"]).await;
}

#[tokio::test]
async fn a_record_that_comes_again_is_not_a_duplicate_of_itself() {
    let folder = tempfile::tempdir().unwrap();
    let house = opened(folder.path(), "once.yaml", ONCE).await;
    put(&house, "an", "1").await;
    arrive(&house, "firsts", &["first 1"]).await;
    house.stop_routes().await;
    let house = opened(folder.path(), "once.yaml", ONCE).await;
    // The same record at the same place, as after a death before its commit; and a copy of it behind.
    put(&house, "an", "1").await;
    put_as(&house, "an", "copy", "id-of-1").await;
    arrive(&house, "through", &["copy", "first 1"]).await;
    assert_eq!(values(&house, "firsts"), ["first 1"]);
}
