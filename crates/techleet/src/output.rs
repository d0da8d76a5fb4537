//! Results on stdout, line by line, in a way that pipes; talk on stderr.

use std::io::Write as _;

use serde::Serialize;

use crate::cli::Format;

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
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(())
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
    let _ = writeln!(std::io::stderr(), "{text}");
}
