//! What the tests start routes with.

use std::time::Duration;

use routes::exchange::{Exchange, Message, Value};
use routes::{Engine, Limits, Setup};

/// The longest anything is waited for.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// An engine that runs one file and records what `mock:` endpoints get.
pub(crate) async fn started(route: &str, limits: Limits) -> Engine {
    let engine = Engine::new(Setup { limits, ..Setup::default() });
    engine.core().components.mocks().expect("there is a component mock").record();
    let compiled = engine.load(&[("test.yaml".to_owned(), route.to_owned())]).expect("the route is right");
    engine.start(compiled).await.expect("the route starts");
    engine
}

/// Sends text, and gives back what came of it.
pub(crate) async fn send(engine: &Engine, to: &str, text: &str) -> Exchange {
    engine.send(to, engine.core().exchange(Message::new(Value::from(text)))).await
}

/// The bodies that a `mock:` endpoint got, as text.
pub(crate) fn bodies(engine: &Engine, mock: &str) -> Vec<String> {
    let received = engine.core().components.mocks().expect("there is a component mock").received();
    let exchanges = received.get(mock).cloned().unwrap_or_default();
    exchanges.iter().map(|exchange| exchange.message.body.value().to_text().unwrap_or_default().to_string()).collect()
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let waited = tokio::time::timeout(WAIT_MAX, async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    });
    assert!(waited.await.is_ok(), "not in time: {what}");
}
