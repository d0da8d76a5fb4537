//! What a database knows of an event: before and after it was published, handled and by whom.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use eventkit::metrics::HANDLE_SPAN;
use eventkit::testing::eventually;
use eventkit::trace::{Asked, Known, State, known};
use eventkit::{Consumer, Effect, Handle, HandlerResult, Origin, Received, UnitOfWork};

use crate::fixture::{ACCOUNTS, AccountOpened, Fixture, opened};

struct Nothing;

impl Handle<AccountOpened> for Nothing {
    async fn handle(&self, _: &Received<AccountOpened>, _: &mut UnitOfWork) -> HandlerResult {
        Ok(())
    }
}

async fn ask(fixture: &Fixture, event_id: &str) -> Known {
    let groups = ["one".to_owned(), "other".to_owned()];
    let asked = Asked { event_id: event_id.to_owned(), event_type: None };
    known(&fixture.db, "bank", &groups, &asked).await.unwrap()
}

#[tokio::test]
async fn an_event_is_known_from_its_commit_to_its_effect() {
    for fixture in Fixture::all().await {
        let before_ms = fixture.publisher.clock().now_ms();
        let (first, second) = (fixture.open(1).await, fixture.open(2).await);
        let stored = ask(&fixture, &first).await.stored.unwrap();
        assert_eq!((stored.state, stored.published_at_ms), (State::Waiting, None));
        assert_eq!((stored.topic.as_str(), stored.key.as_str(), stored.sequence), (ACCOUNTS, "account-1", 1));
        assert!(stored.recorded_at_ms >= before_ms);
        fixture.start_relay().stop(std::time::Duration::from_secs(5)).await;
        let stored = ask(&fixture, &second).await.stored.unwrap();
        assert_eq!(stored.state, State::Published);
        assert!(stored.published_at_ms.unwrap() >= before_ms / 1_000 * 1_000, "{stored:?}");
        let consumer = Consumer::new("one").on::<AccountOpened>(Nothing);
        let running = consumer.start(fixture.publisher.clone(), fixture.transport.clone());
        let handled = eventually("one group has it", async || {
            let handled = ask(&fixture, &second).await.handled;
            (!handled.is_empty()).then_some(handled)
        })
        .await;
        assert_eq!(handled.iter().map(|by| by.group.as_str()).collect::<Vec<_>>(), ["one"]);
        let nothing = ask(&fixture, "no-such-event").await;
        assert_eq!((nothing.stored, nothing.handled, nothing.parked), (None, vec![], vec![]));
        running.stop().await;
    }
}

/// Keeps what is said of each handler's span.
#[derive(Default, Clone)]
struct Spans(Arc<Mutex<Vec<BTreeMap<String, String>>>>);

impl tracing::Subscriber for Spans {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        let mut spans = self.0.lock().unwrap();
        if span.metadata().name() == HANDLE_SPAN {
            spans.push(fields.0);
        }
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {}

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl tracing::field::Visit for Fields {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

/// Notes the trace that it was told of.
struct TellTrace(Arc<Mutex<Option<String>>>);

impl Effect<AccountOpened> for TellTrace {
    async fn perform(&self, received: &Received<AccountOpened>) -> HandlerResult {
        *self.0.lock().unwrap() = received.traceparent().map(str::to_owned);
        Ok(())
    }
}

#[tokio::test]
async fn a_handler_stands_in_a_span_of_the_trace_that_an_effect_passes_on() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let spans = Spans::default();
    // Where there is one subscriber alone, the first thread that comes to a span says for all whether it is wanted.
    let _other = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let _watched = tracing::subscriber::set_default(spans.clone());
    let fixture = Fixture::new().await;
    let origin = Origin { traceparent: Some(TRACE.to_owned()), ..Origin::default() };
    let mut work = fixture.publisher.begin(origin);
    let event_id = work.publish(&opened(1)).await.unwrap();
    work.commit().await.unwrap();
    fixture.start_relay().stop(std::time::Duration::from_secs(5)).await;
    let told = Arc::new(Mutex::new(None));
    let effect = Consumer::new("effect").effect::<AccountOpened>(TellTrace(told.clone()));
    let handler = Consumer::new("handler").on::<AccountOpened>(Nothing);
    let running = [effect, handler].map(|one| one.start(fixture.publisher.clone(), fixture.transport.clone()));
    eventually("both have had it", async || (fixture.count("inbox").await == 2).then_some(())).await;
    assert_eq!(told.lock().unwrap().as_deref(), Some(TRACE));
    let mut of_groups: Vec<_> = spans.0.lock().unwrap().clone();
    of_groups.sort_by_key(|fields| fields["group"].clone());
    for (fields, group) in of_groups.iter().zip(["effect", "handler"]) {
        let expected = [("event", &*event_id), ("group", group), ("handler", "account.opened"), ("traceparent", TRACE)];
        assert_eq!(fields.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>(), expected);
    }
    assert_eq!(of_groups.len(), 2);
    for consumer in running {
        consumer.stop().await;
    }
}
