//! What an operator sees of routes: steps with their numbers, metrics, traces; what an operator does, on the audit trail;
//! and the trace context that goes through.

use axum::http::StatusCode;
use axum::response::Response;
use chassis::Telemetry;
use contracts::AUDIT_EVENTS;
use eventkit::outbox::{self, StoredEvent};
use eventkit::testing::eventually;
use eventkit::trace_context;
use eventkit::transport::{Record, Transport};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::deploy::{arrives, put, until_revision, write};
use crate::samples::created;
use crate::support::{House, TRACE};

/// A route that refuses what is bad; its id is that of its file, its group and its topics.
fn picky(id: &str) -> String {
    format!(
        r#"- route:
    id: {id}
    from:
      uri: kafka:{id}
      parameters: {{ groupId: {id}, autoOffsetReset: earliest }}
      steps:
        - filter:
            id: check
            simple: "${{body}} contains 'bad'"
            steps:
              - throwException: {{ exceptionType: java.lang.IllegalStateException, message: spoiled }}
        - setHeader: {{ id: mark, name: sessionToken, constant: geheim }}
        - setBody: {{ id: say, simple: "hello ${{body}}" }}
        - to: {{ id: send, uri: kafka:{id}-out }}
"#
    )
}

async fn deployed(house: &House, id: &str) {
    write(house, &format!("{id}.yaml"), &picky(id));
    until_revision(house, &format!("{id}.yaml"), 1).await;
}

async fn post(house: &House, path: &str, body: Value) -> (StatusCode, Value) {
    house.call("operator", "POST", path, Some(body)).await
}

#[tokio::test]
async fn each_step_tells_what_it_has_done_and_which_made_a_dead_letter() {
    let house = House::open(&[]).await;
    let telemetry = Telemetry::metrics_only().unwrap();
    deployed(&house, "counted").await;
    for value in ["1", "bad", "2"] {
        put(&house, "counted", "k", value).await;
    }
    arrives(&house, "counted-out", "hello 2").await;
    let detail = eventually("the dead letter is counted", async || {
        let (status, detail) = post(&house, "/operator/v1/routes/steps", json!({"route": "counted"})).await;
        assert_eq!(status, StatusCode::OK);
        (detail[0]["deadLettered"] == 1 && detail[0]["unacknowledged"] == 0).then(|| detail[0].clone())
    })
    .await;
    assert_eq!((&detail["total"], &detail["failed"], &detail["revision"]), (&json!(3), &json!(1), &json!(1)));
    let steps = detail["steps"].as_array().unwrap();
    let told: Vec<_> = steps
        .iter()
        .map(|step| json!([step["step"], step["depth"], step["total"], step["failed"], step["deadLettered"]]))
        .collect();
    let expected = [
        json!(["check", 0, 3, 1, 0]),
        json!(["throwException:11", 1, 1, 1, 1]),
        json!(["mark", 0, 2, 0, 0]),
        json!(["say", 0, 2, 0, 0]),
        json!(["send", 0, 2, 0, 0]),
    ];
    assert_eq!(told, expected);
    assert_eq!((&steps[4]["sendsTo"], &steps[4]["line"]), (&json!(["kafka:counted-out"]), &json!(14)));
    assert!(steps[4]["meanUs"].as_u64() > Some(0) || steps[4]["lastUs"].as_u64() == Some(0), "{detail}");
    for line in [
        "container_route_exchanges_total{route=\"counted\"} 3",
        "container_route_dead_letters_total{route=\"counted\"} 1",
        "container_route_exchanges_in_flight{route=\"counted\"} 0",
        "container_route_step_exchanges_total{route=\"counted\",step=\"send\"} 2",
        "container_route_step_exchanges_failed_total{route=\"counted\",step=\"throwException:11\"} 1",
        "container_route_step_dead_letters_total{route=\"counted\",step=\"throwException:11\"} 1",
    ] {
        eventually(line, async || telemetry.render().contains(line).then_some(())).await;
    }
    let (status, problem) = post(&house, "/operator/v1/routes/steps", json!({"route": "countet"})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(problem["detail"].as_str().unwrap().contains("did you mean `counted`"), "{problem}");
    for path in ["/operator/v1/routes/steps", "/operator/v1/routes/trace"] {
        assert_eq!(house.call("7", "POST", path, Some(json!({}))).await.0, StatusCode::FORBIDDEN);
    }
}

/// The lines of an answer, as they come.
struct Lines(mpsc::Receiver<Value>);

impl Lines {
    fn of(answer: Response) -> Self {
        assert_eq!(answer.status(), StatusCode::OK);
        let (sender, lines) = mpsc::channel(100);
        tokio::spawn(async move {
            let bytes = axum::body::to_bytes(answer.into_body(), 1 << 24).await.unwrap();
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                sender.send(serde_json::from_slice(line).unwrap()).await.unwrap();
            }
        });
        Self(lines)
    }

    async fn next(&mut self) -> Value {
        self.0.recv().await.unwrap()
    }
}

async fn trace(house: &House, route: &str, count: usize, timeout_ms: u64) -> Lines {
    let wanted = json!({"route": route, "count": count, "timeoutMs": timeout_ms});
    Lines::of(house.begin("operator", "POST", "/operator/v1/routes/trace", Some(wanted)).await)
}

#[tokio::test]
async fn an_exchange_is_followed_masked_and_the_trace_says_why_it_ends() {
    let house = House::open(&[]).await;
    deployed(&house, "followed").await;
    let mut lines = trace(&house, "followed", 1, 60_000).await;
    let wanted = json!({"route": "followed", "count": 1, "timeoutMs": 1});
    let (status, problem) = post(&house, "/operator/v1/routes/trace", wanted).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    put(&house, "followed", "k", "password=geheim").await;
    let exchange = lines.next().await;
    assert_eq!((&exchange["type"], &exchange["outcome"]), (&json!("exchange"), &json!("done")));
    let steps = exchange["steps"].as_array().unwrap();
    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(names, ["check", "mark", "say", "send"]);
    assert_eq!(steps[1]["headers"], json!([{"name": "sessionToken", "before": null, "after": "***"}]));
    assert_eq!(steps[2]["body"][1]["text"], "hello password=***");
    assert!(!exchange.to_string().contains("geheim"), "{exchange}");
    assert_eq!(lines.next().await, json!({"type": "end", "reason": "count", "followed": 1, "underWay": 0}));
    let mut lines = trace(&house, "followed", 5, 1).await;
    assert_eq!(lines.next().await, json!({"type": "end", "reason": "timeout", "followed": 0, "underWay": 0}));
    let mut lines = trace(&house, "followed", 5, 60_000).await;
    write(&house, "followed.yaml", &picky("followed").replace("hello", "good day"));
    assert_eq!(lines.next().await, json!({"type": "end", "reason": "replaced", "followed": 0, "underWay": 0}));
    for wrong in [json!({"route": "followed", "count": 0, "timeoutMs": 1}), json!({"route": "followed"})] {
        let (status, _) = post(&house, "/operator/v1/routes/trace", wrong).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test]
async fn whoever_goes_away_ends_the_trace() {
    let house = House::open(&["container.routes_trace_bodies=false"]).await;
    deployed(&house, "left").await;
    let wanted = json!({"route": "left", "count": 1, "timeoutMs": 600_000});
    drop(house.begin("operator", "POST", "/operator/v1/routes/trace", Some(wanted.clone())).await);
    let answer = eventually("somebody else may look", async || {
        let answer = house.begin("operator", "POST", "/operator/v1/routes/trace", Some(wanted.clone())).await;
        (answer.status() == StatusCode::OK).then_some(answer)
    })
    .await;
    put(&house, "left", "k", "1").await;
    let body = Lines::of(answer).next().await["body"].clone();
    assert_eq!(body, json!({"type": "string", "length": 1, "text": null}));
}

async fn audited(house: &House, key: &str) -> Vec<Value> {
    let stored = outbox::read_after(house.publisher.db(), 0, i64::MAX, 1_000).await.unwrap();
    let told = stored.iter().filter(|event| event.topic == AUDIT_EVENTS && event.key == key);
    told.map(|event| serde_json::from_str::<Value>(&event.envelope).unwrap()["data"].clone()).collect()
}

#[tokio::test]
async fn what_an_operator_does_to_routes_is_on_the_audit_trail() {
    let house = House::open(&[]).await;
    deployed(&house, "steered").await;
    for action in ["start", "stop", "start", "suspend", "resume"] {
        let (status, _) =
            post(&house, "/operator/v1/routes/control", json!({"route": "steered", "action": action})).await;
        assert_eq!(status, StatusCode::OK);
    }
    let (status, _) =
        post(&house, "/operator/v1/routes/control", json!({"route": "steered", "action": "resume"})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    trace(&house, "steered", 1, 1).await.next().await;
    let told = audited(&house, "route-steered").await;
    assert!(told.iter().all(|record| record["actor"] == json!({"type": "operator"})), "{told:?}");
    let actions: Vec<_> = told.iter().map(|record| record["action"].as_str().unwrap()).collect();
    // The first start and the last resume changed nothing.
    assert_eq!(actions, ["stop", "start", "suspend", "resume", "trace"]);
    let digest = |state: &str| json!(contracts::audit::digest(&state));
    assert_eq!((&told[0]["before"], &told[0]["after"]), (&digest("started"), &digest("stopped")));
    assert_eq!((&told[3]["before"], &told[3]["after"]), (&digest("suspended"), &digest("started")));
    write(&house, "steered.yaml", &picky("steered").replace("hello", "good day"));
    until_revision(&house, "steered.yaml", 2).await;
    let (status, _) =
        post(&house, "/operator/v1/routes/rollback", json!({"file": "steered.yaml", "revision": 1})).await;
    assert_eq!(status, StatusCode::OK);
    let told = audited(&house, "route-file-steered.yaml").await;
    let rolled = told.iter().find(|record| record["action"] == "rollBack").unwrap();
    assert_eq!(rolled["actor"], json!({"type": "operator"}));
    assert_eq!((&rolled["before"], &rolled["after"]), (&told[1]["after"], &told[0]["after"]));
}

/// A server that tells the trace context that it is asked with, on a route that drops all headers before.
async fn traced_house() -> (House, mpsc::Receiver<Option<String>>) {
    let (told, asked) = mpsc::channel(10);
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let answer = axum::routing::post(move |headers: axum::http::HeaderMap| async move {
        let given = headers.get("traceparent").map(|trace| trace.to_str().unwrap().to_owned());
        told.send(given).await.unwrap();
        ([("traceparent", "of-the-server")], "answered")
    });
    let router = axum::Router::new().route("/ask", answer);
    tokio::spawn(async move { axum::serve(server, router).await.unwrap() });
    let house = House::open(&[]).await;
    let steps = format!(
        r#"        - removeHeaders: {{ pattern: "*" }}
        - setBody: {{ simple: "${{routeId}}" }}
        - to: http://{address}/ask
        - to: kafka:out
        - setHeader: {{ name: audit.entity, constant: "order-1" }}
        - to: audit:create
"#
    );
    let from =
        |id: &str, uri: &str| format!("- route:\n    id: {id}\n    from:\n      uri: {uri}\n      steps:\n{steps}");
    let routes = [
        from("by-kafka", "kafka:in?groupId=in&autoOffsetReset=earliest"),
        from("by-http", "platform-http:/in"),
        from("by-events", "events:user.created?groupId=container-in"),
    ];
    write(&house, "traced.yaml", &routes.concat());
    until_revision(&house, "traced.yaml", 1).await;
    (house, asked)
}

fn sent(house: &House) -> Option<Option<String>> {
    let records = house.transport.records("out");
    records.last().map(|record| record.record.header("traceparent").map(str::to_owned))
}

async fn recorded(house: &House) -> Vec<StoredEvent> {
    let stored = outbox::read_after(house.publisher.db(), 0, i64::MAX, 1_000).await.unwrap();
    stored.into_iter().filter(|event| event.key == "order-1").collect()
}

#[tokio::test]
async fn the_trace_of_what_comes_goes_on_to_all_that_follows() {
    let record = |headers: &[(&'static str, &'static str)]| Record {
        topic: "in".to_owned(),
        key: Some("k".into()),
        value: Some("1".into()),
        headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        timestamp_ms: Some(1),
    };
    for source in ["kafka", "http", "events"] {
        let (house, mut asked) = traced_house().await;
        match source {
            "kafka" => house.transport.publish(vec![record(&[("traceparent", TRACE)])]).await.unwrap(),
            "http" => {
                let request = axum::http::Request::post("/routes/in").header("authorization", "Bearer operator");
                let request = request.header("traceparent", TRACE).body(axum::body::Body::empty()).unwrap();
                assert_eq!(house.send_request(request).await.status(), StatusCode::OK);
            }
            _ => drop(house.tell(&created(42, None)).await),
        }
        assert_eq!(asked.recv().await.unwrap().as_deref(), Some(TRACE), "{source}");
        let trace = eventually("it is sent on", async || sent(&house)).await;
        assert_eq!(trace.as_deref(), Some(TRACE), "{source}");
        let stored = eventually("it is recorded", async || {
            let stored = recorded(&house).await;
            (!stored.is_empty()).then_some(stored)
        })
        .await;
        assert_eq!(stored[0].traceparent.as_deref(), Some(TRACE), "{source}");
    }
    // Without one, what is recorded has the trace that anybody finds for the same cause.
    let (house, mut asked) = traced_house().await;
    house.transport.publish(vec![record(&[("ce_id", "cause-1")])]).await.unwrap();
    assert_eq!(asked.recv().await.unwrap(), None);
    let stored = eventually("it is recorded", async || recorded(&house).await.pop()).await;
    assert_eq!(stored.traceparent, Some(trace_context::of_cause("cause-1")));
    assert_eq!(sent(&house), Some(None));
}
