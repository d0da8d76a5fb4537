//! How a file looks: where it starts, how it ends, and what of one's own machine is left in it.

use super::{File, Finding};

/// Every Rust file starts by saying why it exists.
pub(super) fn check_header(files: &[File]) -> Vec<Finding> {
    let without = |file: &File| {
        let text = file.rust()?;
        let start = match file.is_under("tests") && file.name() != "main.rs" {
            true => "//",
            false => "//!",
        };
        (!text.starts_with(start)).then(|| {
            let advice = format!("start the file with a `{start}` line that says why it exists");
            Finding::new(&file.path, 1, "header", advice)
        })
    };
    files.iter().filter_map(without).collect()
}

/// A module is a file with its name.
pub(super) fn check_module_files(files: &[File]) -> Vec<Finding> {
    files
        .iter()
        .filter(|file| file.name() == "mod.rs")
        .map(|file| {
            let folder = file.path.trim_end_matches("/mod.rs");
            let advice = format!("call it {folder}.rs");
            Finding::new(&file.path, 1, "module file", advice)
        })
        .collect()
}

/// No tabs, no spaces at the end of a line, one newline at the end of the file, no merge markers.
pub(super) fn check_whitespace(files: &[File]) -> Vec<Finding> {
    const RULE: &str = "whitespace";
    let mut findings = Vec::new();
    for file in files {
        let Some(text) = file.text.as_deref() else {
            continue;
        };
        // What a test compares byte by byte is as its writer made it.
        let is_recorded = ["snap", "stderr", "golden"].iter().any(|extension| file.has_extension(extension));
        let may_have_tabs = matches!(file.name(), "Makefile" | "go.mod")
            || ["tsv", "go"].iter().any(|extension| file.has_extension(extension));
        for (index, line) in text.split('\n').enumerate() {
            let mut found = |advice| findings.push(Finding::new(&file.path, index + 1, RULE, advice));
            let line = match file.has_extension("bat") {
                true => line.trim_end_matches('\r'),
                false => line,
            };
            if is_merge_marker(line) {
                found("finish the merge: choose one side and remove the marker");
            }
            if is_recorded {
                continue;
            }
            if line.contains('\t') && !may_have_tabs {
                found("write spaces instead of the tab");
            }
            if line.ends_with([' ', '\t', '\r']) {
                found("remove what stands unseen at the end of the line");
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            let last = text.lines().count();
            findings.push(Finding::new(&file.path, last, RULE, "end the file with a newline"));
        }
    }
    findings
}

fn is_merge_marker(line: &str) -> bool {
    ["<<<<<<< ", ">>>>>>> ", "||||||| "].iter().any(|marker| line.starts_with(marker))
}

/// Folders that are on one machine and not on another.
const MACHINE_FOLDERS: [&str; 3] = [concat!("/", "work", "/"), concat!("/", "root", "/"), concat!("/", "home", "/")];

/// No file names a folder of the machine it was written on.
pub(super) fn check_machine_paths(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let lines = file.text.iter().flat_map(|text| text.lines());
        for (index, line) in lines.enumerate() {
            let Some(folder) = MACHINE_FOLDERS.iter().find(|folder| starts_path(line, folder)) else {
                continue;
            };
            let advice = format!(
                "`{folder}` is a place on one machine: use a path from the root of the repository, \
                 $HOME or a temporary folder"
            );
            findings.push(Finding::new(&file.path, index + 1, "machine path", advice));
        }
    }
    findings
}

/// Whether a path in the line starts with the folder; in the middle of one it is someone else's.
fn starts_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        !before.is_some_and(|char| char.is_alphanumeric() || "._-~}/*".contains(char))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> [File; 1] {
        [File::new(path, text)]
    }

    #[test]
    fn a_rust_file_says_why_it_exists() {
        let plain = "// A helper.\n";
        assert!(check_header(&file("libs/a/src/lib.rs", "//! Why.\n")).is_empty());
        assert_eq!(check_header(&file("libs/a/src/lib.rs", plain)).len(), 1);
        assert_eq!(check_header(&file("libs/a/tests/it/main.rs", plain)).len(), 1);
        assert!(check_header(&file("libs/a/tests/it/b.rs", plain)).is_empty());
        assert_eq!(check_header(&file("libs/a/tests/it/b.rs", "fn f() {}")).len(), 1);
        assert!(check_header(&file("libs/a/tests/ui/b.rs", "fn f() {}")).is_empty());
    }

    #[test]
    fn a_module_file_has_the_modules_name() {
        let findings = check_module_files(&file("libs/a/src/store/mod.rs", ""));
        assert_eq!(findings[0].advice, "call it libs/a/src/store.rs");
        assert!(check_module_files(&file("libs/a/src/store.rs", "")).is_empty());
    }

    #[test]
    fn unseen_characters_are_found() {
        let lines = |path: &str, text: &str| -> Vec<usize> {
            check_whitespace(&file(path, text)).iter().map(|finding| finding.line).collect()
        };
        assert_eq!(lines("a.rs", "a\n\nb\n"), [0; 0]);
        assert_eq!(lines("a.rs", ""), [0; 0]);
        assert_eq!(lines("a.rs", "a \nb\r\nc\td\ne"), [1, 2, 3, 4]);
        assert_eq!(lines("a.bat", "a\r\nb\r\n"), [0; 0]);
        assert_eq!(lines("Makefile", "a:\n\tb\n"), [0; 0]);
        assert_eq!(lines("a.go", "\ta\n"), [0; 0]);
        assert_eq!(lines("a.snap", "a \n"), [0; 0]);
    }

    #[test]
    fn an_unfinished_merge_is_found() {
        let unfinished = ["<<<<<<<", ">>>>>>>"].map(|marker| format!("{marker} HEAD\n"));
        assert_eq!(check_whitespace(&file("a.snap", &unfinished.concat())).len(), 2);
        assert!(check_whitespace(&file("a.md", "Title\n=======\n")).is_empty());
    }

    #[test]
    fn folders_of_one_machine_are_found() {
        let [work, root, home] = MACHINE_FOLDERS;
        let lines = format!("cd {work}main\nlet p = \"{root}a\";\n{home}an/x\n");
        assert_eq!(check_machine_paths(&file("a.sh", &lines)).len(), 3);
        let fine = format!("https://example.org{home}page ./a{work}b $X{root}c ${{A}}{home}b\n");
        assert_eq!(check_machine_paths(&file("a.md", &fine)), []);
    }
}
