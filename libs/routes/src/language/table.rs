//! The tables of cases in `tests/expressions/`: what real Camel answered for each expression
//! (`compat/camel/expressions` asks it), and what is answered here where that is another thing.

use bytes::Bytes;
use serde_json::{Map as Object, Value as Json, json};

use crate::exchange::{Class, Exception, Exchange, Kind, Message, Text, Value, class, parse_json, write_json};

use super::{LanguageOption, OptionValues, Source, Surroundings, find};

/// Milliseconds since 1970 of the clock in all cases.
const NOW: &str = "2026-11-27T10:00:00Z";

#[test]
fn simple_answers_as_camel_does() {
    check("simple", include_str!("../../tests/expressions/simple.json"));
}

#[test]
fn jsonpath_answers_as_camel_does() {
    check("jsonpath", include_str!("../../tests/expressions/jsonpath.json"));
}

#[test]
fn other_languages_answer_as_camel_does() {
    check("others", include_str!("../../tests/expressions/others.json"));
}

#[test]
fn jq_answers_as_camel_does() {
    check("jq", include_str!("../../tests/expressions/jq.json"));
}

/// Every case whose answer is another one than the table has.
fn check(name: &str, table: &str) {
    let cases: Vec<Object<String, Json>> = serde_json::from_str(table).unwrap();
    let mut differences = Vec::new();
    for case in &cases {
        let wanted = case.get("here").unwrap_or(&case["camel"]);
        assert_eq!(case.contains_key("here"), case.contains_key("why"), "{case:?}: a difference has a reason");
        let answer = answer(case);
        if !is_same(&answer, wanted) {
            let case = Json::Object(case.clone());
            differences.push(format!("{case}\n    here {answer}"));
        }
    }
    let found = differences.len();
    assert!(found == 0, "{name}: {found} of {} cases differ:\n{}", cases.len(), differences.join("\n"));
}

fn is_same(answer: &Json, wanted: &Json) -> bool {
    if wanted.get("refused").is_some() || wanted.get("fails").is_some() {
        let fails = answer.get("fails").is_some() && wanted.get("fails").is_some();
        // what Camel finds out when a message comes, loading may find out before
        return fails || answer.get("refused").is_some();
    }
    if wanted["type"] == "json" || wanted["type"] == "map" || wanted["type"] == "list" {
        return answer["value"] == wanted["value"]
            && ["json", "map", "list"].contains(&answer["type"].as_str().unwrap_or(""));
    }
    answer == wanted
}

fn answer(case: &Object<String, Json>) -> Json {
    let language = find(case["language"].as_str().unwrap()).expect("a language of the table");
    let surroundings = surroundings();
    let options: Vec<_> = case.get("options").and_then(Json::as_object).into_iter().flatten().map(option).collect();
    let source = Source { text: case["text"].as_str().unwrap(), options: &options, surroundings: &surroundings };
    let exchange = exchange(case);
    match case.get("as").and_then(Json::as_str).unwrap_or("value") {
        "predicate" => match language.predicate(&source) {
            Err(error) => json!({ "refused": error.to_string() }),
            Ok(predicate) => match predicate.matches(&exchange) {
                Ok(matches) => json!({ "matches": matches }),
                Err(exception) => json!({ "fails": exception.to_string() }),
            },
        },
        wanted => match language.expression(&source) {
            Err(error) => json!({ "refused": error.to_string() }),
            Ok(expression) => {
                let kind = if wanted == "text" { Kind::Text } else { Kind::Any };
                match expression.evaluate(&exchange, kind).and_then(|value| value.convert(kind)) {
                    Ok(value) => json!({ "value": json_of(&value), "type": type_of(&value) }),
                    Err(exception) => json!({ "fails": exception.to_string() }),
                }
            }
        },
    }
}

fn option((name, value): (&String, &Json)) -> (&'static str, Text) {
    let known = super::all().iter().flat_map(|language| language.options()).find(|option| option.name == name);
    let name = known.map_or_else(|| panic!("no language has the option {name}"), |option| option.name);
    (name, Text::from(value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
}

fn surroundings() -> Surroundings {
    let clock = crate::Clock::manual(NOW.parse().unwrap());
    let properties = [("greeting", "hello"), ("limit", "5")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    Surroundings { clock, properties: std::sync::Arc::new(properties.into_iter().collect()), ..Surroundings::default() }
}

fn exchange(case: &Object<String, Json>) -> Exchange {
    let body = match (case.get("jsonBody"), case.get("bytesBody"), case.get("body")) {
        (Some(json), _, _) => Value::from(json.to_string()),
        (_, Some(bytes), _) => Value::Bytes(Bytes::copy_from_slice(bytes.as_str().unwrap().as_bytes())),
        (_, _, body) => value_of(body.unwrap_or(&Json::Null)),
    };
    let mut message = Message::new(body);
    for (name, value) in fields(case, "headers") {
        message.headers.set(name, value);
    }
    let mut exchange = Exchange::new(message, surroundings().clock.now_ms());
    for (name, value) in fields(case, "properties") {
        exchange.properties.insert(name, value);
    }
    for (name, value) in fields(case, "variables") {
        assert!(exchange.variables.set(&name, value));
    }
    if let Some(exception) = case.get("exception").and_then(Json::as_str) {
        let (name, message) = exception.split_once(": ").unwrap();
        exchange.fail(Exception::new(Class::find(name).unwrap_or(&class::EXCEPTION), message));
        exchange.catch();
    }
    exchange
}

fn fields(case: &Object<String, Json>, name: &str) -> Vec<(Text, Value)> {
    let fields = case.get(name).and_then(Json::as_object).into_iter().flatten();
    fields.map(|(name, value)| (Text::from(name.as_str()), value_of(value))).collect()
}

fn value_of(json: &Json) -> Value {
    parse_json(&Value::from(json.to_string())).unwrap()
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Bytes(bytes) => {
            use base64::Engine as _;
            Json::String(base64::engine::general_purpose::STANDARD.encode(bytes))
        }
        Value::Exception(exception) => Json::String(exception.to_string()),
        value => serde_json::from_str(&write_json(value)).unwrap(),
    }
}

fn type_of(value: &Value) -> &'static str {
    value.type_name()
}

/// Pieces of which texts are made that nobody would write.
const PIECES: &[&str] = &[
    "${",
    "}",
    "$simple{",
    "body",
    "header.",
    "[",
    "]",
    "(",
    ")",
    "'",
    "\"",
    ",",
    ".",
    "?.",
    ":",
    " ",
    " == ",
    " ? ",
    " : ",
    " && ",
    " ~> ",
    " ?: ",
    "!",
    "++",
    "--",
    "\\",
    "\\n",
    "\\}",
    "é",
    "date:now",
    "+1h",
    "yyyy",
    "last-",
    "9",
    "-1",
    "iif",
    "split",
    "filter",
    "forEach",
    "jsonpath",
    "$.",
    "@",
    "*",
    "..",
    "[?(",
    " in ",
    " regex ",
    " range 1..5",
    "$init{",
    "int:",
    "null",
    "true",
    "in.",
    "properties:",
    "substring",
    "pad",
    "range",
    "a",
];

#[test]
fn no_text_panics_and_none_runs_away() {
    let surroundings = Surroundings { steps_max: 10_000, bytes_max: 100_000, ..surroundings() };
    let exchange = Exchange::new(Message::new(Value::from("a,b")).with_header("a", 5), 0);
    let mut seed = 1u64;
    for _ in 0..30_000 {
        let mut text = String::new();
        for _ in 0..seed % 13 + 1 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(PIECES[usize::try_from(seed >> 33).unwrap() % PIECES.len()]);
        }
        let source = Source { text: &text, options: &[], surroundings: &surroundings };
        for language in super::all() {
            if let Ok(expression) = language.expression(&source) {
                let _ = expression.evaluate(&exchange, Kind::Any);
            }
            match language.predicate(&source) {
                Ok(predicate) => drop(predicate.matches(&exchange)),
                Err(error) => assert!(error.range.start <= text.len(), "{text}: {error:?}"),
            }
        }
    }
}

#[test]
fn deep_and_long_texts_are_refused() {
    let surroundings = surroundings();
    let simple = find("simple").unwrap();
    for text in [
        "${trim(".repeat(1000),
        "${body".repeat(40_000),
        format!("{}body{}", "${".repeat(100), "}".repeat(100)),
        "x".repeat(70_000),
    ] {
        let source = Source { text: &text, options: &[], surroundings: &surroundings };
        assert!(simple.expression(&source).is_err());
        assert!(simple.predicate(&source).is_err());
    }
}

#[test]
fn a_runaway_expression_is_stopped() {
    let surroundings = Surroundings { steps_max: 1_000, bytes_max: 1_000, ..surroundings() };
    let exchange = Exchange::new(Message::new(Value::from("a,b")), 0);
    for text in
        ["${range(1000000000)}", "${pad(${body},1000000000)}", "${forEach(${range(500)},${forEach(${range(500)},x)})}"]
    {
        let source = Source { text, options: &[], surroundings: &surroundings };
        let failure = find("simple").unwrap().expression(&source).unwrap().evaluate(&exchange, Kind::Any).unwrap_err();
        assert!(failure.to_string().contains("was stopped"), "{text}: {failure}");
    }
}

#[test]
fn a_runaway_program_of_jq_is_stopped() {
    let surroundings = Surroundings { steps_max: 50_000, bytes_max: 1_000_000, ..surroundings() };
    let exchange = Exchange::new(Message::new(Value::from("[1,2]")), 0);
    for text in [
        "until(false; .)",
        "[range(1000000000000)]",
        "[repeat(.)]",
        "[recurse(.)]",
        "last(range(0; 1; 0.0000001))",
        "\"x\" * 1000000000",
        "reduce range(1000000) as $x (\"x\"; . + .)",
        "[range(1000) | range(1000) | range(1000)]",
        ".[100000000] = 1",
        "[while(true; .)]",
        ".[] |= until(false; .)",
        "[limit(1000000; repeat(1))]",
        "def f: f; f",
    ] {
        let source = Source { text, options: &[], surroundings: &surroundings };
        let outcome = find("jq").unwrap().expression(&source).map(|compiled| compiled.evaluate(&exchange, Kind::Any));
        let is_stopped = match &outcome {
            Ok(Ok(_)) => false,
            Ok(Err(exception)) => {
                exception.to_string().contains("was stopped") || exception.to_string().contains("no longer")
            }
            Err(error) => error.reason.contains("not supported"),
        };
        assert!(is_stopped, "{text}: {outcome:?}");
    }
}

#[test]
fn deep_programs_and_documents_fit_the_stack() {
    let surroundings = Surroundings { steps_max: 5_000, bytes_max: 1_000_000, ..surroundings() };
    let document = format!("{}1{}", "[".repeat(120), "]".repeat(120));
    let exchange = Exchange::new(Message::new(Value::from(document)), 0);
    let nested = |open: &str, inner: &str, close: &str, depth: usize| {
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    let mut texts = vec![
        nested("[", ".", "]", 10_000),
        nested("{a:", ".", "}", 10_000),
        nested("if true then ", ".", " else . end", 5_000),
    ];
    for depth in [20, 60, 90, 1000] {
        texts.push(nested(". | ", "..", "", depth));
        texts.push(nested("(. as $x | ", "walk(.)", ")", depth));
        texts.push(nested("map(", ".", ")", depth));
        texts.push(nested("[.[] | ", "flatten", "]", depth));
        texts.push(nested("try ", "paths", " catch .", depth));
        texts.push(nested("\"\\(", ".", ")\"", depth));
        texts.push(nested("reduce .[] as $x (0; ", "[..]", ")", depth));
        texts.push(nested("(", "..", " |= .)", depth));
        texts.push(nested("-", "1", "", depth));
        texts.push(nested("1+", "1", "", depth * 10));
        texts.push(nested("", ".", "[0]", depth));
        texts.push(nested("", ".", "?", depth));
    }
    for text in texts {
        let source = Source { text: &text, options: &[], surroundings: &surroundings };
        if let Ok(expression) = find("jq").unwrap().expression(&source) {
            let _ = expression.evaluate(&exchange, Kind::Text);
        }
    }
    for text in [
        "true ".repeat(10_000),
        format!("${{body}}{}", " ~> ${body}".repeat(5_000)),
        format!("${{body}}{}", " == 1".repeat(5_000)),
    ] {
        let source = Source { text: &text, options: &[], surroundings: &surroundings };
        assert!(find("simple").unwrap().predicate(&source).is_err());
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let surroundings = surroundings();
    let source =
        Source { text: "${headr.x} and ${uppercas()} and ${bodyAs(Strin)}", options: &[], surroundings: &surroundings };
    let error = find("simple").unwrap().expression(&source).unwrap_err();
    let told: Vec<_> = error.all().map(|error| (error.range.start, error.reason.as_str())).collect();
    assert_eq!(told.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 15, 42]);
    for (nearest, (_, reason)) in ["${header.key}", "${uppercase(exp)}", "nearest is String"].iter().zip(told) {
        assert!(reason.contains(nearest), "{reason}");
    }
}

#[test]
fn every_option_of_a_language_is_named_once() {
    for language in super::all() {
        let names: Vec<_> = language.options().iter().map(|LanguageOption { name, .. }| *name).collect();
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(names.len(), unique.len(), "{}", language.name());
        assert!(language.options().iter().all(|option| !matches!(option.values, OptionValues::OneOf([]))));
    }
}
