//! A message becomes a record, and nobody waits for its acknowledgement before the exchange ends.

use std::sync::Arc;

use bytes::Bytes;

use crate::components::Producer;
use crate::exchange::{Exchange, Text, Value};
use crate::run::{Cx, Sending};

use super::{OutRecord, Transport};

pub(super) const KEY: &str = "kafka.KEY";
const OVERRIDE_TOPIC: &str = "kafka.OVERRIDE_TOPIC";

#[derive(Debug)]
pub(super) struct Sender {
    pub(super) topic: String,
    pub(super) key: Option<Text>,
    pub(super) transport: Arc<dyn Transport>,
}

impl Producer for Sender {
    fn send<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Sending<'e> {
        let record = self.record(exchange);
        Sending::Later(Box::pin(async move {
            let acknowledged = self.transport.send(record).await?;
            exchange.pending.add(acknowledged);
            Ok(())
        }))
    }
}

impl Sender {
    fn record(&self, exchange: &mut Exchange) -> OutRecord {
        // As in Camel, the header counts for one record only.
        let topic = exchange.message.headers.remove(OVERRIDE_TOPIC).and_then(|topic| topic.to_text());
        let message = &exchange.message;
        let key = message.header(KEY).cloned().or_else(|| self.key.clone().map(Value::Text));
        let value = message.body.value();
        let headers = message.headers.iter().filter(|(name, value)| is_sent(name) && !value.is_null());
        OutRecord {
            topic: topic.map_or_else(|| self.topic.clone(), |topic| topic.to_string()),
            key: key.map(|key| key.to_bytes()),
            value: (!value.is_null()).then(|| value.to_bytes()),
            headers: headers.map(|(name, value)| (name.clone(), bytes_of(value))).collect(),
        }
    }
}

/// Headers of the engine and of the client itself stay here.
fn is_sent(name: &str) -> bool {
    let starts_with = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    !starts_with("Camel") && !starts_with("kafka.")
}

fn bytes_of(value: &Value) -> Bytes {
    value.to_bytes()
}
