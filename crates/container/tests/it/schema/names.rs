//! The names of the schema beside those of our tables: what Camel has we have or refuse by its name, and what we have
//! Camel has.

use std::collections::{BTreeMap, BTreeSet};

use routes::check::{self, Inline, Spec, Takes, Unsupported};
use routes::language::Language;
use routes::{data_formats, language, steps};
use serde_json::Value as Json;

use super::judge::Judge;

/// Compares everything; each finding is a line.
pub(super) fn differences(judge: &Judge) -> Vec<String> {
    let mut names = Names { judge, found: Vec::new(), done: BTreeSet::new() };
    let top = properties(judge, &judge.schema["items"]);
    names.table("entry", top, check::top_level_specs().iter().copied(), check::TOP_LEVEL);
    let steps = properties(judge, judge.definition("org.apache.camel.model.ProcessorDefinition"));
    names.table("step", steps, steps::all().iter().map(|kind| &kind.spec), check::STEPS);
    let mut formats = properties(judge, judge.definition("org.apache.camel.model.MarshalDefinition"));
    formats.retain(|name, _| !OF_MARSHAL.contains(name));
    names.table("data format", formats, data_formats::all().iter().map(|kind| &kind.spec), check::DATA_FORMATS);
    names.languages();
    names.found
}

/// What `marshal` has beside its data format.
const OF_MARSHAL: [&str; 6] = ["id", "description", "note", "disabled", "variableSend", "variableReceive"];

/// Names that every element has.
const ALWAYS: [&str; 4] = ["id", "description", "note", "disabled"];

impl Judge {
    fn definition(&self, name: &str) -> &Json {
        &self.schema["items"]["definitions"][name]
    }
}

/// The names that an element may have, with what stands behind them; of all of its forms.
fn properties<'j>(judge: &'j Judge, part: &'j Json) -> BTreeMap<&'j str, &'j Json> {
    let part = judge.resolved(part);
    let mut found: BTreeMap<_, _> =
        part["properties"].as_object().into_iter().flatten().map(|(name, part)| (name.as_str(), part)).collect();
    for form in ["oneOf", "anyOf", "allOf"].iter().flat_map(|forms| part[*forms].as_array().into_iter().flatten()) {
        for (name, part) in properties(judge, form) {
            let known = found.entry(name).or_insert(part);
            // One of the forms may only name it.
            if known.as_object().is_some_and(serde_json::Map::is_empty) {
                *known = part;
            }
        }
    }
    found
}

struct Names<'j> {
    judge: &'j Judge,
    found: Vec<String>,
    /// Specs that were compared already.
    done: BTreeSet<String>,
}

impl<'j> Names<'j> {
    fn table(
        &mut self,
        what: &str,
        theirs: BTreeMap<&'j str, &'j Json>,
        specs: impl Iterator<Item = &'static Spec>,
        refused: &[Unsupported],
    ) {
        let ours: BTreeMap<&str, &'static Spec> = specs.map(|spec| (spec.name, spec)).collect();
        for name in theirs.keys() {
            if !ours.contains_key(name) && !refused.iter().any(|(known, _)| known == name) {
                self.found.push(format!("{what} `{name}` is in the schema, and here it is neither known nor refused"));
            }
        }
        for (name, spec) in ours {
            match theirs.get(name) {
                Some(part) => self.element(name, spec, part),
                None => self.found.push(format!("{what} `{name}` is not in the schema")),
            }
        }
    }

    /// The options of one element.
    fn element(&mut self, place: &str, spec: &'static Spec, part: &'j Json) {
        if !self.done.insert(place.to_owned()) {
            return;
        }
        let part = self.judge.resolved(part);
        let part = if part["type"] == "array" { self.judge.resolved(&part["items"]) } else { part };
        let theirs = properties(self.judge, part);
        for name in theirs.keys() {
            if !is_known(spec, name) {
                self.found
                    .push(format!("`{name}` of `{place}` is in the schema, and here it is neither known nor refused"));
            }
        }
        for option in spec.options {
            match (theirs.get(option.name), option.takes) {
                (None, Takes::Refused(_) | Takes::Meaningless(_) | Takes::Unused(..)) => {}
                (None, _) => self.found.push(format!("`{}` of `{place}` is not in the schema", option.name)),
                (Some(part), Takes::One(inner) | Takes::Many(inner)) => {
                    self.element(&format!("{place}/{}", option.name), inner, part);
                }
                (Some(part), Takes::Meaningless(_)) if part["type"] != "string" || part.get("enum").is_some() => {
                    self.found.push(format!("`{}` of `{place}` is more than a text for the schema", option.name));
                }
                (Some(_), _) => {}
            }
        }
        self.texts(place, spec, part);
    }

    /// Whether a text alone is enough, and what has to be there.
    fn texts(&mut self, place: &str, spec: &Spec, part: &Json) {
        let forms = || part["oneOf"].as_array().into_iter().flatten();
        let takes_text = part["type"] == "string" || forms().any(|form| form["type"] == "string");
        if takes_text != spec.scalar.is_some() {
            let (yes, no) = if takes_text { ("the schema", "here") } else { ("here", "the schema") };
            self.found.push(format!("`{place}` may be a text alone for {yes}, and not {no}"));
        }
        let required =
            part["required"].as_array().into_iter().chain(forms().filter_map(|form| form["required"].as_array()));
        let required: BTreeSet<&str> = required.flatten().filter_map(Json::as_str).collect();
        for option in spec.options.iter().filter(|option| !option.is_required) {
            let is_refused = matches!(option.takes, Takes::Refused(_));
            if required.contains(option.name) && !is_refused {
                self.found.push(format!("`{}` of `{place}` must be there for the schema", option.name));
            }
        }
    }

    fn languages(&mut self) {
        let theirs =
            properties(self.judge, self.judge.definition("org.apache.camel.model.language.ExpressionDefinition"));
        let ours: BTreeMap<&str, &'static dyn Language> =
            language::all().iter().map(|language| (language.name(), *language)).collect();
        for name in theirs.keys() {
            if !ours.contains_key(name) && !check::LANGUAGES.iter().any(|(known, _)| known == name) {
                self.found
                    .push(format!("language `{name}` is in the schema, and here it is neither known nor refused"));
            }
        }
        for (name, language) in ours {
            let Some(part) = theirs.get(name) else {
                self.found.push(format!("language `{name}` is not in the schema"));
                continue;
            };
            let theirs = properties(self.judge, part);
            // Its text is the token.
            let text = if name == "tokenize" { "token" } else { "expression" };
            let ours: BTreeSet<&str> =
                language.options().iter().map(|option| option.name).chain(["id", "trim", text]).collect();
            for option in theirs.keys().filter(|option| !ours.contains(*option)) {
                self.found.push(format!("`{option}` of language `{name}` is in the schema, and here it is not known"));
            }
            for option in ours.iter().filter(|option| !theirs.contains_key(*option)) {
                self.found.push(format!("`{option}` of language `{name}` is not in the schema"));
            }
        }
    }
}

/// Whether an element says something of a name: an option, taken or refused, or what may stand inline in it.
fn is_known(spec: &Spec, name: &str) -> bool {
    let is_language = || {
        let is_refused = check::LANGUAGES.iter().any(|(known, _)| *known == name);
        name == "expression" || language::find(name).is_some() || is_refused
    };
    let is_inline = match spec.inline {
        Inline::Nothing => false,
        Inline::DataFormat => {
            data_formats::find(name).is_some() || check::DATA_FORMATS.iter().any(|(known, _)| *known == name)
        }
        _ => is_language(),
    };
    ALWAYS.contains(&name) || spec.option(name).is_some() || is_inline
}
