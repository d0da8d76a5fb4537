//! `events:` brings events with an inbox: each has its effect once, and what a route asks to be stored is stored in the
//! transaction in which the event counts as handled.

use std::fmt;
use std::sync::Arc;

use contracts::audit::{AuditData, AuditSecurity, AuditSystem};
use contracts::company::{CompanyCreated, DepartmentCreated, DepartmentUpdated};
use contracts::notification::{NotificationEmail, NotificationPush, NotificationSms};
use contracts::recruitment::{ApplicationReviewed, ApplicationSubmitted, JobPosted, JobUpdated};
use contracts::user::{UserCreated, UserDeleted, UserLogin, UserLogout, UserUpdated};
use eventkit::envelope::format_millis;
use eventkit::{Consumer as EventConsumer, Event, Handle, HandlerError, HandlerResult, Received, UnitOfWork};
use jiff::Timestamp;
use routes::check::{Takes, nearest};
use routes::components::{Component, ComponentSpec, Consumer, Endpoint, EndpointOption, Name, Names, Side};
use routes::exchange::{Body, Exception, Message, Text, Value, parse_json};
use routes::run::{BoxFuture, Core, Inlet};
use serde_json::json;

use super::kafka::is_transient;
use super::work::{accompany, store};
use crate::ConsumerMaker;

/// `events:`.
pub(crate) static EVENTS: ComponentSpec = ComponentSpec {
    name: "events",
    about: "Brings events of these types, in order for each key and each with one effect, also when it comes twice; the \
            body is the envelope. What fails for a passing reason is tried again, and becomes a dead letter in the end",
    path: "types",
    side: Side::From,
    options: &[EndpointOption::new(
        "groupId",
        Takes::Text,
        Side::From,
        "the group whose offsets count, as `container-…`; must be there",
    )],
};

type Register = fn(EventConsumer, RouteHandler) -> EventConsumer;

/// Every event that a route can be brought.
const TYPES: &[(&str, Register)] = &[
    known::<UserCreated>(),
    known::<UserUpdated>(),
    known::<UserDeleted>(),
    known::<UserLogin>(),
    known::<UserLogout>(),
    known::<CompanyCreated>(),
    known::<DepartmentCreated>(),
    known::<DepartmentUpdated>(),
    known::<JobPosted>(),
    known::<JobUpdated>(),
    known::<ApplicationSubmitted>(),
    known::<ApplicationReviewed>(),
    known::<NotificationEmail>(),
    known::<NotificationPush>(),
    known::<NotificationSms>(),
    known::<AuditSecurity>(),
    known::<AuditData>(),
    known::<AuditSystem>(),
];

const fn known<E: Event>() -> (&'static str, Register) {
    (E::TYPE, |consumer, handler| consumer.on::<E>(handler))
}

/// `events:` for an engine.
pub(crate) fn component(consumers: Arc<dyn ConsumerMaker>) -> Arc<dyn Component> {
    Arc::new(Events { consumers, groups: Names::default() })
}

struct Events {
    consumers: Arc<dyn ConsumerMaker>,
    /// Which route has a group: another in it would be given events of the first, and pass them over.
    groups: Names<()>,
}

/// The groups of the container's own consumers.
const TAKEN: &[&str] = &["container-directory", "container-mail", "container-gateways", "container-audit"];

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

impl Component for Events {
    fn spec(&self) -> &'static ComponentSpec {
        &EVENTS
    }

    fn consumer(&self, endpoint: Endpoint, _: &Core) -> Result<Box<dyn Consumer>, String> {
        let group = endpoint.word("groupId").filter(|group| !group.is_empty()).ok_or("`events:` needs `groupId`")?;
        if TAKEN.contains(&group.as_str()) {
            return Err(format!("the group `{group}` is the container's own"));
        }
        let names = endpoint.text.path.split(',').map(str::trim);
        let registers = names.map(register).collect::<Result<Vec<_>, _>>()?;
        Ok(Box::new(Source { group: self.groups.name(group), registers, consumers: Arc::clone(&self.consumers) }))
    }
}

fn register(name: &str) -> Result<Register, String> {
    if let Some((_, register)) = TYPES.iter().find(|(known, _)| *known == name) {
        return Ok(*register);
    }
    Err(match nearest(name, TYPES.iter().map(|(known, _)| *known)) {
        Some(near) => format!("there is no event `{name}`: did you mean `{near}`?"),
        None => format!("there is no event `{name}`"),
    })
}

struct Source {
    group: Name<()>,
    registers: Vec<Register>,
    consumers: Arc<dyn ConsumerMaker>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("group", &self.group).finish_non_exhaustive()
    }
}

impl Consumer for Source {
    fn start(&self, inlet: Inlet) -> BoxFuture<'_, Result<(), String>> {
        self.group.take(inlet.route().id(), ());
        let handler = RouteHandler(inlet.clone());
        let consumer = self.consumers.consumer(self.group.as_str());
        let consumer = self.registers.iter().fold(consumer, |consumer, register| register(consumer, handler.clone()));
        let handle = self.consumers.start(consumer);
        let stopping = inlet.clone();
        inlet.spawn(async move {
            stopping.stopped().await;
            handle.stop().await;
        });
        Box::pin(async { Ok(()) })
    }

    fn claims(&self) -> Option<String> {
        Some(format!("events:?groupId={}", self.group.as_str()))
    }

    fn conflict(&self, replaced: &[Text]) -> Option<String> {
        let group = self.group.as_str();
        self.group.other(replaced).map(|route| format!("the group `{group}` belongs to route `{route}` already"))
    }

    fn stop(&self) {
        self.group.give_back();
    }
}

/// Takes events through a route.
#[derive(Debug, Clone)]
struct RouteHandler(Inlet);

impl<E: Event> Handle<E> for RouteHandler {
    async fn handle(&self, received: &Received<E>, work: &mut UnitOfWork) -> HandlerResult {
        let mut exchange = self.0.exchange(message(received, self.0.core().surroundings.clock.now_ms())?);
        exchange.follow(received.identity.as_str());
        let Received { topic, partition, offset, .. } = received;
        exchange.came_from(format!("{topic}/{partition}/{offset}/{}", received.identity));
        if let Some(trace) = received.traceparent() {
            exchange.join_trace(Text::from(trace));
        }
        exchange.answer_for();
        let ledger = accompany(&mut exchange);
        let exchange = self.0.deliver(exchange).await;
        let (publications, cause) = ledger.close();
        if let Some(exception) = exchange.exception() {
            return Err(cause.unwrap_or_else(|| failure(exception)));
        }
        // The transaction begins only now: nothing in it waits for a step.
        for publication in publications {
            store(publication, work).await?;
        }
        Ok(())
    }
}

fn failure(exception: &Exception) -> HandlerError {
    match is_transient(exception) {
        true => HandlerError::transient(exception.clone()),
        false => HandlerError::permanent(exception.clone()),
    }
}

/// The envelope as the body, with the event as the current version has it.
fn message<E: Event>(received: &Received<E>, now_ms: i64) -> Result<Message, HandlerError> {
    let mut envelope = serde_json::to_value(&*received.envelope).map_err(HandlerError::permanent)?;
    envelope["data"] = serde_json::to_value(&received.event).map_err(HandlerError::permanent)?;
    envelope["schemaVersion"] = json!(E::VERSION);
    let at_ms = received.envelope.timestamp.map_or(now_ms, Timestamp::as_millisecond);
    if envelope["timestamp"].is_null() {
        envelope["timestamp"] = json!(Timestamp::from_millisecond(now_ms).map(format_millis).ok());
    }
    let tree = parse_json(&Value::from(envelope.to_string())).map_err(HandlerError::permanent)?;
    let mut message = Message::new(Body::new(Value::json(tree)));
    let key = received.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
    message.headers.extend([
        (Text::fixed("kafka.TOPIC"), Value::from(received.topic.as_str())),
        (Text::fixed("kafka.KEY"), Value::from(key)),
        (Text::fixed("kafka.PARTITION"), Value::Integer(i64::from(received.partition))),
        (Text::fixed("kafka.OFFSET"), Value::Integer(received.offset)),
        (Text::fixed("kafka.TIMESTAMP"), Value::Integer(at_ms)),
    ]);
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_of_the_table_of_topics_can_be_brought() {
        let all = contracts::TOPICS.iter().flat_map(|topic| topic.event_types);
        for name in all {
            assert!(register(name).is_ok(), "{name}");
        }
        assert!(register("user.creatd").unwrap_err().contains("`user.created`"));
    }
}
