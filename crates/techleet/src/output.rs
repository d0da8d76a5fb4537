//! Results on stdout, line by line, in a way that pipes; talk on stderr.

use std::io::Write as _;
use std::{fmt, io};

use serde::Serialize;

use crate::cli::Format;

/// stdout did not take a result.
#[derive(Debug)]
pub(crate) struct StdoutError(io::Error);

impl StdoutError {
    /// Whether the reader of a pipe has seen enough.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

impl fmt::Display for StdoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stdout cannot be written")
    }
}

impl std::error::Error for StdoutError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Prints one line on stdout and hands it over at once.
///
/// # Errors
/// stdout is closed, as when the reader of a pipe has seen enough.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    bytes(&[text.as_bytes(), b"\n"].concat())
}

/// Prints bytes on stdout as they are and hands them over at once.
///
/// # Errors
/// As [`line()`].
pub(crate) fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    write(&mut io::stdout().lock(), bytes)
}

fn write(out: &mut impl io::Write, bytes: &[u8]) -> anyhow::Result<()> {
    Ok(out.write_all(bytes).and_then(|()| out.flush()).map_err(StdoutError)?)
}

/// Prints many things: a table for people, or one JSON document a line.
///
/// # Errors
/// As [`line()`].
pub(crate) fn rows<T: Serialize>(
    format: Format,
    rows: &[T],
    table: impl FnOnce() -> Vec<String>,
) -> anyhow::Result<()> {
    let lines = match format {
        Format::Text => table(),
        Format::Json => rows.iter().map(serde_json::to_string).collect::<Result<_, _>>()?,
    };
    lines.iter().try_for_each(|text| line(text))
}

/// Prints one thing: lines for people, or one JSON document.
///
/// # Errors
/// As [`line()`].
pub(crate) fn document<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce() -> Vec<String>,
) -> anyhow::Result<()> {
    rows(format, std::slice::from_ref(value), text)
}

/// Tells something that is no result, on stderr.
pub(crate) fn say(text: &str) {
    // Nothing is left to do when stderr is gone.
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;
    use crate::exit::is_closed_pipe;

    /// A writer that fails in this way.
    struct Broken(io::ErrorKind);

    impl io::Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_a_reader_of_our_output_that_went_away_is_no_error() {
        let written = |kind| write(&mut Broken(kind), b"x").context("a list").unwrap_err();
        assert!(is_closed_pipe(&written(io::ErrorKind::BrokenPipe)));
        assert!(!is_closed_pipe(&written(io::ErrorKind::StorageFull)));
        // A connection to a part or a broker breaks in the same way.
        let of_network = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("asking a part");
        assert!(!is_closed_pipe(&of_network));
    }
}
