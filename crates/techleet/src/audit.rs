//! `techleet audit`: the trail of who did what, and whether it is whole.

use std::io::IsTerminal as _;

use anyhow::anyhow;
use chassis::Settings;
use container::{FaultKind, Record, Report, Stretch};
use indicatif::{ProgressBar, ProgressStyle};
use ops::Part;

use crate::cli::{Format, PartName};
use crate::exit::{Class, classified};
use crate::operator::{part, refused};
use crate::output;
use crate::render::clean;

/// Records asked for at a time.
const PAGE: u32 = 500;
/// Records of an audit trail that are verified at a time.
const VERIFIED: u32 = 5_000;
/// How many faults are told; a broken chain may have one at every record.
const FAULTS_MAX: usize = 100;

/// Prints records in order.
pub(crate) async fn list(settings: &Settings, mut after: i64, limit: u32, format: Format) -> anyhow::Result<()> {
    let container = part(settings, PartName::Container)?;
    let mut left = limit;
    while left > 0 {
        let query = [("after", after.to_string()), ("limit", left.min(PAGE).to_string())];
        let records: Vec<Record> = container.get("/api/v1/audit", &query).await.map_err(refused)?;
        for record in &records {
            output::line(&match format {
                Format::Json => serde_json::to_string(record)?,
                Format::Text => text(record),
            })?;
        }
        let Some(last) = records.last() else { break };
        after = last.sequence;
        left -= left.min(u32::try_from(records.len())?);
    }
    Ok(())
}

/// Verifies the chain and tells what is wrong with it.
pub(crate) async fn verify(settings: &Settings, format: Format) -> anyhow::Result<()> {
    let bar = bar();
    let report = verified(&part(settings, PartName::Container)?, &bar).await;
    bar.finish_and_clear();
    let report = report.map_err(refused)?;
    match format {
        Format::Json => output::line(&serde_json::to_string(&report)?)?,
        Format::Text => {
            for fault in &report.faults {
                output::line(&format!("record {}: {}", fault.sequence, words(fault.kind)))?;
            }
            let verdict = if report.faults.is_empty() { "whole" } else { "BROKEN" };
            output::line(&format!("{verdict}: {} records, head {}", report.records, report.head))?;
        }
    }
    match report.faults.len() {
        0 => Ok(()),
        faults => Err(classified(Class::CheckFailed, anyhow!("the audit trail is broken in {faults} places"))),
    }
}

/// What is found from the chain's beginning to its end, a stretch at a time: one answer has its limit in time.
async fn verified(container: &Part, bar: &ProgressBar) -> ops::Result<Report> {
    let (mut records, mut faults, mut from) = (0, Vec::new(), Stretch::default());
    loop {
        let Stretch { after, previous_hash } = from;
        let query = [("after", after.to_string()), ("previousHash", previous_hash), ("limit", VERIFIED.to_string())];
        let stretch: Report = container.get("/api/v1/audit/verify", &query).await?;
        records += stretch.records;
        faults.extend(stretch.faults);
        faults.truncate(FAULTS_MAX);
        bar.set_length(u64::try_from(stretch.end).unwrap_or(0));
        bar.set_position(u64::try_from(records).unwrap_or(0));
        match stretch.next {
            Some(next) => from = next,
            None => return Ok(Report { records, faults, ..stretch }),
        }
    }
}

/// A bar on a terminal, nothing elsewhere.
fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} records  {per_sec}  {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn text(record: &Record) -> String {
    let Record { sequence, occurred_at, event_type, entity, .. } = record;
    let envelope: serde_json::Value = serde_json::from_str(record.envelope.get()).unwrap_or_default();
    // What the system did has no actor, and each type of record its own word for what was done.
    let shown = |name: &str| match &envelope["data"][name] {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let none = || "-".to_owned();
    let action = ["action", "incident", "occurrence"].into_iter().find_map(shown).unwrap_or_else(none);
    let actor = shown("actor").unwrap_or_else(none);
    let facts = [sequence.to_string(), occurred_at.to_string(), event_type.clone(), action, entity.clone(), actor];
    facts.map(|fact| clean(&fact)).join("\t")
}

fn words(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Changed => "changed after it was chained",
        FaultKind::Missing => "one or more records before it are gone",
        FaultKind::Unchained => "not chained to the record before it",
        FaultKind::Unreadable => "cannot be read",
        FaultKind::WrongEnd => "the chain does not end where it was left",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_say_does_not_steer_the_terminal() {
        let record: Record = serde_json::from_value(serde_json::json!({
            "sequence": 7, "eventId": "id", "eventType": "audit.security", "entity": "user-1\u{1b}[2J",
            "occurredAt": "2026-11-27T00:00:00Z", "previousHash": "", "hash": "",
            "envelope": {"data": {"incident": "forbidden", "actor": "a\tb\n"}},
        }))
        .unwrap();
        let told = "7\t2026-11-27T00:00:00Z\taudit.security\tforbidden\tuser-1\u{fffd}[2J\ta\u{fffd}b\u{fffd}";
        assert_eq!(text(&record), told);
    }
}
