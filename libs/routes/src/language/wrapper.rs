//! `language`: an expression whose language is named by an option.

use std::sync::Arc;

use crate::exchange::Result;

use super::{Expression, Language, LanguageOption, OptionValues, Predicate, Source, SyntaxError, all, find};

/// The language that is another one.
#[derive(Debug)]
pub(super) struct Wrapper;

impl Language for Wrapper {
    fn name(&self) -> &'static str {
        "language"
    }

    fn options(&self) -> &'static [LanguageOption] {
        &[LanguageOption {
            name: "language",
            values: OptionValues::Text,
            about: "the name of the language; must be there",
        }]
    }

    fn expression(&self, source: &Source<'_>) -> Result<Arc<dyn Expression>, SyntaxError> {
        inner(source)?.expression(&Source { options: &[], ..*source })
    }

    fn predicate(&self, source: &Source<'_>) -> Result<Arc<dyn Predicate>, SyntaxError> {
        inner(source)?.predicate(&Source { options: &[], ..*source })
    }
}

fn inner(source: &Source<'_>) -> Result<&'static dyn Language, SyntaxError> {
    let Some(name) = source.option("language") else {
        return Err(SyntaxError::new(0..0, "the option `language` names the language, for example `simple`"));
    };
    find(name).filter(|language| language.name() != "language").ok_or_else(|| {
        let known: Vec<_> = all().iter().map(|language| language.name()).filter(|name| *name != "language").collect();
        SyntaxError::new(0..0, format!("language `{name}` is not supported: {}", known.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{Exchange, Message, Text, Value};
    use crate::language::Surroundings;

    #[test]
    fn the_option_names_the_language() {
        let surroundings = Surroundings::default();
        let compile = |name: &'static str| {
            let options = [("language", Text::fixed(name))];
            Wrapper.predicate(&Source { text: "${body} == 'a'", options: &options, surroundings: &surroundings })
        };
        let exchange = Exchange::new(Message::new(Value::from("a")), 0);
        assert!(compile("simple").unwrap().matches(&exchange).unwrap());
        for unknown in ["groovy", "language"] {
            assert!(compile(unknown).unwrap_err().reason.contains("simple, constant, jq"));
        }
        assert!(Wrapper.expression(&Source { text: "x", options: &[], surroundings: &surroundings }).is_err());
    }
}
