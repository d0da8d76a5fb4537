//! Results on stdout: a table for people, or one JSON document.

use std::io::Write as _;

use clap::ValueEnum;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

/// How results are printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// A result that can be shown as a table.
pub(crate) trait Rows: Serialize {
    /// What stands above the columns.
    fn headings(&self) -> Vec<&'static str>;
    /// The cells below them.
    fn rows(&self) -> Vec<Vec<String>>;
}

/// Prints a result.
pub(crate) fn print(format: Format, result: &impl Rows) -> anyhow::Result<()> {
    let text = match format {
        Format::Text => table(result),
        Format::Json => serde_json::to_string_pretty(result)?,
    };
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

/// Says for people which of several results comes next.
pub(crate) fn title(format: Format, title: &str) -> anyhow::Result<()> {
    match format {
        Format::Text => Ok(writeln!(std::io::stdout(), "\n# {title}\n")?),
        Format::Json => Ok(()),
    }
}

/// Names at the left, numbers at the right.
fn table(result: &impl Rows) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(result.headings());
    for row in result.rows() {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
