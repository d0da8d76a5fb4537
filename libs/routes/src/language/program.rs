//! A program on a JSON tree: what jq and jsonpath compile to, alone or as a function of simple.

use std::fmt;

use crate::exchange::{Exception, Exchange, Result, Text, Value, class, parse_json};

use super::{LanguageOption, OptionValues, Source, SyntaxError};

/// A program that is ready to run on a JSON tree.
pub(super) trait Program: fmt::Debug + Send + Sync {
    /// What it answers for `input`.
    ///
    /// # Errors
    /// With the exception that fails the exchange.
    fn answer(&self, input: &Value, exchange: &Exchange) -> Result<Value>;
}

/// The options by which a program reads something else than the body.
pub(super) const SOURCE: LanguageOption = LanguageOption {
    name: "source",
    values: OptionValues::Text,
    about: "what it reads: `body`, `header:NAME`, `variable:NAME` or `property:NAME`",
};

/// Where the JSON of a program is.
#[derive(Debug)]
pub(super) enum Input {
    Body,
    Header(Text),
    Variable(Text),
    Property(Text),
}

impl Input {
    /// What the option `source` names.
    ///
    /// # Errors
    /// If it names nothing that is known.
    pub(super) fn of(source: &Source<'_>) -> Result<Input, SyntaxError> {
        let Some(written) = source.option("source") else { return Ok(Input::Body) };
        Ok(match written.split_once(':') {
            None if *written == "body" => Input::Body,
            Some(("header", name)) => Input::Header(name.into()),
            Some(("variable", name)) => Input::Variable(name.into()),
            Some(("property" | "exchangeProperty", name)) => Input::Property(name.into()),
            None => Input::Variable(written.clone()),
            _ => {
                let reason = format!("source {written} is none of body, header:NAME, variable:NAME, property:NAME");
                return Err(SyntaxError::new(0..0, reason));
            }
        })
    }

    /// Lets `program` run on the JSON that is there.
    ///
    /// # Errors
    /// If it is no JSON, or the program fails.
    pub(super) fn run(&self, program: &dyn Program, exchange: &Exchange) -> Result<Value> {
        if matches!(self, Input::Body) {
            if exchange.message.body.is_null() {
                return Err(Exception::new(&class::INVALID_PAYLOAD, "there is no body"));
            }
            return program.answer(exchange.message.body.json()?, exchange);
        }
        let found = self.value(exchange);
        if found.is_null() {
            return Err(Exception::new(&class::ILLEGAL_ARGUMENT, format!("there is nothing in the source {self:?}")));
        }
        program.answer(&parse_json(&found)?, exchange)
    }

    /// The value that is there.
    pub(super) fn value(&self, exchange: &Exchange) -> Value {
        let found = match self {
            Input::Body => return exchange.message.body.value().clone(),
            Input::Header(name) => exchange.message.header(name).cloned(),
            Input::Variable(name) => exchange.variables.get(name),
            Input::Property(name) => exchange.properties.get(name).cloned(),
        };
        found.unwrap_or_default()
    }
}
