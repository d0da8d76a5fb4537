//! Files that are wrong in one place each: made from right ones.

use std::collections::HashSet;
use std::fmt::Write as _;

use routes::parse::{Name, Node, NodeKind, Scalar};

/// A wrong file, and what is wrong with it.
pub(super) struct Spoiled {
    /// The place in words, and what was done there.
    pub(super) what: String,
    pub(super) text: String,
}

/// Changes the entry of a map that stands there.
type Change = fn(&mut Vec<(Name, Node)>, usize);

/// What can be done to an entry of a map.
const WAYS: [(&str, Change); 5] = [
    ("has another name", |entries, at| entries[at].0.text.push('X')),
    ("is not there", |entries, at| drop(entries.remove(at))),
    ("is a list", |entries, at| {
        let node = entries[at].1.clone();
        entries[at].1.kind = NodeKind::List(vec![node]);
    }),
    ("is a map", |entries, at| {
        let (name, node) = entries[at].clone();
        entries[at].1.kind = NodeKind::Map(vec![(Name { text: "nonsense".to_owned(), ..name }, node)]);
    }),
    ("is another text", |entries, at| {
        if let NodeKind::Scalar(scalar) = &mut entries[at].1.kind {
            *scalar = Scalar { text: "per haps".to_owned(), is_plain: false, ..scalar.clone() };
        }
    }),
];

/// One file for each place and each way, but for those that are in `known` already.
pub(super) fn spoil(root: &Node, known: &mut HashSet<String>) -> Vec<Spoiled> {
    let mut places = Vec::new();
    find(root, &mut Vec::new(), String::new(), &mut places);
    let mut made = Vec::new();
    for (pointer, place) in places {
        for (way, change) in WAYS {
            let what = format!("{place} {way}");
            let mut copy = root.clone();
            let (last, above) = pointer.split_last().unwrap();
            let NodeKind::Map(entries) = &mut inside(&mut copy, above).kind else { continue };
            change(entries, *last);
            let text = text(&copy);
            if known.insert(what.clone()) {
                made.push(Spoiled { what, text });
            }
        }
    }
    made
}

/// The entries of all maps: how they are reached, and their names above each other.
fn find(node: &Node, pointer: &mut Vec<usize>, place: String, places: &mut Vec<(Vec<usize>, String)>) {
    match &node.kind {
        NodeKind::Scalar(_) => {}
        NodeKind::List(nodes) => {
            for (at, node) in nodes.iter().enumerate() {
                pointer.push(at);
                find(node, pointer, place.clone(), places);
                pointer.pop();
            }
        }
        NodeKind::Map(entries) => {
            for (at, (name, node)) in entries.iter().enumerate() {
                pointer.push(at);
                // Steps stand in steps: what is above the last ones says nothing new.
                let above = if name.text == "steps" { "" } else { place.as_str() };
                let place = format!("{above}/{}", name.text);
                places.push((pointer.clone(), place.clone()));
                find(node, pointer, place, places);
                pointer.pop();
            }
        }
    }
}

fn inside<'n>(node: &'n mut Node, pointer: &[usize]) -> &'n mut Node {
    let Some((first, rest)) = pointer.split_first() else { return node };
    match &mut node.kind {
        NodeKind::List(nodes) => inside(&mut nodes[*first], rest),
        NodeKind::Map(entries) => inside(&mut entries[*first].1, rest),
        NodeKind::Scalar(_) => panic!("a pointer into a text"),
    }
}

/// A document as JSON, which is YAML too.
pub(super) fn text(node: &Node) -> String {
    let mut out = String::new();
    write(node, &mut out);
    out
}

fn write(node: &Node, out: &mut String) {
    match &node.kind {
        NodeKind::Scalar(_) if node.is_null() => out.push_str("null"),
        NodeKind::Scalar(scalar) if scalar.is_plain && is_typed(&scalar.text) => out.push_str(&scalar.text),
        NodeKind::Scalar(scalar) => out.push_str(&quoted(&scalar.text)),
        NodeKind::List(nodes) => {
            out.push('[');
            for (at, node) in nodes.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                write(node, out);
            }
            out.push(']');
        }
        NodeKind::Map(entries) => {
            out.push('{');
            for (at, (name, node)) in entries.iter().enumerate() {
                write!(out, "{}{}:", if at == 0 { "" } else { "," }, quoted(&name.text)).unwrap();
                write(node, out);
            }
            out.push('}');
        }
    }
}

fn is_typed(text: &str) -> bool {
    matches!(text, "true" | "false") || text.parse::<i64>().is_ok() || text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
