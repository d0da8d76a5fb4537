//! Files that are made from other files are as their maker would make them now.

use std::path::Path;

use anyhow::Context as _;

use super::Finding;

/// A committed file and what makes it.
pub(super) struct Generated {
    /// From the root of the repository.
    pub(super) path: &'static str,
    /// Gets the root of the repository and returns the whole text of the file.
    pub(super) generate: fn(&Path) -> anyhow::Result<String>,
}

/// Every generated file of the repository.
pub(super) const GENERATED: &[Generated] = &[ASYNCAPI];

/// The description of every topic and event.
pub(super) const ASYNCAPI: Generated =
    Generated { path: "docs/asyncapi.json", generate: |_| Ok(format!("{:#}\n", contracts::asyncapi::document())) };

/// Compares every file with what its generator makes now, or writes it.
pub(super) fn check(table: &[Generated], root: &Path, write: bool) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for Generated { path, generate } in table {
        let text = generate(root).with_context(|| format!("cannot generate {path}"))?;
        let full = root.join(path);
        // A file that is missing is as stale as one with other text.
        let is_fresh = std::fs::read_to_string(&full).is_ok_and(|found| found == text);
        if is_fresh {
            continue;
        }
        if write {
            std::fs::write(&full, text).with_context(|| format!("cannot write {path}"))?;
        } else {
            let advice = "it is generated and stale: run `cargo xtask tidy --write`";
            findings.push(Finding::new(path, 1, "generated", advice));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Generated] = &[Generated {
        path: "list.txt",
        generate: |root| {
            let count = std::fs::read_dir(root.join("in"))?.count();
            Ok(format!("{count} files\n"))
        },
    }];

    #[test]
    fn a_stale_file_is_found_and_written_anew() {
        let root = tempfile::tempdir().unwrap();
        let source = root.path().join("in");
        std::fs::create_dir(&source).unwrap();
        let findings = || check(TABLE, root.path(), false).unwrap();

        assert_eq!(findings().len(), 1, "a missing file is stale");
        assert_eq!(check(TABLE, root.path(), true).unwrap(), []);
        assert_eq!(findings(), []);

        std::fs::write(source.join("new"), "").unwrap();
        assert_eq!(findings().len(), 1);
        assert!(findings()[0].advice.contains("--write"));
        check(TABLE, root.path(), true).unwrap();
        let text = std::fs::read_to_string(root.path().join("list.txt")).unwrap();
        assert_eq!(text, "1 files\n");
    }

    #[test]
    fn a_generator_that_fails_is_named() {
        let error = check(TABLE, Path::new("/nowhere"), false).unwrap_err();
        assert_eq!(error.to_string(), "cannot generate list.txt");
    }
}
