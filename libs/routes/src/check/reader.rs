//! Reads an element by its spec, and says everything that is wrong with it.

use std::sync::Arc;

use crate::components::{Components, Side};
use crate::data_formats;
use crate::exchange::{Class, Kind};
use crate::language::{self, Properties, Surroundings};
use crate::parse::{Mark, Name, Node, NodeKind, Problems};
use crate::steps;

use super::element::{Element, Given, INLINE, Step};
use super::known;
use super::placeholders::{Scope, resolve};
use super::spec::{Inline, OptionSpec, Spec, Takes};
use super::suggest::{nearest, unknown};
use super::template::Kamelets;
use super::uri::{EndpointText, parse_uri};

/// Most steps of one file.
const STEPS_MAX: usize = 20_000;

/// Names that every element has and that say nothing about what is done.
const ALWAYS: [&str; 4] = ["id", "description", "note", "disabled"];

/// Reads elements of one file.
#[derive(Debug)]
pub struct Checker<'a> {
    /// The name of the file, for problems.
    pub file: &'a Arc<str>,
    /// Where problems go.
    pub problems: &'a mut Problems,
    /// Where placeholders get their values.
    pub scope: Scope<'a>,
    /// What expressions may use.
    pub surroundings: &'a Surroundings,
    /// The components that there are.
    pub components: &'a Components,
    /// How many steps have been read.
    pub steps: usize,
    /// What `kamelet:` addresses ask for.
    pub kamelets: &'a mut Kamelets,
}

impl<'a> Checker<'a> {
    /// The same with other values for placeholders.
    pub fn with_scope<'b>(&'b mut self, own: &'b Properties, is_open: bool) -> Checker<'b> {
        Checker {
            file: self.file,
            problems: self.problems,
            scope: Scope { own: Some(own), properties: self.scope.properties, is_open },
            surroundings: self.surroundings,
            components: self.components,
            steps: self.steps,
            kamelets: self.kamelets,
        }
    }

    /// Adds an error.
    pub fn error(&mut self, at: Mark, message: impl Into<String>) {
        self.problems.error(self.file, at, message);
    }

    /// Reads an element that is no step. Nothing is returned only if there is nothing to read options from.
    pub fn element(&mut self, spec: &'static Spec, node: &Node) -> Option<Element> {
        if let Some(disabled) = node.get("disabled")
            && self.flag(disabled, "disabled") == Some(true)
        {
            let message = format!("`disabled` of `{}` is not supported: only a step can be disabled", spec.name);
            self.error(disabled.at, message);
        }
        self.step_or_element(spec, node)
    }

    fn step_or_element(&mut self, spec: &'static Spec, node: &Node) -> Option<Element> {
        let mut element = Element::empty(spec, node.at);
        match &node.kind {
            _ if node.is_null() => {}
            NodeKind::Map(entries) => {
                let loops_while = || node.get("doWhile").and_then(Node::scalar).is_some_and(|on| on.text == "true");
                let is_condition = spec.inline == Inline::Condition || spec.inline == Inline::Loop && loops_while();
                for (name, value) in entries {
                    self.entry(&mut element, name, value, is_condition);
                }
            }
            NodeKind::Scalar(_) => match spec.scalar.and_then(|name| spec.option(name)) {
                Some(option) => self.option(&mut element, option, node.at, node),
                None => {
                    self.error(node.at, format!("`{}` takes a map, and here is a text", spec.name));
                    return None;
                }
            },
            NodeKind::List(_) => {
                self.error(node.at, format!("`{}` takes a map, and here is a list", spec.name));
                return None;
            }
        }
        self.merge_parameters(&mut element, node);
        self.check_missing(&element);
        Some(element)
    }

    /// Reads steps: a list of maps with one name each.
    pub fn step_list(&mut self, node: &Node) -> Vec<Step> {
        match &node.kind {
            _ if node.is_null() => Vec::new(),
            NodeKind::List(nodes) => nodes.iter().filter_map(|node| self.step(node)).collect(),
            _ => {
                self.error(node.at, format!("steps are a list, and here is {}", node.word()));
                Vec::new()
            }
        }
    }

    fn step(&mut self, node: &Node) -> Option<Step> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            self.error(node.at, format!("the file has more than {STEPS_MAX} steps"));
            return None;
        }
        let NodeKind::Map(entries) = &node.kind else {
            // `- stop` and the like: a step that needs no options may be written as its name alone.
            let message = format!("a step is a map such as `to: mock:a`, and here is {}", node.word());
            self.error(node.at, message);
            return None;
        };
        let [(name, value)] = entries.as_slice() else {
            let names: Vec<_> = entries.iter().map(|(name, _)| name.text.as_str()).collect();
            let message = format!(
                "a step has one name, and here are {}: {}; is a `-` missing, or is something not indented?",
                names.len(),
                names.join(", ")
            );
            self.error(node.at, message);
            return None;
        };
        let Some(kind) = steps::find(&name.text) else {
            let message = match known::instead(known::STEPS, &name.text) {
                Some(instead) => format!("step `{}` is not supported: {instead}", name.text),
                None => {
                    let names: Vec<_> = steps::all().iter().map(|kind| kind.spec.name).collect();
                    unknown("step", &name.text, &names)
                }
            };
            self.error(name.at, message);
            return None;
        };
        let is_disabled = value.get("disabled").is_some_and(|node| self.flag(node, "disabled").unwrap_or(false));
        let mut element = self.step_or_element(&kind.spec, value)?;
        element.at = name.at;
        (!is_disabled).then_some(Step { kind, element })
    }

    fn entry(&mut self, element: &mut Element, name: &Name, node: &Node, is_condition: bool) {
        let spec = element.spec;
        if let Some(option) = spec.option(&name.text) {
            return self.option(element, option, name.at, node);
        }
        if name.text == "id" {
            element.id = self.text(node, "id");
            return;
        }
        if ALWAYS.contains(&name.text.as_str()) {
            // What it says is for people; that it is a text is for whoever shows it to them.
            drop(self.text(node, &name.text));
            return;
        }
        let has_expression =
            matches!(spec.inline, Inline::Value | Inline::Condition | Inline::OptionalValue | Inline::Loop);
        if has_expression && is_language(&name.text) {
            let found = self.inline_expression(name, node, is_condition);
            if element.seen.contains(&INLINE) {
                self.error(name.at, format!("`{}` has two expressions: leave one out", spec.name));
            }
            element.seen.push(INLINE);
            element.expression = found.or(element.expression.take());
            return;
        }
        if spec.inline == Inline::DataFormat {
            if element.seen.contains(&INLINE) {
                self.error(name.at, format!("`{}` has two data formats: leave one out", spec.name));
            }
            element.seen.push(INLINE);
            element.data_format = self.data_format(name, node).map(Box::new);
            return;
        }
        let mut names: Vec<_> = spec.options.iter().map(|option| option.name).collect();
        if has_expression {
            names.push("expression");
            names.extend(language::all().iter().map(|language| language.name()));
        }
        let message = unknown(&format!("option of `{}`:", spec.name), &name.text, &names);
        self.error(name.at, message);
        // It may be what is missing otherwise.
        element.seen.push(INLINE);
    }

    fn data_format(&mut self, name: &Name, node: &Node) -> Option<Element> {
        if let Some(format) = data_formats::find(&name.text) {
            return self.element(&format.spec, node);
        }
        let message = match known::instead(known::DATA_FORMATS, &name.text) {
            Some(instead) => format!("data format `{}` is not supported: {instead}", name.text),
            None => {
                let names: Vec<_> = data_formats::all().iter().map(|format| format.spec.name).collect();
                unknown("data format", &name.text, &names)
            }
        };
        self.error(name.at, message);
        None
    }

    fn option(&mut self, element: &mut Element, option: &'static OptionSpec, at: Mark, node: &Node) {
        let name = option.name;
        element.seen.push(name);
        let given = match option.takes {
            Takes::Text => self.text(node, name).map(Given::Text),
            Takes::Bool => self.flag(node, name).map(Given::Bool),
            Takes::Integer(..) | Takes::Decimal | Takes::Duration | Takes::OneOf(_) | Takes::Kind => {
                self.scalar(node, option)
            }
            Takes::Uri(side) => self.uri(node, side).map(Given::Uri),
            Takes::DynamicUri => self.dynamic_uri(node),
            Takes::KameletName => self.text(node, name).map(|name| {
                Given::Uri(EndpointText { scheme: "kamelet".to_owned(), path: name, options: Vec::new(), at: node.at })
            }),
            Takes::Parameters => None,
            Takes::Texts => self.texts(node, name).map(Given::Texts),
            Takes::Classes => self.classes(node, name),
            // Of something else than a text the message is about that.
            Takes::Class => self.text(node, name).and_then(|_| self.classes(node, name)),
            Takes::Simple => self.text(node, name).and_then(|text| self.simple(&text, node)).map(Given::Expression),
            Takes::Value => self.expression(node, false).map(Given::Expression),
            Takes::Condition => self.expression(node, true).map(Given::Expression),
            Takes::Steps => Some(Given::Steps(self.step_list(node))),
            Takes::One(spec) => self.element(spec, node).map(|element| Given::One(Box::new(element))),
            Takes::Many(spec) => self.many(spec, node),
            Takes::Meaningless(reason) | Takes::Unused(_, reason) => {
                self.unused(option, node);
                let message = format!("`{name}` of `{}` has no effect here: {reason}", element.spec.name);
                self.problems.note(self.file, at, message);
                None
            }
            Takes::Refused(instead) => {
                self.error(at, format!("`{name}` of `{}` is not supported: {instead}", element.spec.name));
                None
            }
        };
        if let Some(given) = given {
            element.values.push((name, node.at, given));
        }
    }

    /// Has what has no effect have its form at least.
    fn unused(&mut self, option: &'static OptionSpec, node: &Node) {
        match option.takes {
            Takes::Unused(Takes::Parameters, _) if matches!(node.kind, NodeKind::Map(_)) => {}
            Takes::Unused(takes @ Takes::Parameters, _) => {
                self.error(node.at, format!("`{}` is {}, and here is {}", option.name, takes.words(), node.word()));
            }
            Takes::Unused(takes, _) => drop(self.scalar(node, &OptionSpec { takes: *takes, ..*option })),
            _ => drop(self.text(node, option.name)),
        }
    }

    fn many(&mut self, spec: &'static Spec, node: &Node) -> Option<Given> {
        match &node.kind {
            NodeKind::List(nodes) => {
                Some(Given::Many(nodes.iter().filter_map(|node| self.element(spec, node)).collect()))
            }
            // One alone may stand without a list.
            NodeKind::Map(_) => self.element(spec, node).map(|element| Given::Many(vec![element])),
            NodeKind::Scalar(_) => {
                self.error(node.at, format!("`{}` is a list of maps, and here is {}", spec.name, node.word()));
                None
            }
        }
    }

    /// A text with its placeholders replaced; nothing if it is not there, or an optional one is not.
    pub(super) fn text(&mut self, node: &Node, name: &str) -> Option<String> {
        let Some(scalar) = node.scalar() else {
            self.error(node.at, format!("`{name}` is a text, and here is {}", node.word()));
            return None;
        };
        if node.is_null() {
            return None;
        }
        self.resolved(&scalar.text, node.at)
    }

    pub(super) fn resolved(&mut self, text: &str, at: Mark) -> Option<String> {
        match resolve(text, self.scope) {
            Ok(text) => text,
            Err(message) => {
                self.error(at, message);
                None
            }
        }
    }

    /// Whether a text still has placeholders, because a template is read without its parameters.
    pub(super) fn is_unresolved(&self, text: &str) -> bool {
        self.scope.is_open && text.contains("{{")
    }

    pub(super) fn flag(&mut self, node: &Node, name: &str) -> Option<bool> {
        let text = self.text(node, name)?;
        match text.trim() {
            "true" => Some(true),
            "false" => Some(false),
            text if self.is_unresolved(text) => None,
            text => {
                self.error(node.at, format!("`{name}` is `true` or `false`, and not `{text}`"));
                None
            }
        }
    }

    fn scalar(&mut self, node: &Node, option: &OptionSpec) -> Option<Given> {
        let text = self.text(node, option.name)?;
        let text = text.trim();
        if self.is_unresolved(text) {
            return None;
        }
        let found = read_scalar(text, &option.takes);
        if found.is_none() {
            self.error(node.at, format!("`{}` is {}, and not `{text}`", option.name, option.takes.words()));
        }
        found
    }

    fn texts(&mut self, node: &Node, name: &str) -> Option<Vec<String>> {
        match &node.kind {
            NodeKind::List(nodes) => Some(nodes.iter().filter_map(|node| self.text(node, name)).collect()),
            _ => self.text(node, name).map(|text| vec![text]),
        }
    }

    fn classes(&mut self, node: &Node, name: &str) -> Option<Given> {
        let nodes: Vec<&Node> = match &node.kind {
            NodeKind::List(nodes) => nodes.iter().collect(),
            _ => vec![node],
        };
        let mut classes = Vec::new();
        for node in nodes {
            let Some(text) = self.text(node, name) else { continue };
            match Class::find(text.trim()) {
                Some(class) => classes.push(class),
                None if self.is_unresolved(&text) => {}
                None => {
                    let message = class_unknown(text.trim());
                    self.error(node.at, message);
                }
            }
        }
        Some(Given::Classes(classes))
    }

    fn uri(&mut self, node: &Node, side: Side) -> Option<EndpointText> {
        let text = self.text(node, "uri")?;
        if self.is_unresolved(&text) {
            return None;
        }
        match parse_uri(&text, node.at) {
            Ok(uri) => {
                self.known_component(&uri, side);
                Some(uri)
            }
            Err(message) => {
                self.error(node.at, message);
                None
            }
        }
    }

    fn known_component(&mut self, uri: &EndpointText, side: Side) {
        if let Err(message) = self.components.check_scheme(&uri.scheme, side) {
            self.error(uri.at, message);
        }
    }

    /// An address with expressions in it: an expression, or an address if there are none.
    fn dynamic_uri(&mut self, node: &Node) -> Option<Given> {
        let scalar = node.scalar();
        if !scalar.is_some_and(|scalar| scalar.text.contains("${") || scalar.text.contains("$simple{")) {
            return self.uri(node, Side::To).map(Given::Uri);
        }
        let text = self.text(node, "uri")?;
        self.simple(&text, node).map(Given::Expression)
    }

    /// Puts `parameters` into the address beside them, and checks the whole.
    fn merge_parameters(&mut self, element: &mut Element, node: &Node) {
        let Some(side) = element.spec.options.iter().find_map(|option| match option.takes {
            Takes::Uri(side) => Some(side),
            Takes::DynamicUri | Takes::KameletName => Some(Side::To),
            _ => None,
        }) else {
            return;
        };
        let parameters = match node.get("parameters") {
            Some(node) => self.parameters(node),
            None => Vec::new(),
        };
        let mut uris = element.values.iter_mut().filter_map(|(_, _, given)| match given {
            Given::Uri(uri) => Some(uri),
            _ => None,
        });
        let Some(uri) = uris.next() else {
            if !parameters.is_empty()
                && element.values.iter().any(|(_, _, given)| matches!(given, Given::Expression(_)))
            {
                self.error(node.at, "write the options of an address with expressions into the address itself");
            }
            return;
        };
        let path_name = self.components.path_name(&uri.scheme);
        for (name, value) in parameters {
            if uri.path.is_empty() && path_name == Some(name.as_str()) {
                uri.path = value;
                continue;
            }
            match uri.options.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => uri.options.push((name, value)),
            }
        }
        if uri.scheme == "kamelet"
            && let Err(message) = self.kamelets.address(uri)
        {
            self.problems.error(self.file, uri.at, message);
        }
        let uri = uri.clone();
        for (severity_is_error, message) in self.components.check(&uri, side) {
            if severity_is_error {
                self.error(uri.at, message);
            } else {
                self.problems.note(self.file, uri.at, message);
            }
        }
    }

    /// A map of texts.
    pub(super) fn parameters(&mut self, node: &Node) -> Vec<(String, String)> {
        match &node.kind {
            _ if node.is_null() => Vec::new(),
            NodeKind::Map(entries) => entries
                .iter()
                .filter_map(|(name, node)| self.text(node, &name.text).map(|text| (name.text.clone(), text)))
                .collect(),
            _ => {
                self.error(node.at, format!("`parameters` is a map, and here is {}", node.word()));
                Vec::new()
            }
        }
    }

    fn check_missing(&mut self, element: &Element) {
        let spec = element.spec;
        for option in spec.options.iter().filter(|option| option.is_required) {
            let is_there = element.seen.contains(&option.name);
            if !is_there && !self.scope.is_open {
                let message = format!("`{}` needs `{}`: {}", spec.name, option.name, option.about);
                self.error(element.at, message);
            }
        }
        let is_missing = match spec.inline {
            Inline::Nothing | Inline::OptionalValue => None,
            Inline::Value | Inline::Condition | Inline::Loop => {
                Some("an expression, for example `simple: \"${body}\"`")
            }
            Inline::DataFormat => Some("a data format, for example `json: {}`"),
        };
        if let (Some(what), false) = (is_missing, element.seen.contains(&INLINE)) {
            self.error(element.at, format!("`{}` needs {what}", spec.name));
        }
    }
}

/// Reads a scalar that has a type.
pub fn read_scalar(text: &str, takes: &Takes) -> Option<Given> {
    match takes {
        Takes::Bool => text.parse().ok().map(Given::Bool),
        Takes::Integer(min, max) => {
            text.parse().ok().filter(|number| (min..=max).contains(&number)).map(Given::Integer)
        }
        Takes::Decimal => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Given::Decimal),
        Takes::Duration => duration_ms(text).map(Given::Duration),
        Takes::OneOf(words) => {
            words.iter().find(|word| word.eq_ignore_ascii_case(text)).map(|word| Given::Text((*word).to_owned()))
        }
        Takes::Kind => Kind::from_java_name(text).map(Given::Kind),
        _ => Some(Given::Text(text.to_owned())),
    }
}

/// A time as Camel writes it: `500`, `5s`, `1m30s`, `2h`, `1d`.
fn duration_ms(text: &str) -> Option<u64> {
    if let Ok(ms) = text.parse() {
        return Some(ms);
    }
    let mut total = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let unit = &after[..after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len())];
        let factor = match unit.trim() {
            "ms" | "millis" => 1,
            "s" | "sec" | "second" | "seconds" => 1_000,
            "m" | "min" | "minute" | "minutes" => 60_000,
            "h" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(factor)?)?;
        rest = &after[unit.len()..];
    }
    (!text.is_empty()).then_some(total)
}

/// What to say of a class that is not known.
pub(crate) fn class_unknown(name: &str) -> String {
    let simple = |name: &'static str| (name.rsplit('.').next().unwrap_or(name), name);
    let wanted = name.rsplit('.').next().unwrap_or(name);
    let all: Vec<_> = Class::all().iter().map(|class| simple(class.name)).collect();
    let near = nearest(wanted, all.iter().map(|(short, _)| *short));
    match near.and_then(|near| all.iter().find(|(short, _)| *short == near)) {
        Some((_, full)) => format!("unknown exception class `{name}`: did you mean `{full}`?"),
        None => format!("unknown exception class `{name}`: use one of the matrix, such as `java.lang.Exception`"),
    }
}

pub(super) fn is_language(name: &str) -> bool {
    name == "expression" || language::find(name).is_some() || known::instead(known::LANGUAGES, name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, ms) in [("5", 5), ("5s", 5_000), ("1m30s", 90_000), ("1h", 3_600_000), ("20ms", 20)] {
            assert_eq!(duration_ms(text), Some(ms), "{text}");
        }
        for text in ["", "s", "5x", "1.5s", "-1"] {
            assert_eq!(duration_ms(text), None, "{text}");
        }
    }
}
