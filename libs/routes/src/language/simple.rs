//! Camel's simple language, as of Camel 4.22: `Hello ${body}`, `${header.n} > 3`.
//!
//! A text is parsed once, when its route is loaded; what is not supported is refused there with what to
//! write instead. Evaluating walks a tree whose constants and patterns are ready, with a limit on steps
//! and on the bytes that are built.

mod call;
mod date;
mod evaluate;
mod functions;
mod lexer;
mod methods;
mod operators;
mod parse;
mod refused;
mod syntax;

use std::sync::Arc;

use crate::exchange::{Exchange, Kind, Result, Value};

use self::evaluate::Run;
use self::syntax::Node;
use super::{Expression, Language, LanguageOption, OptionValues, Predicate, Source, Surroundings, SyntaxError};

pub use functions::{FAMILIES, Family, Function};

/// How each operator is written, and the Camel version that has it (as [`Function::since`]).
pub fn operators() -> impl Iterator<Item = (&'static str, &'static str)> {
    operators::OPERATORS
        .iter()
        .map(|(operator, since)| (operator.text(), *since))
        .chain(operators::JOINING.iter().copied())
}

/// Functions of Camel that are refused, and why or what to use instead.
pub fn refused() -> &'static [(&'static str, &'static str)] {
    refused::REFUSED
}

/// The language, and `csimple`, which is the same here.
#[derive(Debug)]
pub struct Simple(pub(super) &'static str);

impl Language for Simple {
    fn name(&self) -> &'static str {
        self.0
    }

    fn options(&self) -> &'static [LanguageOption] {
        const OPTIONS: &[LanguageOption] = &[
            LanguageOption {
                name: "nested",
                values: OptionValues::OneOf(&["false"]),
                about: "evaluating the result again is not supported",
            },
            LanguageOption {
                name: "resultType",
                values: OptionValues::Kind,
                about: "the type of the value; boolean evaluates operators",
            },
            LanguageOption {
                name: "trimResult",
                values: OptionValues::Refused("write `${trim(…)}`"),
                about: "write `${trim(…)}`",
            },
            LanguageOption {
                name: "pretty",
                values: OptionValues::Refused("use `marshal` with `prettyPrint`"),
                about: "use `marshal` with `prettyPrint`",
            },
        ];
        // `csimple` has no `nested`.
        if self.0 == "simple" { OPTIONS } else { &OPTIONS[1..] }
    }

    fn expression(&self, source: &Source<'_>) -> Result<Arc<dyn Expression>, SyntaxError> {
        let kind = source.result_type();
        let parsed = match kind {
            Kind::Bool => parse::predicate(source.text, source.surroundings),
            _ => parse::value(source.text, source.surroundings),
        };
        Ok(Arc::new(compiled(parsed, kind, source)?))
    }

    fn predicate(&self, source: &Source<'_>) -> Result<Arc<dyn Predicate>, SyntaxError> {
        Ok(Arc::new(compiled(parse::predicate(source.text, source.surroundings), Kind::Bool, source)?))
    }
}

/// A text of simple that stands inside of another language.
pub(super) fn template(text: &str, surroundings: &Surroundings) -> Result<Arc<dyn Expression>, SyntaxError> {
    let source = Source { text, options: &[], surroundings };
    Ok(Arc::new(compiled(parse::value(text, surroundings), Kind::Any, &source)?))
}

fn compiled(parsed: Result<Node, Vec<SyntaxError>>, kind: Kind, source: &Source<'_>) -> Result<Compiled, SyntaxError> {
    let mut node = parsed.map_err(together)?;
    if let (Node::Constant(value), false) = (&node, kind == Kind::Bool) {
        let converted = value.convert(kind);
        let converted = converted.map_err(|exception| SyntaxError::new(0..source.text.len(), exception.to_string()))?;
        node = Node::Constant(converted);
    }
    Ok(Compiled { node, kind, surroundings: source.surroundings.clone() })
}

/// All mistakes as one error.
fn together(mut mistakes: Vec<SyntaxError>) -> SyntaxError {
    if mistakes.is_empty() {
        return SyntaxError::new(0..0, "no expression");
    }
    let mut first = mistakes.remove(0);
    first.others = mistakes;
    first
}

#[derive(Debug)]
struct Compiled {
    node: Node,
    kind: Kind,
    surroundings: Surroundings,
}

impl Expression for Compiled {
    fn evaluate(&self, exchange: &Exchange, wanted: Kind) -> Result<Value> {
        if let Node::Constant(value) = &self.node
            && self.kind != Kind::Bool
        {
            return Ok(value.clone());
        }
        let mut run = Run::new(exchange, &self.surroundings);
        match self.kind {
            Kind::Bool => run.condition(&self.node).map(Value::Bool),
            Kind::Any if wanted == Kind::Text => Ok(run.text_of(&self.node)?.map_or(Value::Null, Value::Text)),
            Kind::Any => run.node(&self.node),
            kind => run.node(&self.node)?.convert(kind),
        }
    }

    fn constant(&self) -> Option<&Value> {
        match &self.node {
            Node::Constant(value) if self.kind != Kind::Bool => Some(value),
            _ => None,
        }
    }
}

impl Predicate for Compiled {
    fn matches(&self, exchange: &Exchange) -> Result<bool> {
        Run::new(exchange, &self.surroundings).condition(&self.node)
    }
}
