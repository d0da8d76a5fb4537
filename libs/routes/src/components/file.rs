//! `file:`: files of a folder, in and out.

mod read;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use crate::check::Takes;
use crate::language::{self, Source};
use crate::run::{Core, Limits};

use super::{Component, ComponentSpec, Consumer, Endpoint, EndpointOption, Producer, Side};
use read::Reader;
use write::{Exists, Writer};

const JAVA: &str = "there is no Java here";

pub(super) static SPEC: ComponentSpec = ComponentSpec {
    name: "file",
    about: "Brings the files of a folder, and writes files into one",
    path: "directoryName",
    side: Side::Both,
    options: &[
        EndpointOption::new(
            "fileName",
            Takes::Text,
            Side::Both,
            "the file: only this one is brought, or this one is written (in `simple`)",
        ),
        EndpointOption::new("delay", Takes::Duration, Side::From, "the time between two looks (500ms)"),
        EndpointOption::new("initialDelay", Takes::Duration, Side::From, "the time before the first look (1s)"),
        EndpointOption::new(
            "repeatCount",
            Takes::Integer(0, i64::MAX),
            Side::From,
            "how many looks (0, without an end)",
        ),
        EndpointOption::new("recursive", Takes::Bool, Side::From, "whether folders inside are looked at too (false)"),
        EndpointOption::new(
            "noop",
            Takes::Bool,
            Side::From,
            "whether files stay where they are, and come once (false)",
        ),
        EndpointOption::new("delete", Takes::Bool, Side::From, "whether files that are done are deleted (false)"),
        EndpointOption::new("move", Takes::Text, Side::From, "the folder for files that are done (`.camel`)"),
        EndpointOption::new("moveFailed", Takes::Text, Side::From, "the folder for files that failed (they stay)"),
        EndpointOption::new("include", Takes::Text, Side::From, "a regular expression for names of files to bring"),
        EndpointOption::new("exclude", Takes::Text, Side::From, "a regular expression for names of files to leave"),
        EndpointOption::new("includeExt", Takes::Text, Side::From, "endings of files to bring, with commas"),
        EndpointOption::new(
            "maxMessagesPerPoll",
            Takes::Integer(0, i64::MAX),
            Side::From,
            "how many files at a look (all)",
        ),
        EndpointOption::new("autoCreate", Takes::Bool, Side::Both, "whether a missing folder is made (true)"),
        EndpointOption::new(
            "fileExist",
            Takes::OneOf(&["Override", "Append", "Fail", "Ignore"]),
            Side::To,
            "what is done with a file that is there (Override)",
        ),
        EndpointOption::new("appendChars", Takes::Text, Side::To, "what is put behind each body with Append"),
        EndpointOption::new("allowNullBody", Takes::Bool, Side::To, "whether nothing makes an empty file (false)"),
        EndpointOption::meaningless("readLock", "a file that still grows is left until the next look"),
        EndpointOption::meaningless("sortBy", "files come in the order of their names"),
        EndpointOption::meaningless("tempFileName", "a file is written beside and then renamed"),
        EndpointOption::meaningless("tempPrefix", "a file is written beside and then renamed"),
        EndpointOption::meaningless("charset", "text is UTF-8"),
        EndpointOption::new("filter", Takes::Refused(JAVA), Side::From, JAVA),
        EndpointOption::new(
            "idempotent",
            Takes::Refused("use `noop`, or the step"),
            Side::From,
            "use `noop`, or the step",
        ),
        EndpointOption::new("preMove", Takes::Refused("use `move`"), Side::From, "use `move`"),
    ],
};

pub(super) fn make(_: &Limits) -> Arc<dyn Component> {
    Arc::new(File)
}

#[derive(Debug)]
struct File;

impl Component for File {
    fn spec(&self) -> &'static ComponentSpec {
        &SPEC
    }

    fn producer(&self, endpoint: Endpoint, core: &Core) -> Result<Arc<dyn Producer>, String> {
        let name = match endpoint.word("fileName") {
            Some(text) => {
                let simple = language::find("simple").ok_or("the language `simple` is not there")?;
                let source = Source { text: &text, options: &[], surroundings: &core.surroundings };
                Some(simple.expression(&source).map_err(|error| format!("`fileName`: {}", error.reason))?)
            }
            None => None,
        };
        Ok(Arc::new(Writer {
            name,
            creates_folder: endpoint.flag("autoCreate").unwrap_or(true),
            exists: match endpoint.word("fileExist").as_deref() {
                Some("Append") => Exists::Append(endpoint.word("appendChars").unwrap_or_default()),
                Some("Fail") => Exists::Fail,
                Some("Ignore") => Exists::Ignore,
                _ => Exists::Override,
            },
            takes_nothing: endpoint.flag("allowNullBody").unwrap_or(false),
            folder: PathBuf::from(endpoint.text.path),
        }))
    }

    fn consumer(&self, endpoint: Endpoint, core: &Core) -> Result<Box<dyn Consumer>, String> {
        Ok(Box::new(Reader::new(&endpoint, core.limits.body_bytes_max)?))
    }
}
