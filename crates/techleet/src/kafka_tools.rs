//! Kafka's own tools by their names, with their options and what they print, so that commands written for them work.
//!
//! Called through a link named `kafka-topics` (or `kafka-topics.sh`, or another of them), or as `techleet kafka-topics`.

mod client;
mod console_consumer;
mod console_producer;
mod consumer_groups;
mod group_tables;
mod topics;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use chassis::Settings;
use clap::Parser;

use crate::exit::{self, Class, classified};
use crate::output;

/// One of Kafka's tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Topics,
    ConsoleConsumer,
    ConsoleProducer,
    ConsumerGroups,
}

impl Tool {
    /// The tool that a program or a command of this name is.
    pub(crate) fn named(name: &OsStr) -> Option<Self> {
        let name = Path::new(name).file_name()?.to_str()?;
        match name.trim_end_matches(".sh").trim_end_matches(".exe") {
            "kafka-topics" => Some(Self::Topics),
            "kafka-console-consumer" => Some(Self::ConsoleConsumer),
            "kafka-console-producer" => Some(Self::ConsoleProducer),
            "kafka-consumer-groups" => Some(Self::ConsumerGroups),
            _ => None,
        }
    }

    /// The tool and its arguments, when that is what the program was called for.
    pub(crate) fn called(arguments: &[OsString]) -> Option<(Self, &[OsString])> {
        let (program, rest) = arguments.split_first()?;
        if let Some(tool) = Self::named(program) {
            return Some((tool, rest));
        }
        let (command, rest) = rest.split_first()?;
        Some((Self::named(command)?, rest))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Topics => "kafka-topics",
            Self::ConsoleConsumer => "kafka-console-consumer",
            Self::ConsoleProducer => "kafka-console-producer",
            Self::ConsumerGroups => "kafka-consumer-groups",
        }
    }
}

/// Runs a tool; its failures end with code 1, as those of Kafka's do.
pub(crate) async fn run(settings: &Settings, tool: Tool, arguments: &[OsString]) -> anyhow::Result<()> {
    let arguments = [&[tool.name().into()], arguments].concat();
    match tool {
        Tool::Topics => topics::run(settings, parsed(&arguments)?).await,
        Tool::ConsoleConsumer => console_consumer::run(settings, parsed(&arguments)?).await,
        Tool::ConsoleProducer => console_producer::run(settings, parsed(&arguments)?).await,
        Tool::ConsumerGroups => consumer_groups::run(settings, parsed(&arguments)?).await,
    }
}

/// The arguments as a tool's options.
fn parsed<T: Parser>(arguments: &[OsString]) -> anyhow::Result<T> {
    T::try_parse_from(arguments).map_err(|error| {
        if error.use_stderr() {
            return failed(error.to_string().trim_end().trim_start_matches("error: ").to_owned());
        }
        // Help and version are answers.
        match output::line(error.to_string().trim_end()) {
            Ok(()) => exit::done(),
            Err(error) => error,
        }
    })
}

/// A failure of a tool, told on stderr.
fn failed(message: impl Into<String>) -> anyhow::Error {
    classified(Class::Failed, anyhow::Error::msg(message.into()))
}

/// A failure that has been told already.
fn told() -> anyhow::Error {
    exit::silent(Class::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(arguments: &[&str]) -> Option<(Tool, Vec<OsString>)> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        Tool::called(&arguments).map(|(tool, rest)| (tool, rest.to_vec()))
    }

    #[test]
    fn a_tool_is_called_through_a_link_or_as_a_command() {
        let list = vec![OsString::from("--list")];
        assert_eq!(called(&["/opt/bin/kafka-topics.sh", "--list"]), Some((Tool::Topics, list.clone())));
        assert_eq!(called(&["techleet", "kafka-consumer-groups", "--list"]), Some((Tool::ConsumerGroups, list)));
        assert_eq!(called(&["techleet", "topics", "list"]), None);
        assert_eq!(called(&["techleet"]), None);
    }

    #[test]
    fn the_grammars_are_consistent() {
        use clap::CommandFactory;
        topics::Options::command().debug_assert();
        console_consumer::Options::command().debug_assert();
        console_producer::Options::command().debug_assert();
        consumer_groups::Options::command().debug_assert();
    }
}
