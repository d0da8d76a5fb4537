//! How results look to people: tables, times, and no control characters from strangers.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use jiff::Timestamp;

/// What stands where there is nothing to tell.
pub(crate) const NOTHING_TOLD: &str = "-";

/// A table without lines, with its columns as wide as they must be.
pub(crate) struct Columns {
    table: Table,
}

impl Columns {
    /// A table with these headings; those that begin with `>` stand over numbers, at the right.
    pub(crate) fn new(headings: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(headings.iter().map(|heading| heading.trim_start_matches('>')));
        for (index, heading) in headings.iter().enumerate() {
            if let Some(column) = table.column_mut(index) {
                column.set_padding((0, 2));
                if heading.starts_with('>') {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        Self { table }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.table.add_row(cells.into_iter().map(|cell| clean(&cell)));
    }

    /// The table as lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.table.to_string().lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

/// Text that came over the network as a terminal may see it: without control characters.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

/// The beginning of a text, so long that a line of a table stays readable.
pub(crate) fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Something that may be missing.
pub(crate) fn or_nothing<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| NOTHING_TOLD.to_owned(), |value| value.to_string())
}

/// A time to the second.
pub(crate) fn time(time: Option<Timestamp>) -> String {
    or_nothing(time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()))
}

/// A number of things, in words.
pub(crate) fn counted<N: std::fmt::Display + PartialEq + From<u8>>(number: N, thing: &str) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// Milliseconds in the largest unit that divides them.
pub(crate) fn duration_ms(ms: i64) -> String {
    const UNITS: [(i64, &str); 5] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
    if ms < 0 {
        return "for ever".to_owned();
    }
    let (size, unit) = UNITS.into_iter().find(|(size, _)| ms % size == 0).unwrap_or((1, "ms"));
    format!("{} {unit}", ms / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_strangers_do_not_reach_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }

    #[test]
    fn a_duration_is_told_in_its_largest_unit() {
        let told = [604_800_000, 5_400_000, 1_500, -1].map(duration_ms);
        assert_eq!(told, ["7 d", "90 min", "1500 ms", "for ever"]);
    }
}
