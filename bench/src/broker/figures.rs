//! Numbers as they come in, turn by turn, and their table: a line for each, smallest to largest, with the ratios.

use anyhow::Context;
use serde::Serialize;

use super::server::Contender;
use crate::peer::say;
use crate::report::Rows;
use crate::summary::Spread;

/// A run in which something was or was not so, as a number.
const YES: f64 = 1.0;

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    rounds: u16,
    figures: Vec<Figure>,
    failures: Vec<String>,
}

/// What the rounds said of one contender.
#[derive(Debug, Serialize)]
struct Figure {
    what: String,
    contender: Contender,
    #[serde(skip)]
    shown: Shown,
    spread: Spread,
    values: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shown {
    /// From the smallest to the largest, with so many digits.
    Range(usize),
    /// A share in percent, computed from medians: shares have no ratio.
    Percent,
    /// In how many of how many runs it was so.
    Count,
}

impl Figures {
    pub(crate) fn new(rounds: u16) -> Self {
        Self { rounds, figures: Vec::new(), failures: Vec::new() }
    }

    /// Adds what was measured once, and tells whoever waits.
    pub(crate) fn add(&mut self, contender: Contender, what: impl Into<String>, digits: usize, value: f64) {
        let what = what.into();
        Self::tell(&what, digits, value);
        self.push(contender, what, Shown::Range(digits), value);
    }

    /// Adds what follows from what was measured: a share of something, in percent.
    pub(crate) fn add_percent(&mut self, contender: Contender, what: impl Into<String>, percent: f64) {
        self.push(contender, what.into(), Shown::Percent, percent);
    }

    /// Adds whether something was so.
    pub(crate) fn add_whether(&mut self, contender: Contender, what: impl Into<String>, is_so: bool) {
        let (what, value) = (what.into(), if is_so { YES } else { 0.0 });
        Self::tell(&what, 0, value);
        self.push(contender, what, Shown::Count, value);
    }

    fn tell(what: &str, digits: usize, value: f64) {
        // Whoever has closed stderr does not want to be told.
        let _ = say(&format!("  {what}: {value:.digits$}"));
    }

    fn push(&mut self, contender: Contender, what: String, shown: Shown, value: f64) {
        match self.figures.iter_mut().find(|figure| figure.what == what && figure.contender == contender) {
            Some(figure) => {
                figure.values.push(value);
                figure.spread = Spread::of(figure.values.clone()).unwrap_or(figure.spread);
            }
            None => {
                let spread = Spread { min: value, median: value, max: value };
                self.figures.push(Figure { what, contender, shown, spread, values: vec![value] });
            }
        }
    }

    /// Notes that a turn failed.
    pub(crate) fn fail(&mut self, why: &str) -> anyhow::Result<()> {
        self.failures.push(why.to_owned());
        say(&format!("failed: {why}"))
    }

    pub(crate) fn failures(&self) -> usize {
        self.failures.len()
    }

    /// The median of what was measured, if it was.
    pub(crate) fn median(&self, contender: Contender, what: &str) -> Option<f64> {
        self.find(contender, what).map(|figure| figure.spread.median)
    }

    /// The median of what the machine can do.
    pub(crate) fn limit(&self, what: &str) -> anyhow::Result<f64> {
        self.median(Contender::Machine, what).with_context(|| format!("{what} was not measured"))
    }

    fn find(&self, contender: Contender, what: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.contender == contender && figure.what == what)
    }

    /// The contenders that have numbers, in the order of the columns.
    fn columns(&self) -> impl Iterator<Item = Contender> {
        let all = [Contender::Techleet, Contender::Kafka, Contender::KafkaFsync, Contender::Machine];
        all.into_iter().filter(|contender| self.figures.iter().any(|figure| figure.contender == *contender))
    }

    /// To whom ours is compared.
    fn peers(&self) -> impl Iterator<Item = (Contender, &'static str)> {
        let headings =
            [(Contender::Kafka, "techleet / Kafka"), (Contender::KafkaFsync, "techleet / Kafka, fsync per batch")];
        let columns: Vec<Contender> = self.columns().collect();
        headings.into_iter().filter(move |(peer, _)| [Contender::Techleet, *peer].iter().all(|c| columns.contains(c)))
    }

    fn ratio(&self, peer: Contender, what: &str) -> String {
        let medians = (self.find(Contender::Techleet, what), self.find(peer, what));
        match medians {
            (Some(ours), Some(theirs)) if matches!(ours.shown, Shown::Range(_)) && theirs.spread.median > 0.0 => {
                format!("{:.2}", ours.spread.median / theirs.spread.median)
            }
            _ => String::new(),
        }
    }
}

impl Figure {
    fn show(&self) -> String {
        match self.shown {
            Shown::Range(digits) => {
                let (min, max) = (format!("{:.digits$}", self.spread.min), format!("{:.digits$}", self.spread.max));
                if min == max { min } else { format!("{min}–{max}") }
            }
            Shown::Percent => format!("{:.0}", self.spread.median),
            Shown::Count => {
                format!("{} of {}", self.values.iter().filter(|value| **value == YES).count(), self.values.len())
            }
        }
    }
}

impl Rows for Figures {
    fn headings(&self) -> Vec<&'static str> {
        let ratios = self.peers().map(|(_, heading)| heading);
        [""].into_iter().chain(self.columns().map(Contender::name)).chain(ratios).collect()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let mut names: Vec<&str> = Vec::new();
        for figure in &self.figures {
            if !names.contains(&figure.what.as_str()) {
                names.push(&figure.what);
            }
        }
        let row = |what: &str| {
            let shown =
                self.columns().map(|contender| self.find(contender, what).map(Figure::show).unwrap_or_default());
            let ratios = self.peers().map(|(peer, _)| self.ratio(peer, what));
            [what.to_owned()].into_iter().chain(shown).chain(ratios).collect()
        };
        names.into_iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_spread_of_each_and_the_ratio_of_the_medians() {
        let mut figures = Figures::new(3);
        for value in [30.0, 10.0, 20.0] {
            figures.add(Contender::Techleet, "records/s", 0, value);
        }
        figures.add(Contender::Kafka, "records/s", 0, 10.0);
        assert_eq!(figures.headings(), ["", "techleet", "Kafka", "techleet / Kafka"]);
        assert_eq!(figures.rows(), [["records/s", "10–30", "10", "2.00"]]);
    }

    #[test]
    fn what_is_so_or_not_is_counted_and_has_no_ratio_nor_has_a_share() {
        let mut figures = Figures::new(2);
        for is_so in [true, false] {
            figures.add_whether(Contender::Techleet, "kept up", is_so);
        }
        figures.add_whether(Contender::Kafka, "kept up", true);
        for contender in [Contender::Techleet, Contender::Kafka] {
            figures.add_percent(contender, "of the disk", 12.4);
        }
        assert_eq!(figures.rows(), [["kept up", "1 of 2", "1 of 1", ""], ["of the disk", "12", "12", ""]]);
    }

    #[test]
    fn what_one_of_them_lacks_is_left_empty() {
        let mut figures = Figures::new(1);
        figures.add(Contender::KafkaFsync, "format", 1, 5.25);
        figures.add(Contender::Machine, "copy", 0, 7.0);
        assert_eq!(figures.headings(), ["", "Kafka, fsync per batch", "machine"]);
        assert_eq!(figures.rows(), [["format", "5.2", ""], ["copy", "", "7"]]);
    }
}
