//! The functions of jq that are here, in tables: a new one is a row and a function. Everything that
//! reaches outside of the message (environment, input, files, the process) is left out on purpose.

mod collections;
mod messages;
mod numbers;
mod programs;
mod texts;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::exchange::Value;

use super::evaluate::{Flow, Machine, Out};
use super::syntax::Node;

/// A function.
#[derive(Debug)]
pub(super) struct Builtin {
    pub(super) name: &'static str,
    /// How many arguments it takes; functions with one name and other numbers are other functions.
    pub(super) arity: usize,
    pub(super) body: Body,
}

/// What a function does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    /// One answer for the input and the values of the arguments.
    Values(fn(&mut Machine<'_>, &Value, &[Value]) -> Flow<Value>),
    /// The arguments are programs that it runs itself.
    Programs(fn(&mut Machine<'_>, &[Node], &Value, &mut Out<'_>) -> Flow),
}

const fn values(
    name: &'static str,
    arity: usize,
    body: fn(&mut Machine<'_>, &Value, &[Value]) -> Flow<Value>,
) -> Builtin {
    Builtin { name, arity, body: Body::Values(body) }
}

const fn programs(
    name: &'static str,
    arity: usize,
    body: fn(&mut Machine<'_>, &[Node], &Value, &mut Out<'_>) -> Flow,
) -> Builtin {
    Builtin { name, arity, body: Body::Programs(body) }
}

static TABLES: &[&[Builtin]] =
    &[collections::BUILTINS, messages::BUILTINS, numbers::BUILTINS, programs::BUILTINS, texts::BUILTINS];

static BY_NAME: LazyLock<HashMap<(&'static str, usize), &'static Builtin>> = LazyLock::new(|| {
    TABLES.iter().flat_map(|table| table.iter()).map(|builtin| ((builtin.name, builtin.arity), builtin)).collect()
});

/// The function with this name and so many arguments.
pub(super) fn find(name: &str, arity: usize) -> Option<&'static Builtin> {
    BY_NAME.get(&(name, arity)).copied()
}

/// Every function as `name/arguments`, in order.
pub(super) fn all() -> Vec<String> {
    let mut names: Vec<_> = BY_NAME.keys().map(|(name, arity)| format!("{name}/{arity}")).collect();
    names.push("constant/1".to_owned());
    names.sort_unstable();
    names
}

/// Functions that are left out on purpose.
const REFUSED: &[(&str, &str)] = &[
    ("env", "the environment is not shown to programs; use a placeholder {{NAME}}"),
    ("input", "a program sees one message; use the step split or aggregate"),
    ("inputs", "a program sees one message; use the step split or aggregate"),
    ("input_filename", "a program sees its message alone"),
    ("input_line_number", "a program sees its message alone"),
    ("debug", "use the step log"),
    ("stderr", "use the step log"),
    ("halt", "a program does not end the engine; use the step stop"),
    ("halt_error", "a program does not end the engine; use error(\"…\")"),
    ("get_search_list", "modules are not supported"),
    ("modulemeta", "modules are not supported"),
    ("localtime", "times are UTC; use todate"),
    ("strflocaltime", "times are UTC; use todate"),
];

/// Why there is no such function, and what there is.
pub(super) fn refusal(name: &str, arity: usize) -> String {
    if let Some((_, why)) = REFUSED.iter().find(|(known, _)| *known == name) {
        return format!("{name} is not supported: {why}");
    }
    let mut arities: Vec<_> = BY_NAME.keys().filter(|(known, _)| *known == name).map(|(_, arity)| *arity).collect();
    if !arities.is_empty() {
        arities.sort_unstable();
        let known: Vec<_> = arities.iter().map(ToString::to_string).collect();
        return format!("{name} takes {} arguments, and not {arity}", known.join(" or "));
    }
    let nearest = BY_NAME.keys().map(|(known, _)| (strsim::levenshtein(known, name), *known)).min();
    format!("unknown function {name}: the nearest is {}", nearest.map_or("map", |(_, known)| known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_is_there_once() {
        let count: usize = TABLES.iter().map(|table| table.len()).sum();
        assert_eq!(count, BY_NAME.len());
        assert!(refusal("env", 0).contains("placeholder"));
        assert!(refusal("split", 5).contains("1 or 2"));
        assert!(refusal("lenght", 0).contains("length"));
    }
}
