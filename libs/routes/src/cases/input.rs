//! What is sent: `input.json`.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::components::Answers;
use crate::exchange::{Message, Pattern, Text, Value, parse_json};
use crate::language::Properties;

/// What is sent, and how it is recorded.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) messages: Vec<Sent>,
    pub(super) properties: Properties,
    /// What is answered for components that are stood in for.
    pub(super) answers: Answers,
    pub(super) record_headers: Vec<String>,
    pub(super) record_properties: Vec<String>,
    pub(super) settle: Duration,
    /// Whether what comes while the routes stop is recorded as well.
    pub(super) stops: bool,
    pub(super) ignores_messages: bool,
}

/// One message.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) to: String,
    pub(super) body: Value,
    pub(super) headers: Vec<(Text, Value)>,
    pub(super) properties: Vec<(Text, Value)>,
    pub(super) pattern: Pattern,
    pub(super) delay: Duration,
    pub(super) min: Duration,
    pub(super) max: Option<Duration>,
}

const FIELDS: [&str; 11] = [
    "description",
    "answers",
    "messages",
    "properties",
    "recordHeaders",
    "recordProperties",
    "settleMs",
    "stops",
    "expectLoadError",
    "ignoreExceptionMessage",
    "newerThan",
];

const MESSAGE_FIELDS: [&str; 9] =
    ["to", "body", "jsonBody", "headers", "exchangeProperties", "pattern", "delayMs", "minMs", "maxMs"];

impl Input {
    pub(super) fn new(json: &Json) -> Result<Self, String> {
        let fields = object(json, &FIELDS)?;
        let messages = fields.get("messages").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        Ok(Self {
            messages: messages.iter().map(Sent::new).collect::<Result<_, _>>()?,
            properties: match fields.get("properties") {
                Some(properties) => {
                    pairs(properties).into_iter().map(|(name, value)| (name.to_string(), text(&value))).collect()
                }
                None => Properties::new(),
            },
            answers: match fields.get("answers") {
                Some(answers) => {
                    let answers = object_of(answers)?.iter().map(|(address, json)| (address.clone(), tree(json)));
                    Answers::new(answers.collect())
                }
                None => Answers::default(),
            },
            record_headers: names(fields.get("recordHeaders")),
            record_properties: names(fields.get("recordProperties")),
            settle: ms(fields.get("settleMs")).unwrap_or(Duration::from_millis(150)),
            stops: is_on(fields.get("stops")),
            ignores_messages: is_on(fields.get("ignoreExceptionMessage")),
        })
    }
}

fn object_of(json: &Json) -> Result<&Map<String, Json>, String> {
    json.as_object().ok_or_else(|| "`answers` has addresses and what they answer".to_owned())
}

/// JSON as a web server or a directory answers it; null is nothing.
fn tree(json: &Json) -> Value {
    match parse_json(&Value::from(json.to_string())) {
        Ok(Value::Null) | Err(_) => Value::Null,
        Ok(tree) => Value::json(tree),
    }
}

impl Sent {
    fn new(json: &Json) -> Result<Self, String> {
        let fields = object(json, &MESSAGE_FIELDS)?;
        let body = match (fields.get("jsonBody"), fields.get("body")) {
            (Some(json), _) => Value::from(json.to_string()),
            (None, Some(body)) => value(body),
            (None, None) => Value::Null,
        };
        let pattern = match fields.get("pattern").and_then(Json::as_str) {
            None | Some("InOnly") => Pattern::InOnly,
            Some("InOut") => Pattern::InOut,
            Some(other) => return Err(format!("pattern `{other}` is neither InOnly nor InOut")),
        };
        Ok(Self {
            to: fields.get("to").and_then(Json::as_str).unwrap_or("direct:start").to_owned(),
            body,
            headers: fields.get("headers").map(pairs).unwrap_or_default(),
            properties: fields.get("exchangeProperties").map(pairs).unwrap_or_default(),
            pattern,
            delay: ms(fields.get("delayMs")).unwrap_or_default(),
            min: ms(fields.get("minMs")).unwrap_or_default(),
            max: ms(fields.get("maxMs")),
        })
    }

    pub(super) fn message(&self) -> Message {
        let mut message = Message::new(self.body.clone());
        message.headers.extend(self.headers.iter().cloned());
        message
    }
}

/// An object whose fields are all known.
fn object<'j>(json: &'j Json, known: &[&str]) -> Result<&'j Map<String, Json>, String> {
    let fields = json.as_object().ok_or_else(|| format!("`{json}` is not an object"))?;
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("unknown field `{name}`: known are {}", known.join(", "))),
        None => Ok(fields),
    }
}

fn pairs(json: &Json) -> Vec<(Text, Value)> {
    let entries = json.as_object().into_iter().flatten();
    entries.map(|(name, json)| (Text::from(name.as_str()), value(json))).collect()
}

/// Text as it is, everything else as JSON's values.
fn value(json: &Json) -> Value {
    parse_json(&Value::from(json.to_string())).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.to_text().unwrap_or_default().to_string()
}

fn names(json: Option<&Json>) -> Vec<String> {
    let names = json.and_then(Json::as_array).into_iter().flatten();
    names.filter_map(Json::as_str).map(str::to_owned).collect()
}

fn is_on(json: Option<&Json>) -> bool {
    json.and_then(Json::as_bool).unwrap_or(false)
}

fn ms(json: Option<&Json>) -> Option<Duration> {
    json.and_then(Json::as_u64).map(Duration::from_millis)
}
