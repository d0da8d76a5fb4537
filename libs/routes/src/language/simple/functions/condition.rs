//! Functions that answer yes or no, or choose by it.

use crate::exchange::{Class, Exception, Result, Value, class};

use super::super::evaluate::Run;
use super::super::operators;
use super::super::syntax::Call;
use super::{Function, Syntax};

pub(super) static FUNCTIONS: &[Function] = &[
    Function { name: "assert", since: "4.18", syntax: Syntax::Arguments(&["predicate,msg"]), evaluate: assert },
    Function { name: "contains", since: "4.18", syntax: Syntax::Arguments(&["exp,text", "text"]), evaluate: contains },
    Function {
        name: "iif",
        since: "4.17",
        syntax: Syntax::Arguments(&["predicate,trueExp,falseExp"]),
        evaluate: |call, run| if run.holds(call, 0)? { run.value(call, 1) } else { run.value(call, 2) },
    },
    Function { name: "isEmpty", since: "4.18", syntax: Syntax::Arguments(&["exp", ""]), evaluate: is_empty },
    Function {
        name: "isAlpha",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp", ""]),
        evaluate: |call, run| all(call, run, char::is_alphabetic),
    },
    Function {
        name: "isAlphaNumeric",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp", ""]),
        evaluate: |call, run| all(call, run, char::is_alphanumeric),
    },
    Function {
        name: "isNumeric",
        since: "4.18",
        syntax: Syntax::Arguments(&["exp", ""]),
        evaluate: |call, run| all(call, run, char::is_numeric),
    },
    Function { name: "not", since: "4.18", syntax: Syntax::Arguments(&["predicate", ""]), evaluate: not },
    Function { name: "null", since: "4.17", syntax: Syntax::Word, evaluate: |_, _| Ok(Value::Null) },
    Function {
        name: "throwException",
        since: "4.18",
        syntax: Syntax::Arguments(&["msg,class", "msg"]),
        evaluate: throw_exception,
    },
    Function {
        name: "val",
        since: "4.18",
        syntax: Syntax::Arguments(&["constant"]),
        evaluate: |call, run| run.value(call, 0),
    },
];

fn assert(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    if run.holds(call, 0)? {
        return Ok(Value::Null);
    }
    let message = run.text(call, 1)?.unwrap_or_default();
    Err(Exception::new(&class::ILLEGAL_ARGUMENT, message))
}

fn contains(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let (whole, part) = (run.source(call, 0)?, run.value(call, 1)?);
    Ok(Value::Bool(operators::contains(&whole, &part, true)))
}

fn is_empty(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let is_empty = match run.source(call, 0)?.plain() {
        Value::Map(map) => map.is_empty(),
        value => operators::elements(value).iter().all(Value::is_null),
    };
    Ok(Value::Bool(is_empty))
}

fn all(call: &Call, run: &mut Run<'_>, is: fn(char) -> bool) -> Result<Value> {
    let text = run.source(call, 0)?.to_text().unwrap_or_default();
    Ok(Value::Bool(!text.trim().is_empty() && text.chars().all(is)))
}

fn not(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let holds = if call.arguments[0].is_some() { run.holds(call, 0)? } else { run.body().is_true() };
    Ok(Value::Bool(!holds))
}

fn throw_exception(call: &Call, run: &mut Run<'_>) -> Result<Value> {
    let message = run.text(call, 0)?.unwrap_or_default();
    let class = match run.text(call, 1)? {
        None => &class::ILLEGAL_ARGUMENT,
        Some(name) => Class::find(&name).unwrap_or(&class::ILLEGAL_ARGUMENT),
    };
    Err(Exception::new(class, message))
}
