//! Results on stdout, line by line, in a way that pipes.

use std::io::Write as _;

/// Prints one line on stdout and hands it over at once.
///
/// # Errors
/// stdout is closed, as when the reader of a pipe has seen enough.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}
