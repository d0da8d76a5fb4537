//! `log`: a line in the log.

use std::sync::Arc;

use tracing::Level;

use crate::check::{OptionSpec, Spec, Takes};
use crate::exchange::{Exchange, Kind};
use crate::language::Expression;
use crate::log_line;
use crate::run::{Cx, Running, Step};

use super::StepKind;

pub(super) static STEP: StepKind = StepKind {
    spec: Spec {
        name: "log",
        about: "Writes a line to the log",
        scalar: Some("message"),
        options: &[
            OptionSpec::required("message", Takes::Simple, "the text, in the language `simple`"),
            OptionSpec::new(
                "loggingLevel",
                Takes::OneOf(&["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "OFF"]),
                "how important it is (INFO)",
            ),
            OptionSpec::new("logName", Takes::Text, "a name that the line has"),
            OptionSpec::meaningless("marker", "lines have fields"),
            OptionSpec::meaningless("logLanguage", "the text is always `simple`"),
            OptionSpec::refused("logger", "use `logName`"),
        ],
        ..Spec::EMPTY
    },
    build: |element, _| {
        let level = match element.text("loggingLevel").unwrap_or("INFO") {
            "TRACE" => Some(Level::TRACE),
            "DEBUG" => Some(Level::DEBUG),
            "WARN" => Some(Level::WARN),
            "ERROR" => Some(Level::ERROR),
            "OFF" => None,
            _ => Some(Level::INFO),
        };
        let name = element.text("logName").unwrap_or_default().to_owned();
        Some(Box::new(Log { message: element.value("message")?, level, name }))
    },
};

#[derive(Debug)]
struct Log {
    message: Arc<dyn Expression>,
    level: Option<Level>,
    name: String,
}

impl Step for Log {
    fn run<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Running<'s, 'e> {
        let Some(level) = self.level.filter(|level| *level <= tracing::level_filters::LevelFilter::current()) else {
            return Running::Done(Ok(()));
        };
        let text = self.message.evaluate(exchange, Kind::Text).map(|text| text.to_text().unwrap_or_default());
        Running::Done(text.map(|text| log_line::write(level, &self.name, cx.route.id(), &exchange.id(), &text, "")))
    }
}
