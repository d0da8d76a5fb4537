//! `log:`: what goes through, in the log.

use std::sync::Arc;

use crate::check::Takes;
use crate::exchange::Exchange;
use crate::run::{Core, Cx, Limits, Sending};

use super::{Component, ComponentSpec, Endpoint, EndpointOption, Producer, Side};

pub(super) static SPEC: ComponentSpec = ComponentSpec {
    name: "log",
    about: "Logs exchanges",
    path: "loggerName",
    side: Side::To,
    options: &[
        EndpointOption::new(
            "level",
            Takes::OneOf(&["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "OFF"]),
            Side::To,
            "how important it is (INFO)",
        ),
        EndpointOption::new("showBody", Takes::Bool, Side::To, "whether the body is shown (true)"),
        EndpointOption::new("showHeaders", Takes::Bool, Side::To, "whether headers are shown (false)"),
        EndpointOption::new("showAll", Takes::Bool, Side::To, "whether everything is shown (false)"),
        EndpointOption::new("maxChars", Takes::Integer(0, 1_000_000), Side::To, "the longest body shown (10000)"),
        EndpointOption::meaningless("showBodyType", "values have no Java types"),
        EndpointOption::meaningless("showExchangePattern", "the log is made of fields"),
        EndpointOption::meaningless("showExchangeId", "the id is always there"),
        EndpointOption::meaningless("showProperties", "properties are the engine's own"),
        EndpointOption::meaningless("showStreams", "bodies are no streams"),
        EndpointOption::meaningless("showCachedStreams", "bodies are no streams"),
        EndpointOption::meaningless("multiline", "the log is made of fields"),
        EndpointOption::meaningless("skipBodyLineSeparator", "the log is made of fields"),
    ],
};

pub(super) fn make(_: &Limits) -> Arc<dyn Component> {
    Arc::new(Log)
}

#[derive(Debug)]
struct Log;

impl Component for Log {
    fn spec(&self) -> &'static ComponentSpec {
        &SPEC
    }

    fn producer(&self, endpoint: Endpoint, _: &Core) -> Result<Arc<dyn Producer>, String> {
        let shows_all = endpoint.flag("showAll").unwrap_or(false);
        Ok(Arc::new(Logger {
            level: level(&endpoint.word("level").unwrap_or_default()),
            shows_body: endpoint.flag("showBody").unwrap_or(true) || shows_all,
            shows_headers: endpoint.flag("showHeaders").unwrap_or(false) || shows_all,
            chars_max: endpoint.count("maxChars").unwrap_or(10_000),
            name: endpoint.text.path,
        }))
    }
}

/// The level of a word; nothing for `OFF`.
fn level(word: &str) -> Option<tracing::Level> {
    match word {
        "TRACE" => Some(tracing::Level::TRACE),
        "DEBUG" => Some(tracing::Level::DEBUG),
        "WARN" => Some(tracing::Level::WARN),
        "ERROR" => Some(tracing::Level::ERROR),
        "OFF" => None,
        _ => Some(tracing::Level::INFO),
    }
}

#[derive(Debug)]
struct Logger {
    name: String,
    level: Option<tracing::Level>,
    shows_body: bool,
    shows_headers: bool,
    chars_max: usize,
}

impl Producer for Logger {
    fn send<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Sending<'e> {
        let Some(level) = self.level else { return Sending::Done(Ok(())) };
        let body = if self.shows_body { exchange.message.body.value().to_text() } else { None };
        let body: String = body.unwrap_or_default().chars().take(self.chars_max).collect();
        let headers = match self.shows_headers {
            true => format!("{:?}", exchange.message.headers),
            false => String::new(),
        };
        crate::log_line::write(level, &self.name, cx.route.id(), &exchange.id(), &body, &headers);
        Sending::Done(Ok(()))
    }
}
