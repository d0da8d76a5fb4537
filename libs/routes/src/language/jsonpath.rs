//! JSONPath: RFC 9535, and what Camel's users write beside it: paths without `$`, functions at the end
//! (`$.items.length()`), `in`, `nin`, `=~`, and the easy predicates (`order.total > 100`).
//!
//! A path that can only name one value answers that value and fails where it is missing; every other
//! path answers a list.

mod filter;
mod parse;
mod select;

use std::sync::Arc;

use crate::exchange::{Exception, Exchange, Kind, Result, Text, Value, class, write_json};

use self::select::Path;
use super::program::{Input, Program, SOURCE};
use super::{Expression, Language, LanguageOption, OptionValues, Predicate, Source, Surroundings, SyntaxError, simple};

/// The language.
#[derive(Debug)]
pub(super) struct JsonPath;

impl Language for JsonPath {
    fn name(&self) -> &'static str {
        "jsonpath"
    }

    fn options(&self) -> &'static [LanguageOption] {
        const OPTIONS: &[LanguageOption] = &[
            LanguageOption { name: "resultType", values: OptionValues::Kind, about: "the type of the value" },
            LanguageOption {
                name: "suppressExceptions",
                values: OptionValues::Bool,
                about: "nothing instead of an exception where a path is missing",
            },
            LanguageOption {
                name: "allowSimple",
                values: OptionValues::Bool,
                about: "functions of simple in the path",
            },
            LanguageOption {
                name: "allowEasyPredicate",
                values: OptionValues::Bool,
                about: "predicates such as `order.total > 100`",
            },
            LanguageOption { name: "writeAsString", values: OptionValues::Bool, about: "each element as JSON text" },
            LanguageOption {
                name: "unpackArray",
                values: OptionValues::Bool,
                about: "the element of a list of one, where resultType is no list",
            },
            LanguageOption {
                name: "option",
                values: OptionValues::OneOf(&[
                    "SUPPRESS_EXCEPTIONS",
                    "ALWAYS_RETURN_LIST",
                    "DEFAULT_PATH_LEAF_TO_NULL",
                ]),
                about: "one option of the JSONPath library",
            },
            SOURCE,
        ];
        OPTIONS
    }

    fn expression(&self, source: &Source<'_>) -> Result<Arc<dyn Expression>, SyntaxError> {
        Ok(Arc::new(Compiled::new(source, false)?))
    }

    fn predicate(&self, source: &Source<'_>) -> Result<Arc<dyn Predicate>, SyntaxError> {
        Ok(Arc::new(Compiled::new(source, true)?))
    }
}

/// A path for the function `jsonpath(…)` of simple.
pub(super) fn program(text: &str, surroundings: &Surroundings) -> Result<Arc<dyn Program>, SyntaxError> {
    let path = parse::path(text)?;
    Ok(Arc::new(Ready { path, steps_max: surroundings.steps_max, missing: Missing::Fails, always_list: false }))
}

/// What a path answers where there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Fails,
    /// Nothing where the last name is missing.
    LeafIsNull,
    IsNull,
}

/// A path that never changes.
#[derive(Debug)]
struct Ready {
    path: Path,
    steps_max: u64,
    missing: Missing,
    always_list: bool,
}

impl Program for Ready {
    fn answer(&self, input: &Value, _: &Exchange) -> Result<Value> {
        answer(&self.path, input, self.steps_max, self.missing, self.always_list)
    }
}

/// A path that holds functions of simple, and is made anew for each message.
#[derive(Debug)]
struct Templated {
    template: Arc<dyn Expression>,
    is_easy: bool,
    steps_max: u64,
    missing: Missing,
    always_list: bool,
}

impl Program for Templated {
    fn answer(&self, input: &Value, exchange: &Exchange) -> Result<Value> {
        let text = self.template.evaluate(exchange, Kind::Text)?.to_text().unwrap_or_default();
        let text = easy(&text, self.is_easy);
        let path = parse::path(&text).map_err(|error| Exception::new(&class::JAYWAY_INVALID_PATH, error.reason))?;
        answer(&path, input, self.steps_max, self.missing, self.always_list)
    }
}

fn answer(path: &Path, input: &Value, steps_max: u64, missing: Missing, always_list: bool) -> Result<Value> {
    let found = path.answer(input, steps_max);
    match found {
        Ok(value) if always_list && path.is_definite() && !matches!(value, Value::List(_)) => {
            Ok(Value::list(vec![value]))
        }
        Err(select::Failure::NotFound { is_leaf, .. }) if is_leaf && missing == Missing::LeafIsNull => Ok(Value::Null),
        Err(select::Failure::NotFound { .. }) if missing == Missing::IsNull => {
            Ok(if path.is_definite() { Value::Null } else { Value::list(Vec::new()) })
        }
        Err(select::Failure::NotFound { message, .. }) => Err(Exception::new(&class::JAYWAY_PATH_NOT_FOUND, message)),
        Err(select::Failure::Stopped) => {
            let message = format!("a path that takes more than {steps_max} steps was stopped");
            Err(Exception::new(&class::EXPRESSION_EVALUATION, message))
        }
        Ok(value) => Ok(value),
    }
}

/// `order.total > 100` as a path with a filter; everything else stays.
fn easy(text: &str, is_easy: bool) -> Text {
    const OPERATORS: &[&str] = &[" == ", " != ", " <= ", " >= ", " =~ ", " < ", " > ", " in ", " nin "];
    if !is_easy || text.starts_with('$') {
        return Text::from(text);
    }
    let operator = OPERATORS.iter().filter_map(|operator| text.find(operator).map(|at| (at, *operator))).min();
    let Some((at, operator)) = operator else { return Text::from(text) };
    let (left, right) = (&text[..at], &text[at + operator.len()..]);
    let (before, name) = left.rsplit_once('.').unwrap_or((".*", left));
    let dot = if before.starts_with('.') { "" } else { "." };
    let dots = if left.contains('.') { dot } else { "." };
    Text::from(format!("${dots}{before}[?(@.{name}{operator}{right})]"))
}

#[derive(Debug)]
struct Compiled {
    input: Input,
    program: Arc<dyn Program>,
    kind: Kind,
    unpacks: bool,
    writes: bool,
    suppresses: bool,
}

impl Compiled {
    fn new(source: &Source<'_>, is_predicate: bool) -> Result<Self, SyntaxError> {
        let is_off = |name: &str| source.option(name).is_some_and(|value| value.eq_ignore_ascii_case("false"));
        let option = source.option("option").map_or("", |option| option.as_str());
        let suppresses = source.is_on("suppressExceptions") || option == "SUPPRESS_EXCEPTIONS";
        let missing = match option {
            _ if suppresses => Missing::IsNull,
            "DEFAULT_PATH_LEAF_TO_NULL" => Missing::LeafIsNull,
            _ => Missing::Fails,
        };
        let always_list = option == "ALWAYS_RETURN_LIST";
        let is_easy = is_predicate && !is_off("allowEasyPredicate");
        let steps_max = source.surroundings.steps_max;
        let program: Arc<dyn Program> = if source.text.contains("${") && !is_off("allowSimple") {
            let template = simple::template(source.text, source.surroundings)?;
            Arc::new(Templated { template, is_easy, steps_max, missing, always_list })
        } else {
            let text = easy(source.text, is_easy);
            let path = parse::path(&text).map_err(|error| {
                // places in what an easy predicate becomes are none in what was written
                if text == source.text { error } else { SyntaxError::new(0..source.text.len(), error.reason) }
            })?;
            Arc::new(Ready { path, steps_max, missing, always_list })
        };
        Ok(Self {
            input: Input::of(source)?,
            program,
            kind: source.result_type(),
            unpacks: source.is_on("unpackArray"),
            writes: source.is_on("writeAsString"),
            suppresses,
        })
    }

    fn value(&self, exchange: &Exchange) -> Result<Value> {
        let answer = match self.input.run(&*self.program, exchange) {
            Err(exception) if self.suppresses && exception.class().is_a(&class::JAYWAY) => Value::Null,
            answer => answer?,
        };
        let answer = if self.writes { written(&answer) } else { answer };
        match (&answer, self.kind) {
            (Value::List(values), kind) if self.unpacks && kind != Kind::List && values.len() == 1 => {
                values[0].convert(kind)
            }
            // a list of one is its element where text is wanted
            (Value::List(values), Kind::Text) if values.len() == 1 => values[0].convert(Kind::Text),
            (_, kind) => answer.convert(kind),
        }
    }
}

/// Elements of lists and values of maps as JSON text, and everything else too.
fn written(value: &Value) -> Value {
    let text = |value: &Value| Value::from(write_json(value));
    match value {
        Value::Null => Value::Null,
        Value::List(values) => Value::list(values.iter().map(text).collect()),
        Value::Map(map) => Value::map(map.iter().map(|(name, value)| (name.clone(), text(value))).collect()),
        value => text(value),
    }
}

impl Expression for Compiled {
    fn evaluate(&self, exchange: &Exchange, _wanted: Kind) -> Result<Value> {
        self.value(exchange)
    }
}

impl Predicate for Compiled {
    fn matches(&self, exchange: &Exchange) -> Result<bool> {
        Ok(self.value(exchange)?.is_true())
    }
}
