//! In routes no step knows a component and no component a step: each is a file that can go without the other.

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{Path, UseTree};

use super::{File, Finding};

const RULE: &str = "strangers";

/// Files that must not know a module, but for some names in it.
struct Stranger {
    /// The module and the folder of its submodules, without an ending.
    place: &'static str,
    /// The module that it must not know.
    of: &'static str,
    /// What of that module it may know.
    open: &'static [&'static str],
    advice: &'static str,
}

const STRANGERS: &[Stranger] = &[
    Stranger {
        place: "libs/routes/src/steps",
        of: "components",
        // That something takes exchanges, and on which side of a route an address stands.
        open: &["Producer", "Side"],
        advice: "a step knows no component: ask for what takes exchanges by its address, with \
                 `Builder::producer` or `Core::producer`",
    },
    Stranger {
        place: "libs/routes/src/components",
        of: "steps",
        open: &[],
        advice: "a component knows no step: put what both need into libs/routes/src/run or exchange",
    },
];

/// Who has to be a stranger to a module does not name what is in it.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, stranger) in files.iter().filter_map(|file| Some((file, stranger(file)?))) {
        // A file that cannot be read is told of by the rule about sizes.
        let Some(parsed) = file.rust().and_then(|text| syn::parse_file(text).ok()) else { continue };
        let mut names = Names { stranger, lines: Vec::new() };
        names.visit_file(&parsed);
        findings.extend(names.lines.into_iter().map(|line| Finding::new(&file.path, line, RULE, stranger.advice)));
    }
    findings
}

fn stranger(file: &File) -> Option<&'static Stranger> {
    let is_in = |place: &str| file.path.strip_prefix(place).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'));
    STRANGERS.iter().find(|stranger| is_in(stranger.place))
}

struct Names {
    stranger: &'static Stranger,
    lines: Vec<usize>,
}

impl Names {
    /// Looks at a name with the modules before it.
    fn look(&mut self, names: &[(String, Span)]) {
        let Some(at) = names.iter().position(|(name, _)| name == self.stranger.of) else { return };
        let is_open = match names.get(at + 1) {
            Some((inner, _)) => self.stranger.open.contains(&inner.as_str()),
            // A name alone is a variable; behind a path it is the module.
            None => at == 0,
        };
        if !is_open {
            self.lines.push(names[at].1.start().line);
        }
    }

    fn look_at_use(&mut self, tree: &UseTree, before: &[(String, Span)]) {
        let with = |name: String, span: Span| [before, &[(name, span)]].concat();
        match tree {
            UseTree::Path(path) => {
                self.look_at_use(&path.tree, &with(path.ident.to_string(), path.ident.span()));
            }
            UseTree::Name(name) if name.ident == "self" => self.look(before),
            UseTree::Name(name) => self.look(&with(name.ident.to_string(), name.ident.span())),
            UseTree::Rename(name) => self.look(&with(name.ident.to_string(), name.ident.span())),
            UseTree::Glob(glob) => self.look(&with("*".to_owned(), glob.star_token.span)),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.look_at_use(tree, before)),
        }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.look_at_use(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let names: Vec<_> =
            path.segments.iter().map(|segment| (segment.ident.to_string(), segment.ident.span())).collect();
        self.look(&names);
        visit::visit_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&[File::new(path, text)]).into_iter().map(|finding| finding.line).collect()
    }

    const STEP: &str = "libs/routes/src/steps/to.rs";
    const COMPONENT: &str = "libs/routes/src/components/seda.rs";

    #[test]
    fn a_step_may_know_that_something_takes_exchanges() {
        let text = "use crate::components::{Producer, Side};\nfn f(p: &dyn crate::components::Producer) {}\n";
        assert_eq!(lines(STEP, text), [0; 0]);
        let text = "fn f(cx: &Cx) {\n    let components = &cx.core.components;\n    components.check(cx.steps);\n}\n";
        assert_eq!(lines(STEP, text), [0; 0]);
    }

    #[test]
    fn a_step_must_not_know_a_component() {
        for text in [
            "use crate::components::direct::Direct;",
            "use crate::components::{Producer, Component};",
            "use crate::components;",
            "use crate::components::{self};",
            "use crate::components as others;",
            "use crate::components::*;",
            "use crate::{components::Mocks, run::Cx};",
            "fn f() { crate::components::specs(); }",
            "fn f(mocks: &super::super::components::Mocks) {}",
        ] {
            assert_eq!(lines(STEP, text), [1], "{text}");
            assert_eq!(lines("libs/routes/src/steps.rs", text), [1], "{text}");
        }
    }

    #[test]
    fn a_component_must_not_know_a_step() {
        for text in ["use crate::steps::StepKind;", "use crate::steps;", "fn f() { crate::steps::find(\"to\"); }"] {
            assert_eq!(lines(COMPONENT, text), [1], "{text}");
            assert_eq!(lines("libs/routes/src/components.rs", text), [1], "{text}");
        }
        let text = "use crate::run::Step;\nfn f(steps: &[u8]) {\n    g(steps);\n}\n";
        assert_eq!(lines(COMPONENT, text), [0; 0]);
    }

    #[test]
    fn others_may_know_both() {
        let text = "use crate::components::specs;\nuse crate::steps::all;\n";
        for path in ["libs/routes/src/matrix.rs", "libs/routes/src/components_of.rs", "crates/a/src/steps/to.rs"] {
            assert_eq!(lines(path, text), [0; 0], "{path}");
        }
    }
}
