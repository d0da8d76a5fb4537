//! Expressions in route files: which language, which text, which options; and compiling them.

use crate::exchange::{Kind, Text};
use crate::language::{self, Language, OptionValues, Source};
use crate::parse::{Mark, Name, Node, NodeKind};

use super::element::Compiled;
use super::known;
use super::reader::{Checker, is_language};
use super::suggest::unknown;

impl Checker<'_> {
    /// An expression that is the value of an option: a map with one language, or with `expression`.
    pub(super) fn expression(&mut self, node: &Node, is_condition: bool) -> Option<Compiled> {
        let NodeKind::Map(entries) = &node.kind else {
            let message =
                format!("an expression is a map such as `simple: \"${{body}}\"`, and here is {}", node.word());
            self.error(node.at, message);
            return None;
        };
        let mut found = None;
        let mut first: Option<&str> = None;
        for (name, value) in entries {
            if is_language(&name.text) {
                if let Some(first) = first {
                    let message = format!(
                        "there is an expression in `{first}` already, and here is `{}`: leave one out",
                        name.text
                    );
                    self.error(name.at, message);
                }
                first = first.or(Some(&name.text));
                found = self.inline_expression(name, value, is_condition).or(found);
            } else if name.text != "id" {
                let message = unknown_language(&name.text);
                self.error(name.at, message);
            }
        }
        if entries.is_empty() {
            self.error(node.at, "an expression is missing here");
        }
        found
    }

    /// What stands behind the name of a language, or behind `expression`.
    pub(super) fn inline_expression(&mut self, name: &Name, node: &Node, is_condition: bool) -> Option<Compiled> {
        if name.text == "expression" {
            return self.expression(node, is_condition);
        }
        let Some(language) = language::find(&name.text) else {
            let message = unknown_language(&name.text);
            self.error(name.at, message);
            return None;
        };
        let (text_node, options) = match &node.kind {
            NodeKind::Map(entries) => self.language_options(language, name.at, entries)?,
            _ => (node, Vec::new()),
        };
        self.compile(language, text_node, &options, is_condition)
    }

    /// Text in the simple language, where an option takes it without naming it.
    pub(super) fn simple(&mut self, text: &str, node: &Node) -> Option<Compiled> {
        let Some(simple) = language::find("simple") else {
            self.error(node.at, "the language `simple` is not there");
            return None;
        };
        self.compile_text(simple, text, node, &[], false)
    }

    fn language_options<'n>(
        &mut self,
        language: &'static dyn Language,
        at: Mark,
        entries: &'n [(Name, Node)],
    ) -> Option<(&'n Node, Vec<(&'static str, Text)>)> {
        let mut text_node = None;
        let mut options = Vec::new();
        for (name, node) in entries {
            match name.text.as_str() {
                "expression" if language.name() != "tokenize" => text_node = Some(node),
                "token" if language.name() == "tokenize" => text_node = Some(node),
                "id" => drop(self.text(node, "id")),
                "trim" => options.extend(self.flag(node, "trim").map(|on| ("trim", Text::from(on.to_string())))),
                _ => options.extend(self.language_option(language, name, node)),
            }
        }
        if text_node.is_none() {
            let needed = if language.name() == "tokenize" { "token" } else { "expression" };
            self.error(at, format!("`{}` needs `{needed}`", language.name()));
        }
        text_node.map(|node| (node, options))
    }

    fn language_option(
        &mut self,
        language: &'static dyn Language,
        name: &Name,
        node: &Node,
    ) -> Option<(&'static str, Text)> {
        let Some(option) = language.options().iter().find(|option| option.name == name.text) else {
            let mut names: Vec<_> = language.options().iter().map(|option| option.name).collect();
            names.extend(if language.name() == "tokenize" { &["trim"][..] } else { &["expression", "trim"] });
            let message = unknown(&format!("option of `{}`:", language.name()), &name.text, &names);
            self.error(name.at, message);
            return None;
        };
        if let OptionValues::Meaningless(reason) = option.values {
            let message = format!("`{}` of `{}` has no effect here: {reason}", option.name, language.name());
            self.problems.note(self.file, name.at, message);
            return None;
        }
        if let OptionValues::Refused(instead) = option.values {
            self.error(name.at, format!("`{}` of `{}` is not supported: {instead}", option.name, language.name()));
            return None;
        }
        let text = self.text(node, option.name)?;
        let wrong = match option.values {
            OptionValues::Text | OptionValues::Meaningless(_) | OptionValues::Refused(_) => None,
            OptionValues::Bool => (!matches!(text.as_str(), "true" | "false")).then(|| "`true` or `false`".to_owned()),
            OptionValues::Integer => text.parse::<i64>().is_err().then(|| "a whole number".to_owned()),
            OptionValues::Kind => Kind::from_java_name(&text).is_none().then(|| "a type such as `String`".to_owned()),
            OptionValues::OneOf(words) => {
                (!words.contains(&text.as_str())).then(|| format!("one of {}", words.join(", ")))
            }
        };
        if let Some(wanted) = wrong.filter(|_| !self.is_unresolved(&text)) {
            self.error(node.at, format!("`{}` is {wanted}, and not `{text}`", option.name));
            return None;
        }
        Some((option.name, Text::from(text)))
    }

    fn compile(
        &mut self,
        language: &'static dyn Language,
        node: &Node,
        options: &[(&'static str, Text)],
        is_condition: bool,
    ) -> Option<Compiled> {
        let Some(scalar) = node.scalar() else {
            self.error(node.at, format!("`{}` takes a text, and here is {}", language.name(), node.word()));
            return None;
        };
        let text = self.resolved(&scalar.text, node.at)?;
        self.compile_text(language, &text, node, options, is_condition)
    }

    fn compile_text(
        &mut self,
        language: &'static dyn Language,
        whole: &str,
        node: &Node,
        options: &[(&'static str, Text)],
        is_condition: bool,
    ) -> Option<Compiled> {
        let is_trimmed =
            language.name() != "tokenize" && !options.iter().any(|(name, value)| *name == "trim" && *value == "false");
        let text = if is_trimmed { whole.trim() } else { whole };
        let source = Source { text, options, surroundings: self.surroundings };
        let compiled = if is_condition {
            language.predicate(&source).map(Compiled::Condition)
        } else {
            language.expression(&source).map(Compiled::Value)
        };
        match compiled {
            Ok(compiled) => Some(compiled),
            Err(_) if self.is_unresolved(whole) => None,
            Err(error) => {
                // Where placeholders were replaced, places in the text are no places in the file.
                let is_original = node.scalar().is_some_and(|scalar| scalar.text == whole);
                let skipped = if is_trimmed { whole.len() - whole.trim_start().len() } else { 0 };
                for error in error.all() {
                    let range = error.range.start + skipped..error.range.end + skipped;
                    let at = if is_original { node.mark_of(&range) } else { node.at };
                    self.error(at, format!("{}: {}", language.name(), error.reason));
                }
                None
            }
        }
    }
}

fn unknown_language(name: &str) -> String {
    match known::instead(known::LANGUAGES, name) {
        Some(instead) => format!("language `{name}` is not supported: {instead}"),
        None => {
            let names: Vec<_> = language::all().iter().map(|language| language.name()).collect();
            unknown("language", name, &names)
        }
    }
}
