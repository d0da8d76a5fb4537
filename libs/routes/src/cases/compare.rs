//! What came against what was to come, by the rules of the format.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::Answer;
use super::input::Input;

/// Exceptions whose class and message are compared: those that are not of a library's own.
const COMPARED: [&str; 6] = [
    "RollbackExchangeException",
    "DirectConsumerNotAvailableException",
    "ThrottlerRejectedExecutionException",
    "PredicateValidationException",
    "NoSuchEndpointException",
    "InvalidPayloadException",
];

/// Types whose bodies are equal when their JSON is.
const BY_VALUE: [&str; 7] = ["json", "map", "list", "integer", "decimal", "boolean", "null"];

/// What a case says of the refusal that it expects.
const REFUSAL: &str = "refusal";

/// All differences, each a line for people.
pub(super) fn differences(expected: &Json, actual: &Answer, input: &Input) -> Vec<String> {
    let is_refused = expected.get("loadError").and_then(Json::as_bool).unwrap_or(false);
    match (is_refused, actual.refusals.is_empty()) {
        (true, false) => return refusals(expected.get(REFUSAL), &actual.refusals),
        (true, true) => return vec!["the routes were to be refused, and they run".to_owned()],
        (false, false) => return vec![format!("the routes are refused:\n{}", actual.refusals.join("\n"))],
        (false, true) => {}
    }
    let mut found = actual.timing.clone();
    let empty = Vec::new();
    let results = expected.get("results").and_then(Json::as_array).unwrap_or(&empty);
    if results.len() != actual.results.len() {
        found.push(format!("{} results, {} were to come", actual.results.len(), results.len()));
    }
    for (number, (expected, actual)) in results.iter().zip(&actual.results).enumerate() {
        compare_results(&format!("result {number}"), expected, actual, input, &mut found);
    }
    let any_order: Vec<&str> =
        expected.get("anyOrder").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
    let nothing = Map::new();
    let endpoints = expected.get("endpoints").and_then(Json::as_object).unwrap_or(&nothing);
    let names: BTreeSet<&String> = endpoints.keys().chain(actual.endpoints.keys()).collect();
    for name in names {
        let list = |from: &Map<String, Json>| from.get(name).and_then(Json::as_array).cloned().unwrap_or_default();
        let (expected, actual) = (list(endpoints), list(&actual.endpoints));
        compare_endpoint(name, expected, actual, any_order.contains(&name.as_str()), &mut found);
    }
    found
}

/// Of the words that a refusal is to have, each must be in one, and each refusal must have one of them; without such
/// words any refusal will do.
fn refusals(wanted: Option<&Json>, actual: &[String]) -> Vec<String> {
    let wanted: Vec<&str> = match wanted {
        None => return Vec::new(),
        Some(Json::Array(words)) => words.iter().filter_map(Json::as_str).collect(),
        Some(word) => word.as_str().into_iter().collect(),
    };
    if wanted.is_empty() {
        return vec![format!("`{REFUSAL}` is a part of what is said to refuse the routes, or a list of parts")];
    }
    let missing = wanted.iter().filter(|words| !actual.iter().any(|refusal| refusal.contains(**words)));
    let missing = missing.map(|words| format!("no refusal says `{words}`, there is:\n{}", actual.join("\n")));
    let more = actual.iter().filter(|refusal| !wanted.iter().any(|words| refusal.contains(words)));
    missing.chain(more.map(|refusal| format!("this was not to be refused:\n{refusal}"))).collect()
}

fn compare_results(place: &str, expected: &Json, actual: &Json, input: &Input, found: &mut Vec<String>) {
    let field = |json: &Json, name: &str| json.get(name).cloned().unwrap_or(Json::Null);
    compare(place, "failed", &field(expected, "failed"), &field(actual, "failed"), found);
    let class = field(expected, "exception");
    let class = class.as_str().unwrap_or_default();
    let is_compared = class.starts_with("java.lang.")
        || class.starts_with("java.io.")
        || COMPARED.iter().any(|known| class.ends_with(known));
    if is_compared {
        compare(place, "exception", &field(expected, "exception"), &field(actual, "exception"), found);
        if !input.ignores_messages {
            let message = |json: &Json| without_ids(field(json, "message").as_str().unwrap_or_default());
            compare(place, "message", &message(expected), &message(actual), found);
        }
    }
    if expected.get("bodyType").is_some() {
        compare_messages(place, expected, actual, found);
    }
}

fn compare_endpoint(name: &str, expected: Vec<Json>, actual: Vec<Json>, any_order: bool, found: &mut Vec<String>) {
    let (mut expected, mut actual) = (expected, actual);
    if any_order {
        expected.sort_by_key(ToString::to_string);
        actual.sort_by_key(ToString::to_string);
    }
    if expected.len() != actual.len() {
        found.push(format!("{name} got {} messages, {} were to come", actual.len(), expected.len()));
    }
    for (number, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
        compare_messages(&format!("{name} message {number}"), expected, actual, found);
    }
}

fn compare_messages(place: &str, expected: &Json, actual: &Json, found: &mut Vec<String>) {
    let field = |json: &Json, name: &str| json.get(name).cloned().unwrap_or(Json::Null);
    let (expected_type, actual_type) = (field(expected, "bodyType"), field(actual, "bodyType"));
    let by_value = |kind: &Json| kind.as_str().is_some_and(|kind| BY_VALUE.contains(&kind));
    if !(by_value(&expected_type) && by_value(&actual_type)) {
        compare(place, "bodyType", &expected_type, &actual_type, found);
    }
    compare(place, "body", &field(expected, "body"), &field(actual, "body"), found);
    compare(place, "headers", &names(&field(expected, "headers")), &names(&field(actual, "headers")), found);
    if let Some(properties) = expected.get("properties") {
        compare(place, "properties", &without_nulls(properties), &without_nulls(&field(actual, "properties")), found);
    }
}

fn compare(place: &str, what: &str, expected: &Json, actual: &Json, found: &mut Vec<String>) {
    if expected != actual {
        found.push(format!("{place}: {what} is {actual}, and was to be {expected}"));
    }
}

/// A message without the ids of exchanges, which are never the same.
fn without_ids(message: &str) -> Json {
    let mut out = String::new();
    let mut rest = message;
    while let Some(start) = rest.find("Exchange[") {
        let (before, after) = rest.split_at(start + "Exchange[".len());
        out.push_str(before);
        rest = &after[after.find(']').unwrap_or(after.len())..];
    }
    out.push_str(rest);
    Json::String(out)
}

/// Names in lower case, without those that are null.
fn names(headers: &Json) -> Json {
    let headers = headers.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    headers.map(|(name, value)| (name.to_lowercase(), value.clone())).collect()
}

fn without_nulls(fields: &Json) -> Json {
    let fields = fields.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
}
