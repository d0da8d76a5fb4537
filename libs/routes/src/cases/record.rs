//! What came of exchanges, as JSON that can be compared.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use crate::exchange::{Exchange, Message, Pattern, Value, write_json};

use super::has_answer;
use super::input::Input;

/// What became of a message for its sender.
pub(super) fn result(exchange: &Exchange, pattern: Pattern, input: &Input) -> Json {
    let mut fields = Map::new();
    fields.insert("failed".to_owned(), json!(exchange.is_failed()));
    if let Some(exception) = exchange.exception() {
        fields.insert("exception".to_owned(), json!(exception.class().name));
        if let (Some(message), false) = (exception.message(), input.ignores_messages) {
            fields.insert("message".to_owned(), json!(message.as_str()));
        }
    }
    if has_answer(exchange, pattern) {
        body(&exchange.message, &mut fields);
        fields.insert("headers".to_owned(), headers(&exchange.message, input));
    }
    Json::Object(fields)
}

/// What reached a `mock:` endpoint.
pub(super) fn received(exchange: &Exchange, input: &Input) -> Json {
    let mut fields = Map::new();
    body(&exchange.message, &mut fields);
    fields.insert("headers".to_owned(), headers(&exchange.message, input));
    if !input.record_properties.is_empty() {
        let properties = input.record_properties.iter();
        let properties = properties.map(|name| (name.clone(), exchange.properties.get(name).map_or(Json::Null, plain)));
        fields.insert("properties".to_owned(), properties.collect());
    }
    Json::Object(fields)
}

fn body(message: &Message, fields: &mut Map<String, Json>) {
    let value = message.body.value();
    let is_opaque = |value: &Value| matches!(value, Value::Exchange(_));
    let (kind, body) = match value {
        Value::Bytes(bytes) => ("bytes", json!(STANDARD.encode(bytes))),
        Value::Exception(exception) => ("exception", json!(exception.class().name)),
        Value::Exchange(_) => ("other", Json::Null),
        Value::List(values) if values.iter().any(is_opaque) => ("other", Json::Null),
        value => (value.type_name(), plain(value)),
    };
    fields.insert("bodyType".to_owned(), json!(kind));
    fields.insert("body".to_owned(), body);
}

fn headers(message: &Message, input: &Input) -> Json {
    let is_recorded = |name: &str| {
        !name.starts_with("Camel") || input.record_headers.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    let headers = message.headers.iter().filter(|(name, _)| is_recorded(name));
    headers.map(|(name, value)| (name.to_string(), plain(value))).collect()
}

fn plain(value: &Value) -> Json {
    serde_json::from_str(&write_json(value)).unwrap_or(Json::Null)
}
