//! How long things may be: what does not fit on a few screens is not one thing.

use proc_macro2::Span;
use syn::visit::{self, Visit};

use super::direction::Crate;
use super::{File, Finding};

const RULE: &str = "size";

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
const CRATE_LINES_MIN: usize = 300;
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Crates that may be small: the binary only composes.
const SMALL_CRATES: &[&str] = &["techleet"];

/// No Rust file is over 800 lines.
pub(super) fn check_files(files: &[File]) -> Vec<Finding> {
    let too_long = |file: &File| {
        let lines = file.rust()?.lines().count();
        (lines > FILE_LINES_MAX).then(|| {
            let advice = format!("{lines} lines, {FILE_LINES_MAX} are allowed: split the file by what it does");
            Finding::new(&file.path, FILE_LINES_MAX + 1, RULE, advice)
        })
    };
    files.iter().filter_map(too_long).collect()
}

/// No function is over 70 lines, from its `fn` to its last brace, in tests too.
pub(super) fn check_functions(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let Some(text) = file.rust() else { continue };
        match syn::parse_file(text) {
            Ok(parsed) => {
                let mut functions = Functions { path: &file.path, findings: &mut findings };
                functions.visit_file(&parsed);
            }
            Err(error) => findings.push(Finding::new(
                &file.path,
                error.span().start().line,
                RULE,
                format!("this is not Rust that can be read: {error}"),
            )),
        }
    }
    findings
}

/// No crate is under 300 lines: a folder of the crate it belongs to would do.
pub(super) fn check_crates(crates: &[Crate], files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for krate in crates {
        let is_part = ["libs/", "crates/"].iter().any(|folder| krate.folder.starts_with(folder));
        if !is_part || krate.is_proc_macro || SMALL_CRATES.contains(&krate.name.as_str()) {
            continue;
        }
        let folder = format!("{}/", krate.folder);
        let lines: usize = files
            .iter()
            .filter(|file| file.path.starts_with(&folder))
            .filter_map(|file| Some(file.rust()?.lines().count()))
            .sum();
        if lines < CRATE_LINES_MIN {
            findings.push(Finding::new(
                &format!("{folder}Cargo.toml"),
                1,
                RULE,
                format!(
                    "the crate `{}` has {lines} lines, under {CRATE_LINES_MIN}: make it a module of \
                     the crate that uses it",
                    krate.name
                ),
            ));
        }
    }
    findings
}

/// No file of any kind is over 1 MiB.
pub(super) fn check_bytes(files: &[File]) -> Vec<Finding> {
    files
        .iter()
        .filter(|file| file.bytes > FILE_BYTES_MAX)
        .map(|file| {
            let advice = format!(
                "{} bytes, {FILE_BYTES_MAX} are allowed: generate it in the test or the build that \
                 needs it",
                file.bytes
            );
            Finding::new(&file.path, 1, RULE, advice)
        })
        .collect()
}

struct Functions<'a> {
    path: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl Functions<'_> {
    fn measure(&mut self, sig: &syn::Signature, block: &syn::Block) {
        let first = first_span(sig).start().line;
        let last = block.brace_token.span.close().end().line;
        let lines = last + 1 - first;
        if lines > FUNCTION_LINES_MAX {
            let advice =
                format!("`{}` has {lines} lines, {FUNCTION_LINES_MAX} are allowed: give its steps names", sig.ident);
            self.findings.push(Finding::new(self.path, first, RULE, advice));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.measure(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

fn first_span(sig: &syn::Signature) -> Span {
    sig.asyncness.map_or(sig.fn_token.span, |asyncness| asyncness.span)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> String {
        "//\n".repeat(count)
    }

    #[test]
    fn a_file_of_800_lines_passes_and_one_more_fails() {
        assert!(check_files(&[File::new("a.rs", lines(800))]).is_empty());
        let findings = check_files(&[File::new("a.rs", lines(801))]);
        assert_eq!((findings.len(), findings[0].line), (1, 801));
        assert!(check_files(&[File::new("a.md", lines(801))]).is_empty());
    }

    #[test]
    fn a_function_of_70_lines_passes_and_one_more_fails() {
        let with_body = |count| format!("mod m {{\n fn f() {{\n{}}}\n}}\n", lines(count));
        assert!(check_functions(&[File::new("a.rs", with_body(68))]).is_empty());
        let findings = check_functions(&[File::new("a.rs", with_body(69))]);
        assert_eq!((findings.len(), findings[0].line), (1, 2));
        assert!(findings[0].advice.contains("`f` has 71 lines"));
    }

    #[test]
    fn methods_and_default_methods_of_traits_are_measured() {
        let body = lines(69);
        let source = format!("impl A {{ async\nfn f() {{\n{body}}} }}\ntrait B {{ fn g(); fn h() {{\n{body}}} }}\n");
        assert_eq!(check_functions(&[File::new("a.rs", source)]).len(), 2);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_said() {
        let findings = check_functions(&[File::new("a.rs", "\nfn (")]);
        assert!(findings[0].advice.contains("not Rust"));
    }

    #[test]
    fn a_small_crate_fails_unless_it_only_composes_or_is_a_macro() {
        let krate = |name: &str, is_proc_macro| Crate {
            name: name.to_owned(),
            folder: format!("libs/{name}"),
            is_proc_macro,
            dependencies: Vec::new(),
        };
        let crates = [krate("a", false), krate("b", true), krate("techleet", false)];
        let small = [File::new("libs/a/src/lib.rs", lines(299))];
        let findings = check_crates(&crates, &small);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].path, "libs/a/Cargo.toml");
        let enough = [File::new("libs/a/src/lib.rs", lines(299)), File::new("libs/a/tests/it/main.rs", lines(1))];
        assert!(check_crates(&crates, &enough).is_empty());
    }

    #[test]
    fn a_file_over_a_mebibyte_fails() {
        assert!(check_bytes(&[File::new("a.bin", vec![0; 1024 * 1024])]).is_empty());
        assert_eq!(check_bytes(&[File::new("a.bin", vec![0; 1024 * 1024 + 1])]).len(), 1);
    }
}
