//! Our reader beside Camel's own JSON schema: what we take it takes, what it refuses we refuse, and what it takes and we
//! refuse is something that the matrix names.

mod judge;
mod names;
mod spoil;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use judge::Judge;
use routes::components::{Answers, StandIn};
use routes::parse::{self, Problems, Severity};
use routes::{Engine, Setup};
use serde_json::Value as Json;

/// What our reader takes and the schema does not, and why that is right.
const TAKEN: &[(&str, &str)] = &[];

/// A file of the corpus.
struct File {
    /// Where it stands.
    name: String,
    text: String,
    /// The values of its placeholders.
    properties: Vec<(String, String)>,
    /// Whether Camel refuses it as well, for what no schema can say.
    is_refused: bool,
}

impl File {
    fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), properties: Vec::new(), is_refused: false }
    }
}

#[test]
fn every_name_of_the_schema_is_known_or_refused_and_no_other_is_taken() {
    let Some(judge) = Judge::start() else { return };
    let found = names::differences(&judge);
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

#[test]
fn reader_and_schema_agree_on_the_files_of_the_project() {
    let Some(mut judge) = Judge::start() else { return };
    let files = corpus();
    assert!(files.len() > 130, "only {} files", files.len());
    let found: Vec<String> = files.iter().filter_map(|file| difference(&mut judge, file)).collect();
    assert!(found.is_empty(), "{} of {} files:\n{}", found.len(), files.len(), found.join("\n"));
}

#[test]
fn the_files_that_are_there_for_this_are_judged_as_they_are_meant() {
    let Some(mut judge) = Judge::start() else { return };
    for (name, theirs, ours) in
        [("wrong.yaml", false, false), ("unsupported.yaml", true, false), ("forms.yaml", true, true)]
    {
        for file in corpus().iter().filter(|file| file.name.starts_with(name)) {
            let (refused, refusals) = (judge.refusal(&file.text), refusals(file));
            assert_eq!(
                (refused.is_none(), refusals.is_empty()),
                (theirs, ours),
                "{}: {refused:?}, {refusals:?}",
                file.name
            );
        }
    }
}

#[test]
fn what_the_schema_refuses_is_refused() {
    let Some(mut judge) = Judge::start() else { return };
    let (mut known, mut found, mut refused) = (HashSet::new(), Vec::new(), 0);
    for file in corpus() {
        let mut problems = Problems::default();
        let Some(root) = parse::read(&Arc::from("a.yaml"), &file.text, &mut problems) else { continue };
        for spoiled in spoil::spoil(&root, &mut known) {
            let Some(theirs) = judge.refusal(&spoiled.text) else { continue };
            refused += 1;
            if refusals(&File { text: spoiled.text, ..File { name: file.name.clone(), ..copy(&file) } }).is_empty() {
                found.push(format!("{}: {}\n    the schema: {theirs}", file.name, spoiled.what));
            }
        }
    }
    assert!(refused > 1_000, "only {refused} files are refused");
    assert!(found.is_empty(), "{} of {refused} files are taken:\n{}", found.len(), found.join("\n"));
}

fn copy(file: &File) -> File {
    File { name: file.name.clone(), text: file.text.clone(), properties: file.properties.clone(), ..*file }
}

/// How reader and schema differ over a file.
fn difference(judge: &mut Judge, file: &File) -> Option<String> {
    let (ours, theirs) = (refusals(file), judge.refusal(&file.text));
    let is_known = |name: &&str| file.name.ends_with(name);
    match (ours.is_empty(), theirs) {
        (true, Some(theirs)) if !TAKEN.iter().any(|(name, _)| is_known(name)) => {
            Some(format!("{}: we take it, and the schema does not: {theirs}", file.name))
        }
        (false, None) if !file.is_refused => {
            let page = routes::matrix::page();
            let unnamed: Vec<_> = ours.iter().filter(|refusal| !names_what_is_missing(refusal, &page)).collect();
            (!unnamed.is_empty()).then(|| format!("{}: the schema takes it, and we do not: {unnamed:#?}", file.name))
        }
        _ => None,
    }
}

/// Whether a refusal is about something of Camel's that the matrix has as not supported.
fn names_what_is_missing(refusal: &str, page: &str) -> bool {
    let Some((before, _)) = refusal.split_once(" is not supported") else { return false };
    let name = before.split('`').nth(1).unwrap_or_default();
    page.contains(&format!("| `{name}` |"))
}

/// Why our reader refuses a file.
fn refusals(file: &File) -> Vec<String> {
    let components = StandIn::all(container::component_specs(), &Answers::default());
    let properties = file.properties.iter().cloned().collect();
    let engine = Engine::new(Setup { components, properties, names_by_file: true, ..Setup::default() });
    match engine.load(&[(file.name.clone(), file.text.clone())]) {
        Ok(_) => Vec::new(),
        Err(problems) => {
            let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
            errors.map(ToString::to_string).collect()
        }
    }
}

/// Every route file and every piece of one that the project has, and files that are there for this alone.
fn corpus() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = cases(&root.join("libs/routes/tests/cases"));
    files.extend(cases(&root.join("examples/routes")));
    for path in [&root.join("deploy/routes"), &root.join("bench/routes")].into_iter().flat_map(|folder| inside(folder))
    {
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(File::new(path.display().to_string(), read(&path)));
        }
    }
    for path in inside(&root.join("docs/guide")) {
        let page = read(&path);
        files.extend(snippets(&page).map(|text| File::new(path.display().to_string(), text)));
    }
    for (name, text) in [
        ("wrong.yaml", include_str!("schema/wrong.yaml")),
        ("unsupported.yaml", include_str!("schema/unsupported.yaml")),
        ("forms.yaml", include_str!("schema/forms.yaml")),
    ] {
        files.extend(
            text.split("\n---\n").enumerate().map(|(number, text)| File::new(format!("{name} {number}"), text)),
        );
    }
    files
}

fn cases(folder: &Path) -> Vec<File> {
    let cases = inside(folder).into_iter().map(|case| {
        let json = |name: &str| -> Json { serde_json::from_str(&read(&case.join(name))).unwrap() };
        let (input, expected) = (json("input.json"), json("expected.json"));
        let properties = input["properties"].as_object().into_iter().flatten();
        let text = |json: &Json| json.as_str().map_or_else(|| json.to_string(), str::to_owned);
        File {
            name: case.display().to_string(),
            text: read(&case.join("route.yaml")),
            properties: properties.map(|(name, value)| (name.clone(), text(value))).collect(),
            is_refused: expected["loadError"] == true,
        }
    });
    cases.collect()
}

/// The pieces of a page that are routes.
fn snippets(page: &str) -> impl Iterator<Item = &str> {
    let pieces = page.split("```yaml\n").skip(1).filter_map(|piece| piece.split("```").next());
    pieces.filter(|piece| piece.lines().any(|line| line.starts_with("- ")))
}

fn inside(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
