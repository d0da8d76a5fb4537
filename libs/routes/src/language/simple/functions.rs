//! The functions of simple, in tables by family: a new function is one row here and one function below
//! it. The list in the documentation is made from the rows.

mod condition;
mod list;
mod message;
mod number;
mod other;
mod text;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::exchange::{Result, Value};

use super::call;
use super::evaluate::Run;
use super::lexer::Token;
use super::parse::Parser;
use super::syntax::{Argument, Call};

/// One function of the language.
#[derive(Debug)]
pub struct Function {
    /// Its name, which no other function has.
    pub name: &'static str,
    /// The Camel version that has it; `4.17` stands for that or an older one, `4.18` to `4.22` for one of
    /// those, `4.23` for what is only in the documentation of the next.
    pub since: &'static str,
    /// How it is written.
    pub(super) syntax: Syntax,
    /// What it answers.
    pub(super) evaluate: fn(&Call, &mut Run<'_>) -> Result<Value>,
}

/// How a function is written.
#[derive(Debug)]
pub(super) enum Syntax {
    /// `${name}`.
    Word,
    /// `${name.key}`, `${name:key}`, `${name[key]}`; `alone` says that `${name}` is all of them.
    Key { alone: bool },
    /// `${name:…}`, read by a function of its own.
    Colon(fn(&mut Parser<'_>, &[Token], usize) -> Vec<Option<Argument>>),
    /// `${name(…)}` in one of these forms: names of parameters between commas, the longest form first.
    Arguments(&'static [&'static str]),
}

/// Functions that belong together.
#[derive(Debug)]
pub struct Family {
    /// What they are about, for the list in the documentation.
    pub title: &'static str,
    /// One row for each function.
    pub functions: &'static [Function],
}

/// Every function, by family.
pub static FAMILIES: &[Family] = &[
    Family { title: "Message and exchange", functions: message::FUNCTIONS },
    Family { title: "Conditions", functions: condition::FUNCTIONS },
    Family { title: "Text", functions: text::FUNCTIONS },
    Family { title: "Lists and maps", functions: list::FUNCTIONS },
    Family { title: "Numbers", functions: number::FUNCTIONS },
    Family { title: "Dates, JSON and others", functions: other::FUNCTIONS },
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static Function>> = LazyLock::new(|| {
    FAMILIES.iter().flat_map(|family| family.functions).map(|function| (function.name, function)).collect()
});

/// The function with this name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    BY_NAME.get(name).copied()
}

/// Every name there is.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().flat_map(|family| family.functions).map(|function| function.name)
}

impl Function {
    /// The names of the parameters, in the order in which an implementation counts them: those of the first form.
    pub(super) fn parameters(forms: &'static [&'static str]) -> Vec<&'static str> {
        forms[0].split(',').filter(|name| !name.is_empty()).collect()
    }

    /// How the function is written, all forms, for messages and the documentation.
    pub fn usage(&self) -> String {
        let name = self.name;
        match self.syntax {
            Syntax::Word => format!("${{{name}}}"),
            Syntax::Key { alone: false } => format!("${{{name}.key}}"),
            Syntax::Key { alone: true } => format!("${{{name}}} or ${{{name}.key}}"),
            Syntax::Colon(_) => colon_usage(name),
            Syntax::Arguments(forms) => {
                let forms: Vec<_> = forms.iter().map(|form| format!("${{{name}({form})}}")).collect();
                forms.join(" or ")
            }
        }
    }
}

fn colon_usage(name: &str) -> String {
    match name {
        "date" => "${date:command} or ${date:command:pattern}".to_owned(),
        "date-with-timezone" => "${date-with-timezone:command:timezone:pattern}".to_owned(),
        "properties" => "${properties:key} or ${properties:key:default}".to_owned(),
        _ => format!("${{{name}:name}}"),
    }
}

pub(super) use list::size_of;
pub(super) use other::FILE;

use call::{read_date, read_file, read_name, read_property, read_zoned_date};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_forms_use_the_names_of_the_first() {
        assert_eq!(names().count(), BY_NAME.len());
        for function in FAMILIES.iter().flat_map(|family| family.functions) {
            let Syntax::Arguments(forms) = function.syntax else { continue };
            let known = Function::parameters(forms);
            for name in forms.iter().flat_map(|form| form.split(',')).filter(|name| !name.is_empty()) {
                assert!(known.contains(&name) || known[0].ends_with("..."), "{}: {name}", function.name);
            }
        }
    }
}
