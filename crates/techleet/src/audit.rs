//! `techleet audit`: the trail of who did what, and whether it is whole.

use anyhow::anyhow;
use chassis::Settings;
use container::{FaultKind, Record, Report};

use crate::cli::{Format, PartName};
use crate::exit::{Class, classified};
use crate::operator::{part, refused};
use crate::output;

/// Records asked for at a time.
const PAGE: u32 = 500;

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
    let report: Report =
        part(settings, PartName::Container)?.get("/api/v1/audit/verify", &[]).await.map_err(refused)?;
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
    format!("{sequence}\t{occurred_at}\t{event_type}\t{action}\t{entity}\t{actor}")
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
