//! What was measured of each router, and the table of it: medians with their spread, and ratios.

use serde::Serialize;

use super::contender::{ALL, Contender};
use super::job::Outputs;
use crate::peer::say;
use crate::report::Rows;
use crate::summary::Spread;

/// Numbers, in the order of the table: what, and how many digits.
pub(super) const RATE: Number = Number("events/s", 0);
pub(super) const PER_CPU_SECOND: Number = Number("events per CPU second", 0);
pub(super) const PER_CPU_SECOND_IN_ALL: Number = Number("the same with its start", 0);
pub(super) const FIRST_OUT: Number = Number("launch to first event out, ms", 0);
pub(super) const RSS_MAX: Number = Number("RSS at the most, MiB", 1);
pub(super) const IDLE_CPU: Number = Number("idle after it, CPU ms per s", 1);
pub(super) const CHANGED: Number = Number("changed file to first message, ms", 0);
pub(super) const IDLE_WITHOUT: Number = Number("idle without routes, CPU ms per s", 1);
pub(super) const IDLE_WITH: Number = Number("idle with 200 routes, CPU ms per s", 1);
pub(super) const IDLE_WITH_KAFKA: Number = Number("idle with 20 routes from topics, CPU ms per s", 1);
pub(super) const RSS_WITHOUT: Number = Number("RSS without routes, MiB", 1);
pub(super) const RSS_WITH: Number = Number("RSS with 200 routes, MiB", 1);
pub(super) const RSS_WITH_KAFKA: Number = Number("RSS with 20 routes from topics, MiB", 1);

const NUMBERS: [Number; 13] = [
    RATE,
    PER_CPU_SECOND,
    PER_CPU_SECOND_IN_ALL,
    FIRST_OUT,
    RSS_MAX,
    IDLE_CPU,
    CHANGED,
    IDLE_WITHOUT,
    IDLE_WITH,
    IDLE_WITH_KAFKA,
    RSS_WITHOUT,
    RSS_WITH,
    RSS_WITH_KAFKA,
];

/// Something that is measured: how it is called, and how many digits are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Number(&'static str, #[serde(skip)] usize);

#[derive(Debug, Serialize)]
struct Figure {
    router: Contender,
    what: Number,
    values: Vec<f64>,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    rounds: u16,
    figures: Vec<Figure>,
    /// What was written, of all turns with as many events.
    outputs: Vec<Outputs>,
}

impl Figures {
    pub(super) fn new(rounds: u16) -> Self {
        Self { rounds, figures: Vec::new(), outputs: Vec::new() }
    }

    /// Adds what was measured once, and tells whoever waits.
    pub(super) fn add(&mut self, router: Contender, what: Number, value: f64) {
        let Number(name, digits) = what;
        // Whoever has closed stderr does not want to be told.
        let _ = say(&format!("  {name}: {value:.digits$}"));
        match self.figures.iter_mut().find(|figure| figure.router == router && figure.what == what) {
            Some(figure) => figure.values.push(value),
            None => self.figures.push(Figure { router, what, values: vec![value] }),
        }
    }

    /// Notes what was written, which is as it has to be.
    pub(super) fn note_hash(&mut self, outputs: &Outputs) {
        if !self.outputs.contains(outputs) {
            self.outputs.push(*outputs);
        }
    }

    fn spread(&self, router: Contender, what: Number) -> Option<Spread> {
        let figure = self.figures.iter().find(|figure| figure.router == router && figure.what == what)?;
        Spread::of(figure.values.clone())
    }

    /// Who has numbers.
    fn routers(&self) -> Vec<Contender> {
        ALL.into_iter().filter(|router| self.figures.iter().any(|figure| figure.router == *router)).collect()
    }

    /// To whom ours is compared.
    fn peers(&self) -> Vec<Contender> {
        self.routers().into_iter().filter(|router| *router != Contender::Techleet).collect()
    }
}

impl Rows for Figures {
    fn headings(&self) -> Vec<&'static str> {
        let ratio = |peer: &Contender| match peer {
            Contender::Camel => "/ Camel",
            Contender::CamelTuned => "/ tuned",
            _ => "/ Benthos",
        };
        let names = self.routers().into_iter().map(Contender::name);
        ["median (min–max)"].into_iter().chain(names).chain(self.peers().iter().map(ratio)).collect()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |what: Number| {
            let Number(name, digits) = what;
            let show = |spread: Spread| {
                format!("{:.digits$} ({:.digits$}–{:.digits$})", spread.median, spread.min, spread.max)
            };
            let cells =
                self.routers().into_iter().map(|router| self.spread(router, what).map_or_else(String::new, show));
            let ours = self.spread(Contender::Techleet, what);
            let ratio = |peer| {
                let (ours, theirs) = (ours?.median, self.spread(peer, what)?.median);
                (theirs > 0.0).then(|| format!("{:.3}", ours / theirs))
            };
            let ratios = self.peers().into_iter().map(|peer| ratio(peer).unwrap_or_default());
            [name.to_owned()].into_iter().chain(cells).chain(ratios).collect()
        };
        let has_values = |what: &Number| self.figures.iter().any(|figure| figure.what == *what);
        let hashes = self.outputs.iter().map(|outputs| {
            let cells = self.routers().len() + self.peers().len() - 1;
            let hash = format!("{} records, {:016x}", outputs.count, outputs.hash);
            ["written by all".to_owned(), hash].into_iter().chain(std::iter::repeat_n(String::new(), cells)).collect()
        });
        NUMBERS.into_iter().filter(has_values).map(row).chain(hashes).collect()
    }
}
