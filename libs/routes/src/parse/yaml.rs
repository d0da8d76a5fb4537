//! Reads YAML into nodes, with limits on depth and size.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::node::{Content, Kind, Mark, Name, Node, Scalar};
use super::problem::Problems;

/// The largest file, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most nodes of a document, those that aliases repeat included.
const NODES_MAX: usize = 200_000;

/// How deep lists and maps may stand in each other.
const DEPTH_MAX: usize = 100;

/// Reads a document; nothing if it could not be read at all, or is empty.
pub fn read(file: &Arc<str>, text: &str, problems: &mut Problems) -> Option<Node> {
    if text.len() > DOCUMENT_BYTES_MAX {
        let message = format!("the file has {} bytes, {DOCUMENT_BYTES_MAX} are allowed", text.len());
        problems.error(file, Mark { line: 1, column: 1 }, message);
        return None;
    }
    let options = granit_parser::options! { emit_comments: false };
    let mut reader = Reader {
        events: Parser::new_from_str_with_options(text, options),
        text,
        line_starts: std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect(),
        file,
        problems,
        anchors: HashMap::new(),
        nodes: 0,
    };
    reader.document().ok().flatten()
}

/// Reading stops; why is among the problems.
struct Stop;

struct Reader<'a> {
    events: Parser<'a, granit_parser::StrInput<'a>>,
    text: &'a str,
    /// Where each line begins.
    line_starts: Vec<usize>,
    file: &'a Arc<str>,
    problems: &'a mut Problems,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_some() => {
                    return self.stop(mark(&span), "a second document begins here: make it a file of its own");
                }
                Event::DocumentStart(..) => {}
                event => root = Some(self.node(event, &span, 0)?),
            }
        }
        Ok(root)
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, Stop> {
        let at = mark(span);
        if depth > DEPTH_MAX {
            return self.stop(at, &format!("lists and maps stand more than {DEPTH_MAX} deep in each other"));
        }
        self.count(1, at)?;
        let before = self.nodes;
        let (anchor, kind) = match event {
            Event::Scalar(text, style, anchor, _) => {
                (anchor, Kind::Scalar(self.scalar(text.into_owned(), style, span)))
            }
            Event::SequenceStart(_, anchor, _) => (anchor, self.list(depth)?),
            Event::MappingStart(_, anchor, _) => (anchor, self.map(depth)?),
            Event::Alias(id) => {
                let Some((node, size)) = self.anchors.get(&id).cloned() else {
                    return self.stop(at, "an alias stands inside of what it repeats");
                };
                self.count(size, at)?;
                return Ok(node);
            }
            _ => return self.stop(at, "this is no YAML that a route file can have"),
        };
        let node = Node { at, kind };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before + 1));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Stop> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                None | Some((Event::SequenceEnd, _)) => return Ok(Kind::List(nodes)),
                Some((event, span)) => nodes.push(self.node(event, &span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Stop> {
        let mut entries: Vec<(Name, Node)> = Vec::new();
        let mut known: HashMap<String, Mark> = HashMap::new();
        loop {
            let (event, span) = match self.next()? {
                None | Some((Event::MappingEnd, _)) => return Ok(Kind::Map(entries)),
                Some(next) => next,
            };
            let at = mark(&span);
            let name = self.node(event, &span, depth + 1)?;
            let Some((event, span)) = self.next()? else { return Ok(Kind::Map(entries)) };
            let value = self.node(event, &span, depth + 1)?;
            match name.kind {
                Kind::Scalar(scalar) => {
                    if let Some(first) = known.insert(scalar.text.clone(), at) {
                        let message = format!("`{}` stands here twice, first in line {}", scalar.text, first.line);
                        self.problems.error(self.file, at, message);
                    } else {
                        entries.push((Name { text: scalar.text, at }, value));
                    }
                }
                _ => self.problems.error(self.file, at, "a name must be text"),
            }
        }
    }

    fn scalar(&self, text: String, style: ScalarStyle, span: &Span) -> Scalar {
        let content = match style {
            ScalarStyle::Plain => Content::Line(0),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Content::Line(1),
            ScalarStyle::Literal | ScalarStyle::Folded => {
                // The place is that of the content, or of the sign before it.
                let starts_with = span.start.byte_offset().and_then(|start| self.text.get(start..)).unwrap_or("");
                let is_sign = starts_with.starts_with(['|', '>']) && !text.starts_with(['|', '>']);
                let line = span.start.line() + usize::from(is_sign);
                let mut content = self.lines_from(line);
                let first = content.find(|line| !line.trim().is_empty()).unwrap_or("");
                Content::Block { line, indent: first.len() - first.trim_start_matches(' ').len() }
            }
        };
        Scalar { text, is_plain: style == ScalarStyle::Plain, content }
    }

    /// The lines of the text from one on, counted from 1.
    fn lines_from(&self, line: usize) -> std::str::Lines<'a> {
        let start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len());
        self.text[start..].lines()
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Stop> {
        match self.events.next_event() {
            None => Ok(None),
            Some(Ok(next)) => Ok(Some(next)),
            Some(Err(error)) => {
                let at = Mark { line: error.marker().line(), column: error.marker().col() + 1 };
                self.stop(at, &format!("this is not YAML: {}", error.info()))
            }
        }
    }

    fn count(&mut self, nodes: usize, at: Mark) -> Result<(), Stop> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            return self.stop(at, &format!("the file has more than {NODES_MAX} values"));
        }
        Ok(())
    }

    fn stop<T>(&mut self, at: Mark, message: &str) -> Result<T, Stop> {
        self.problems.error(self.file, at, message);
        Err(Stop)
    }
}

fn mark(span: &Span) -> Mark {
    Mark { line: span.start.line(), column: span.start.col() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Option<Node>, Vec<String>) {
        let mut problems = Problems::default();
        let node = read(&Arc::from("a.yaml"), text, &mut problems);
        (node, problems.into_sorted().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn everything_has_its_place() {
        let (node, problems) = parse(
            "- from:\n    uri: direct:a\n    steps:\n      - setBody:\n          simple: |\n            ${body}\n              x\n",
        );
        assert_eq!(problems, [""; 0]);
        let Kind::List(entries) = node.unwrap().kind else { panic!("no list") };
        let from = entries[0].get("from").unwrap();
        assert_eq!(from.get("uri").unwrap().at, Mark { line: 2, column: 10 });
        let Kind::List(steps) = &from.get("steps").unwrap().kind else { panic!("no steps") };
        let simple = steps[0].get("setBody").unwrap().get("simple").unwrap();
        assert_eq!(simple.scalar().unwrap().text, "${body}\n  x\n");
        assert_eq!(simple.mark_of(&(10..11)), Mark { line: 7, column: 15 });
    }

    #[test]
    fn broken_yaml_is_told_with_its_place() {
        assert_eq!(parse("a: [1\n").1.len(), 1);
        assert_eq!(parse("a: 1\na: 2\n").1, ["a.yaml:2:1: error: `a` stands here twice, first in line 1"]);
        assert!(parse("a: 1\n---\nb: 2\n").1[0].starts_with("a.yaml:2:1: error: a second document begins here"));
    }

    #[test]
    fn aliases_are_copies_and_bounded() {
        let (node, problems) = parse("a: &x {b: 1}\nc: *x\n");
        assert_eq!(problems, [""; 0]);
        assert_eq!(node.unwrap().get("c").unwrap().get("b").unwrap().scalar().unwrap().text, "1");
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for n in 1..9 {
            let alias = format!("*a{}", n - 1);
            bomb.push_str(&format!("a{n}: &a{n} [{}]\n", [alias.as_str(); 10].join(",")));
        }
        assert!(parse(&bomb).1[0].contains("more than 200000 values"));
        let deep = "[".repeat(150) + &"]".repeat(150);
        assert_eq!(parse(&deep).1.len(), 1);
    }
}
