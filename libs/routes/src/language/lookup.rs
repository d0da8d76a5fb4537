//! The languages that only look something up: `constant`, `header`, `exchangeProperty`, `variable`.

use std::sync::Arc;

use crate::exchange::{Exchange, Kind, Result, Text, Value};

use super::{Expression, Language, LanguageOption, OptionValues, Predicate, Source, SyntaxError};

/// One of these languages.
#[derive(Debug)]
pub(super) enum Lookup {
    Constant,
    Header,
    ExchangeProperty,
    Variable,
}

const RESULT_TYPE: &[LanguageOption] =
    &[LanguageOption { name: "resultType", values: OptionValues::Kind, about: "the type of the value" }];

impl Language for Lookup {
    fn name(&self) -> &'static str {
        match self {
            Lookup::Constant => "constant",
            Lookup::Header => "header",
            Lookup::ExchangeProperty => "exchangeProperty",
            Lookup::Variable => "variable",
        }
    }

    fn options(&self) -> &'static [LanguageOption] {
        match self {
            Lookup::Constant => RESULT_TYPE,
            _ => &[],
        }
    }

    fn expression(&self, source: &Source<'_>) -> Result<Arc<dyn Expression>, SyntaxError> {
        Ok(Arc::new(self.compile(source)?))
    }

    fn predicate(&self, source: &Source<'_>) -> Result<Arc<dyn Predicate>, SyntaxError> {
        Ok(Arc::new(self.compile(source)?))
    }
}

impl Lookup {
    fn compile(&self, source: &Source<'_>) -> Result<Found, SyntaxError> {
        let text = source.text;
        if text.is_empty() && !matches!(self, Lookup::Constant) {
            return Err(SyntaxError::new(0..0, format!("{} needs a name", self.name())));
        }
        Ok(match self {
            Lookup::Constant => {
                let value = Value::from(text).convert(source.result_type());
                Found::Constant(value.map_err(|exception| SyntaxError::new(0..text.len(), exception.to_string()))?)
            }
            Lookup::Header => Found::Header(text.into()),
            Lookup::ExchangeProperty => Found::Property(text.into()),
            Lookup::Variable => Found::Variable(text.into()),
        })
    }
}

#[derive(Debug)]
enum Found {
    Constant(Value),
    Header(Text),
    Property(Text),
    Variable(Text),
}

impl Expression for Found {
    fn evaluate(&self, exchange: &Exchange, _wanted: Kind) -> Result<Value> {
        Ok(match self {
            Found::Constant(value) => value.clone(),
            Found::Header(name) => exchange.message.header(name).cloned().unwrap_or_default(),
            Found::Property(name) => exchange.properties.get(name).cloned().unwrap_or_default(),
            Found::Variable(name) => exchange.variables.get(name).unwrap_or_default(),
        })
    }

    fn constant(&self) -> Option<&Value> {
        match self {
            Found::Constant(value) => Some(value),
            _ => None,
        }
    }
}

impl Predicate for Found {
    fn matches(&self, exchange: &Exchange) -> Result<bool> {
        Ok(self.evaluate(exchange, Kind::Bool)?.is_true())
    }
}
