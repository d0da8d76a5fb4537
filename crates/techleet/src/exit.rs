//! How the program ends: exit codes by class of failure, and one clear message.

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use crate::output::StdoutError;

/// Why a command failed, as far as its exit code tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Class {
    /// Anything without a class of its own.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// What was asked is not running or does not answer.
    Unreachable = 3,
    /// A check found something wrong.
    CheckFailed = 4,
}

/// An error with its class.
#[derive(Debug)]
pub(crate) struct Classified {
    class: Class,
    source: anyhow::Error,
}

impl fmt::Display for Classified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl std::error::Error for Classified {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
}

/// Marks an error as the caller's.
pub(crate) fn usage(error: impl Into<anyhow::Error>) -> anyhow::Error {
    classified(Class::Usage, error)
}

/// Marks an error with a class.
pub(crate) fn classified(class: Class, error: impl Into<anyhow::Error>) -> anyhow::Error {
    anyhow::Error::new(Classified { class, source: error.into() })
}

/// Ends the program with this class; what there is to say has been said.
pub(crate) fn silent(class: Class) -> anyhow::Error {
    anyhow::Error::new(Silent(class as u8))
}

/// Ends the program well, from within a call that answers errors.
pub(crate) fn done() -> anyhow::Error {
    anyhow::Error::new(Silent(0))
}

/// An end without words.
#[derive(Debug)]
struct Silent(u8);

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ended with code {}", self.0)
    }
}

impl std::error::Error for Silent {}

/// Whether the reader of our output went away, which is no error; a connection that broke is one.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<StdoutError>().is_some_and(StdoutError::is_closed_pipe))
}

/// Whether what was asked does not answer.
pub(crate) fn is_unreachable(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Classified>().is_some_and(|classified| classified.class == Class::Unreachable)
}

/// Prints an error and its causes on stderr and answers the exit code; a reader that went away is no error.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    if let Some(Silent(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    let class = error.downcast_ref::<Classified>().map_or(Class::Failed, |classified| classified.class);
    // Nothing is left to do when stderr is gone too.
    let _ = writeln!(std::io::stderr(), "techleet: {error:#}");
    ExitCode::from(class as u8)
}
