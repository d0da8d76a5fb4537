//! What `kafka-consumer-groups` prints of a group: the same columns, as wide as Kafka's tool makes them.

use std::collections::BTreeMap;

use ops::groups::{Description, Member, Position};

use crate::output;

/// What Kafka's tools print where there is nothing to tell.
const MISSING: &str = "-";

/// A column: its heading and how wide it is at least. A width of 0 ends a line without padding.
type Column = (&'static str, usize);

/// Where a group stands, and who reads there.
pub(super) fn offsets(group: &Description, verbose: bool) -> anyhow::Result<()> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for position in in_order(group) {
        rows.push(position_row(&group.id, position, verbose));
    }
    for member in group.members.iter().filter(|member| member.partitions == 0) {
        let mut row = vec![MISSING.to_owned(); if verbose { 10 } else { 9 }];
        row[0].clone_from(&group.id);
        let last = row.len() - 3;
        row[last..].clone_from_slice(&[member.id.clone(), member.host.clone(), member.client_id.clone()]);
        rows.push(row);
    }
    if rows.is_empty() {
        return Ok(());
    }
    let mut columns: Vec<Column> = vec![("GROUP", 15), ("TOPIC", 15), ("PARTITION", 10)];
    columns.extend(verbose.then_some(("LEADER-EPOCH", 15)));
    columns.extend([("CURRENT-OFFSET", 15), ("LOG-END-OFFSET", 15), ("LAG", 15)]);
    columns.extend([("CONSUMER-ID", 15), ("HOST", 15), ("CLIENT-ID", 0)]);
    print(&columns, &rows)
}

/// The members of a group.
pub(super) fn members(group: &Description, verbose: bool) -> anyhow::Result<()> {
    let mut columns: Vec<Column> =
        vec![("GROUP", 15), ("CONSUMER-ID", 15), ("HOST", 15), ("CLIENT-ID", 15), ("#PARTITIONS", 15)];
    if verbose {
        columns.extend([
            ("CURRENT-EPOCH", 15),
            ("CURRENT-ASSIGNMENT", 20),
            ("TARGET-EPOCH", 15),
            ("TARGET-ASSIGNMENT", 20),
        ]);
    }
    let rows: Vec<Vec<String>> = group
        .members
        .iter()
        .map(|member| {
            let Member { id, client_id, host, partitions } = member;
            let mut row = vec![group.id.clone(), id.clone(), host.clone(), client_id.clone(), partitions.to_string()];
            if verbose {
                row.extend([MISSING.to_owned(), assignment(group, id), MISSING.to_owned(), MISSING.to_owned()]);
            }
            row
        })
        .collect();
    // Kafka's tool ends these lines with a space: after the table, or before what --verbose adds.
    let spaced = |columns: Vec<Column>| if verbose { columns } else { [columns, vec![("", 0)]].concat() };
    let rows: Vec<Vec<String>> = match verbose {
        true => rows,
        false => rows.into_iter().map(|row| [row, vec![String::new()]].concat()).collect(),
    };
    print(&spaced(columns), &rows)
}

/// How a group is doing.
pub(super) fn state(group: &Description, coordinator: &str, verbose: bool) -> anyhow::Result<()> {
    let mut columns: Vec<Column> =
        vec![("GROUP", 15), ("COORDINATOR (ID)", 25), ("ASSIGNMENT-STRATEGY", 20), ("STATE", 20)];
    let assignor = if group.assignor.is_empty() { MISSING } else { &group.assignor };
    let mut row = vec![group.id.clone(), coordinator.to_owned(), assignor.to_owned(), group.state.clone()];
    if verbose {
        columns.extend([("GROUP-EPOCH", 15), ("TARGET-ASSIGNMENT-EPOCH", 25)]);
        row.extend([MISSING.to_owned(), MISSING.to_owned()]);
    }
    columns.push(("#MEMBERS", 0));
    row.push(group.members.len().to_string());
    print(&columns, &[row])
}

/// Where groups were moved, or would be.
pub(super) fn new_offsets(rows: &[Vec<String>]) -> anyhow::Result<()> {
    print(&[("GROUP", 15), ("TOPIC", 15), ("PARTITION", 10), ("NEW-OFFSET", 0)], rows)
}

/// Groups with more than their names: the first column is ten wider than the longest of them.
pub(super) fn list(headings: &[&'static str], rows: &[Vec<String>]) -> anyhow::Result<()> {
    let longest = rows.iter().map(|row| row[0].chars().count()).max().unwrap_or(0).max(15);
    let columns: Vec<Column> = headings
        .iter()
        .enumerate()
        .map(|(index, heading)| (*heading, if index == 0 { longest + 10 } else { 20 }))
        .collect();
    let headings = headings.iter().map(|heading| (*heading).to_owned()).collect();
    output::line(&line(&headings, &widths(&columns, rows)))?;
    rows.iter().try_for_each(|row| output::line(&line(row, &widths(&columns, rows))))
}

/// What members read comes first, those with the most partitions before the others.
fn in_order(group: &Description) -> Vec<&Position> {
    let partitions_of = |position: &&Position| {
        let member = group.members.iter().find(|member| Some(&member.id) == position.member.as_ref());
        member.map_or(0, |member| member.partitions)
    };
    let mut positions: Vec<&Position> = group.partitions.iter().collect();
    positions.sort_by_key(|position| {
        (position.member.is_none(), std::cmp::Reverse(partitions_of(position)), position.member.clone())
    });
    positions
}

fn position_row(group: &str, position: &Position, verbose: bool) -> Vec<String> {
    let number = |number: Option<i64>| number.map_or_else(|| MISSING.to_owned(), |number| number.to_string());
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| MISSING.to_owned());
    // Kafka's tool knows no lag before the first commit.
    let lag = position.committed.and(position.lag);
    let mut row = vec![group.to_owned(), position.topic.clone(), position.partition.to_string()];
    row.extend(verbose.then(|| MISSING.to_owned()));
    row.extend([number(position.committed), number(position.end), number(lag)]);
    row.extend([text(&position.member), text(&position.host), text(&position.client_id)]);
    row
}

/// `topic:0,1;other:2`.
fn assignment(group: &Description, member: &str) -> String {
    let mut topics: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for position in group.partitions.iter().filter(|position| position.member.as_deref() == Some(member)) {
        topics.entry(&position.topic).or_default().push(position.partition.to_string());
    }
    if topics.is_empty() {
        return MISSING.to_owned();
    }
    topics.iter().map(|(topic, numbers)| format!("{topic}:{}", numbers.join(","))).collect::<Vec<_>>().join(";")
}

/// An empty line, the headings, the rows.
fn print(columns: &[Column], rows: &[Vec<String>]) -> anyhow::Result<()> {
    let widths = widths(columns, rows);
    let headings: Vec<String> = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
    output::line("")?;
    output::line(&line(&headings, &widths))?;
    rows.iter().try_for_each(|row| output::line(&line(row, &widths)))
}

fn widths(columns: &[Column], rows: &[Vec<String>]) -> Vec<usize> {
    let widest = |index: usize| rows.iter().map(|row| row[index].chars().count()).max().unwrap_or(0);
    columns
        .iter()
        .enumerate()
        .map(|(index, (_, least))| if *least == 0 { 0 } else { widest(index).max(*least) })
        .collect()
}

fn line(cells: &Vec<String>, widths: &[usize]) -> String {
    let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    padded.join(" ")
}
