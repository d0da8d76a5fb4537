//! What became of the cases, and what has to become of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context, ensure};

/// The head of the list of what has to pass.
const HEAD: &str = "\
# What has to pass on the embedded broker and on Apache Kafka: a family and a case a line.
# A case is only ever added: `cargo xtask compat --add` adds what passes on both.
";

/// What became of one case.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Pass,
    Fail(String),
}

/// Reads `PASS name` or `FAIL name: reason`; anything else is the program's own talk.
pub(super) fn parse_line(line: &str) -> Option<(String, Outcome)> {
    if let Some(case) = line.strip_prefix("PASS ") {
        return Some((case.trim().to_owned(), Outcome::Pass));
    }
    let (case, reason) = line.strip_prefix("FAIL ")?.split_once(": ")?;
    Some((case.to_owned(), Outcome::Fail(reason.to_owned())))
}

/// A case of a family.
type Case = (String, String);

/// What became of every case on every broker.
#[derive(Debug, Default)]
pub(super) struct Results {
    brokers: Vec<&'static str>,
    cases: BTreeMap<Case, BTreeMap<&'static str, Outcome>>,
}

impl Results {
    pub(super) fn record(&mut self, broker: &'static str, family: &str, outcomes: BTreeMap<String, Outcome>) {
        if !self.brokers.contains(&broker) {
            self.brokers.push(broker);
        }
        for (case, outcome) in outcomes {
            self.cases.entry((family.to_owned(), case)).or_default().insert(broker, outcome);
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        for broker in other.brokers {
            if !self.brokers.contains(&broker) {
                self.brokers.push(broker);
            }
        }
        for (case, outcomes) in other.cases {
            self.cases.entry(case).or_default().extend(outcomes);
        }
    }

    /// A line a case and a column a broker, then how many passed.
    pub(super) fn table(&self) -> String {
        let mut lines = Vec::new();
        let width = self.cases.keys().map(|(_, case)| case.len()).max().unwrap_or_default();
        let mut row = |family: &str, case: &str, columns: Vec<&str>| {
            let columns: Vec<String> = columns.iter().map(|column| format!("{column:<9}")).collect();
            lines.push(format!("{family:<16} {case:<width$} {}", columns.join(" ")).trim_end().to_owned());
        };
        row("family", "case", self.brokers.clone());
        for ((family, case), outcomes) in &self.cases {
            let columns = self.brokers.iter().map(|broker| match outcomes.get(broker) {
                Some(Outcome::Pass) => "pass",
                Some(Outcome::Fail(_)) => "FAIL",
                None => "-",
            });
            row(family, case, columns.collect());
        }
        for broker in &self.brokers {
            let of_broker: Vec<_> = self.cases.values().filter_map(|outcomes| outcomes.get(broker)).collect();
            let passed = of_broker.iter().filter(|outcome| ***outcome == Outcome::Pass).count();
            lines.push(format!("{broker}: {passed} passed, {} failed", of_broker.len() - passed));
        }
        lines.join("\n")
    }
}

/// The cases that have to pass.
#[derive(Debug, Default)]
pub(super) struct MustPass(BTreeSet<Case>);

impl MustPass {
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut cases = BTreeSet::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (family, case) = line.split_once(' ').with_context(|| format!("no family and case: {line}"))?;
            ensure!(cases.insert((family.to_owned(), case.to_owned())), "named twice: {line}");
        }
        Ok(Self(cases))
    }

    /// Adds what passed wherever it ran.
    pub(super) fn add(&mut self, results: &Results) {
        let passed = results
            .cases
            .iter()
            .filter(|(_, outcomes)| results.brokers.iter().all(|broker| outcomes.get(broker) == Some(&Outcome::Pass)));
        self.0.extend(passed.map(|(case, _)| case.clone()));
    }

    /// What is not as it has to be, for the families that ran.
    pub(super) fn check(&self, results: &Results, families: &[&str]) -> Vec<String> {
        let mut findings = Vec::new();
        for (case, outcomes) in &results.cases {
            let (family, name) = case;
            for (broker, outcome) in outcomes {
                let Outcome::Fail(reason) = outcome else { continue };
                // The programs themselves are measured on Apache Kafka.
                let is_program = name == "the_program_ends" || *broker == "kafka";
                if is_program || self.0.contains(case) {
                    findings.push(format!("has to pass on {broker}: {family} {name}: {reason}"));
                }
            }
        }
        for case in self.0.iter().filter(|(family, _)| families.contains(&family.as_str())) {
            let (family, name) = case;
            for broker in &results.brokers {
                if results.cases.get(case).is_none_or(|outcomes| !outcomes.contains_key(broker)) {
                    findings.push(format!("did not run on {broker}: {family} {name}"));
                }
            }
        }
        findings
    }
}

impl fmt::Display for MustPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        self.0.iter().try_for_each(|(family, case)| writeln!(f, "{family} {case}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(lines: &[(&'static str, &str)]) -> Results {
        let mut results = Results::default();
        for (broker, line) in lines {
            results.record(broker, "kcat", parse_line(line).into_iter().collect());
        }
        results
    }

    #[test]
    fn a_line_tells_a_case_and_its_outcome() {
        assert_eq!(parse_line("PASS a"), Some(("a".to_owned(), Outcome::Pass)));
        assert_eq!(parse_line("FAIL a: b: c"), Some(("a".to_owned(), Outcome::Fail("b: c".to_owned()))));
        assert_eq!(parse_line("PASSED 3"), None);
    }

    #[test]
    fn a_listed_case_has_to_run_and_pass_wherever_its_family_ran() {
        let listed = MustPass::parse("# why\nkcat a\nkcat b\nother c\n").unwrap();
        let found = listed.check(&results(&[("embedded", "PASS a"), ("embedded", "PASS b")]), &["kcat"]);
        assert_eq!(found, [""; 0]);
        let found = listed.check(&results(&[("embedded", "FAIL a: x")]), &["kcat"]);
        assert_eq!(found, ["has to pass on embedded: kcat a: x", "did not run on embedded: kcat b"]);
    }

    #[test]
    fn a_case_that_is_not_listed_may_fail_on_the_embedded_broker_alone() {
        let listed = MustPass::default();
        assert_eq!(listed.check(&results(&[("embedded", "FAIL a: x"), ("kafka", "PASS a")]), &["kcat"]), [""; 0]);
        let found = listed.check(&results(&[("kafka", "FAIL a: x")]), &["kcat"]);
        assert_eq!(found, ["has to pass on kafka: kcat a: x"]);
    }

    #[test]
    fn what_passes_on_both_is_added_and_nothing_is_taken_away() {
        let mut listed = MustPass::parse("kcat old\n").unwrap();
        listed.add(&results(&[
            ("embedded", "PASS a"),
            ("kafka", "PASS a"),
            ("embedded", "FAIL b: x"),
            ("kafka", "PASS b"),
        ]));
        assert_eq!(listed.to_string(), format!("{HEAD}kcat a\nkcat old\n"));
        assert!(MustPass::parse("kcat a\nkcat a\n").is_err());
    }

    #[test]
    fn the_table_has_a_column_a_broker() {
        let table = results(&[("embedded", "PASS a"), ("kafka", "FAIL a: x")]).table();
        let row = table.lines().nth(1).unwrap();
        assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["kcat", "a", "pass", "FAIL"]);
        assert!(table.ends_with("embedded: 1 passed, 0 failed\nkafka: 0 passed, 1 failed"));
    }
}
