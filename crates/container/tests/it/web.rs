//! Routes on the web: who calls one decides nothing but what the message is.

use axum::http::{Request, StatusCode};
use eventkit::testing::eventually;

use crate::deploy::{until_revision, values, write};
use crate::support::House;

/// A route for employees at `/routes/web`.
pub(crate) fn web(steps: &str) -> String {
    format!(
        r#"- route:
    id: web
    from:
      uri: platform-http:/web
      parameters: {{ access: employee }}
      steps:
{steps}"#
    )
}

pub(crate) async fn house(steps: &str) -> House {
    let house = House::open(&[]).await;
    write(&house, "web.yaml", &web(steps));
    until_revision(&house, "web.yaml", 1).await;
    house
}

pub(crate) async fn text(response: axum::response::Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_caller_does_not_choose_topics_keys_and_addressees() {
    let house = house("        - to: kafka:web-orders\n        - setBody: { header: notify.to }\n").await;
    let steering = "/routes/web?kafka.OVERRIDE_TOPIC=elsewhere&kafka.KEY=k&Notify.to=x&audit.employee=1&camelx=1";
    let request = Request::post(steering).header("kafka.override_topic", "elsewhere").header("notify.to", "x");
    let response = house.ask("7", request, "1").await;
    assert_eq!((response.status(), text(response).await), (StatusCode::NO_CONTENT, String::new()));
    assert_eq!((values(&house, "web-orders"), values(&house, "elsewhere").len()), (vec!["1".to_owned()], 0));
    let record = &house.transport.records("web-orders")[0].record;
    assert_eq!(record.key, None);
    assert!(record.headers.iter().all(|(name, _)| !name.starts_with("audit.")), "{:?}", record.headers);
}

#[tokio::test]
async fn a_web_server_that_answers_does_not_choose_the_topic() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let answer = || async { ([("kafka.override_topic", "elsewhere"), ("x-kept", "yes")], "answer") };
    let router = axum::Router::new().route("/", axum::routing::any(answer));
    tokio::spawn(async move { axum::serve(server, router).await.unwrap() });
    let house =
        house(&format!("        - to: http://{address}/?bridgeEndpoint=true\n        - to: kafka:web-orders\n")).await;
    assert_eq!(house.ask("7", Request::post("/routes/web"), "1").await.status(), StatusCode::OK);
    assert_eq!((values(&house, "web-orders"), values(&house, "elsewhere").len()), (vec!["answer".to_owned()], 0));
    assert_eq!(house.transport.records("web-orders")[0].record.header("x-kept"), Some("yes"));
}

#[tokio::test]
async fn what_a_request_says_does_not_come_back_as_headers_of_the_answer() {
    let steps =
        "        - setBody: { simple: \"hello ${header.q}\" }\n        - setHeader: { name: x-own, constant: said }\n";
    let house = house(steps).await;
    let query = "/routes/web?q=1&Content-Type=text/html&Set-Cookie=a%3Db&Access-Control-Allow-Origin=*&Location=/x";
    let response = house.ask("7", Request::get(query).header("x-asked", "yes"), "").await;
    let headers = response.headers().clone();
    assert_eq!((response.status(), text(response).await), (StatusCode::OK, "hello 1".to_owned()));
    for name in ["set-cookie", "access-control-allow-origin", "location", "q", "x-asked"] {
        assert!(!headers.contains_key(name), "{name}");
    }
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["x-own"], "said");
}

#[tokio::test]
async fn an_idempotency_key_is_its_callers_own() {
    let steps = r#"        - setHeader: { name: notify.employee, constant: "7" }
        - setHeader: { name: notify.to, constant: a@example.com }
        - to: notify:email?name=asked&template=user-welcome
"#;
    let house = house(steps).await;
    let told = async || house.published_after(0).await.len();
    let send = async |who: &str, key: &str, body: &str| {
        let request = Request::post("/routes/web").header("idempotency-key", key);
        house.ask(who, request, body).await.status()
    };
    let body = r#"{"firstName": "An"}"#;
    // Whoever sends the same again is not told twice.
    for _ in 0..2 {
        assert_eq!(send("7", "1", body).await, StatusCode::OK);
    }
    eventually("the first is told", async || (told().await == 1).then_some(())).await;
    assert_eq!(send("8", "1", body).await, StatusCode::OK);
    eventually("the same of another is told", async || (told().await == 2).then_some(())).await;
    assert_eq!(send("7", "1", r#"{"firstName": "Binh"}"#).await, StatusCode::OK);
    eventually("something else under the same key is told", async || (told().await == 3).then_some(())).await;
    assert_eq!(send("7", "", body).await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_route_at_the_root_takes_what_is_below() {
    let steps = "        - setBody: { simple: \"root ${header.CamelHttpPath}\" }\n";
    let root = web(steps)
        .replace("platform-http:/web", "platform-http:/?matchOnUriPrefix=true")
        .replace("id: web", "id: root");
    let house = house("        - setBody: { constant: web }\n").await;
    write(&house, "root.yaml", &root);
    until_revision(&house, "root.yaml", 1).await;
    for (path, answer) in
        [("/routes/web", "web"), ("/routes/a/b", "root /a/b"), ("/routes", "root "), ("/routes/", "root /")]
    {
        assert_eq!(text(house.ask("7", Request::get(path), "").await).await, answer, "{path}");
    }
}
