//! A message becomes a record, and nobody waits for its acknowledgement before the exchange ends.

use std::sync::Arc;

use bytes::Bytes;

use crate::components::Producer;
use crate::exchange::{Exchange, Headers, Text, Value};
use crate::run::{Cx, Sending, TRACEPARENT};

use super::outbox::{Outbox, Taken};
use super::{OutRecord, Transport};

pub(super) const KEY: &str = "kafka.KEY";
const OVERRIDE_TOPIC: &str = "kafka.OVERRIDE_TOPIC";
/// The header of CloudEvents that names an event.
const EVENT_ID: &str = "ce_id";
/// How the headers begin that describe an event.
const DESCRIBING: &str = "ce_";

#[derive(Debug)]
pub(super) struct Sender {
    pub(super) topic: String,
    pub(super) key: Option<Text>,
    pub(super) transport: Arc<dyn Transport>,
}

impl Producer for Sender {
    fn send<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Sending<'e> {
        let record = self.record(exchange, cx.route.id());
        Sending::Later(Box::pin(async move {
            let mut record = record;
            if let Some(outbox) = exchange.companion::<Outbox>() {
                record = match outbox.take(record).await? {
                    Taken::Kept => return Ok(()),
                    Taken::Sent(acknowledged) => {
                        exchange.pending.add(acknowledged);
                        return Ok(());
                    }
                    Taken::Not(record) => record,
                };
            }
            let acknowledged = self.transport.send(record).await?;
            exchange.pending.add(acknowledged);
            Ok(())
        }))
    }
}

impl Sender {
    fn record(&self, exchange: &mut Exchange, route: &str) -> OutRecord {
        // As in Camel, the header counts for one record only.
        let topic = exchange.message.headers.remove(OVERRIDE_TOPIC).and_then(|topic| topic.to_text());
        // Counted in any case, so that it does not depend on what the message looks like.
        let id = exchange.next_id(route);
        let is_another = exchange.cause().is_some() && !exchange.has_body_of_cause();
        let message = &exchange.message;
        let key = message.header(KEY).cloned().or_else(|| self.key.clone().map(Value::Text));
        let value = message.body.value();
        let headers = message.headers.iter().filter(|(name, value)| self.is_sent(name, value, is_another));
        let mut headers: Vec<_> = headers.map(|(name, value)| (name.clone(), value.to_bytes())).collect();
        if let Some(id) = id.filter(|_| is_another && !headers.iter().any(|(name, _)| is(name, EVENT_ID))) {
            headers.push((Text::fixed(EVENT_ID), Bytes::from(id.to_string())));
        }
        let trace = exchange.traceparent().filter(|_| !headers.iter().any(|(name, _)| is(name, TRACEPARENT)));
        headers.extend(trace.map(|trace| (Text::fixed(TRACEPARENT), Bytes::from(trace.to_string()))));
        OutRecord {
            topic: topic.map_or_else(|| self.topic.clone(), |topic| topic.to_string()),
            key: key.map(|key| key.to_bytes()),
            value: (!value.is_null()).then(|| value.to_bytes()),
            headers,
        }
    }

    /// Headers of the engine and of components stay here, and so do those that describe the event that
    /// came, where another one is sent.
    fn is_sent(&self, name: &str, value: &Value, is_another: bool) -> bool {
        let stays = value.is_null() || Headers::is_reserved(name);
        let came_along = matches!(value, Value::Bytes(_));
        let is_anothers = is_another && starts_with(name, DESCRIBING);
        !(stays || came_along && (is_anothers || !self.transport.is_forwarded(name)))
    }
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| is(start, prefix))
}

fn is(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
}
