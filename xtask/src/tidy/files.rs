//! The files that the rules look at: what git tracks, and what it would if one added everything.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

/// A file of the repository.
#[derive(Debug)]
pub(super) struct File {
    /// From the root of the repository, with `/` between folders.
    pub(super) path: String,
    /// Its size on disk.
    pub(super) bytes: usize,
    /// Its text, unless it is binary.
    pub(super) text: Option<String>,
}

impl File {
    pub(super) fn new(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        let bytes = content.len();
        let text = match content.contains(&0) {
            true => None,
            false => String::from_utf8(content).ok(),
        };
        Self { path: path.into(), bytes, text }
    }

    /// The last part of the path.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or(&*self.path, |(_, name)| name)
    }

    /// Whether the file ends in `.` and this.
    pub(super) fn has_extension(&self, extension: &str) -> bool {
        self.name().rsplit_once('.').is_some_and(|(stem, found)| !stem.is_empty() && found == extension)
    }

    /// Whether one of the folders above the file has this name.
    pub(super) fn is_under(&self, folder: &str) -> bool {
        let mut parts = self.path.split('/');
        parts.next_back();
        parts.any(|part| part == folder)
    }

    /// Whether the file is meant not to compile, and is then free of all rules for Rust.
    pub(super) fn is_compile_fail_case(&self) -> bool {
        self.path.contains("tests/ui/")
    }

    /// The text of a Rust file that the rules for Rust hold for.
    pub(super) fn rust(&self) -> Option<&str> {
        match self.has_extension("rs") && !self.is_compile_fail_case() {
            true => self.text.as_deref(),
            false => None,
        }
    }
}

/// Every file that git tracks or would track.
pub(super) fn tracked(root: &Path) -> anyhow::Result<Vec<File>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot start git")?;
    ensure!(output.status.success(), "`git ls-files` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    let list = String::from_utf8(output.stdout).context("git names a file outside UTF-8")?;
    let mut files = Vec::new();
    for path in list.split_terminator('\0') {
        let full = root.join(path);
        // A link has no content of its own, and a file deleted but not yet committed has none.
        let is_file = full.symlink_metadata().is_ok_and(|data| data.is_file());
        if is_file {
            let content = std::fs::read(&full).with_context(|| format!("cannot read {path}"))?;
            files.push(File::new(path, content));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_knows_its_name_its_extension_and_its_folders() {
        let file = File::new("libs/db/tests/it/main.rs", "");
        assert_eq!(file.name(), "main.rs");
        assert!(file.has_extension("rs"));
        assert!(file.is_under("tests"));
        assert!(!file.is_under("main.rs"));
        assert!(!File::new(".rs", "").has_extension("rs"));
    }

    #[test]
    fn binary_files_have_no_text() {
        assert_eq!(File::new("a.png", [1, 0, 2]).text, None);
        assert_eq!(File::new("a.rs", [0xff]).text, None);
        assert_eq!(File::new("a.rs", "x").rust(), Some("x"));
        assert_eq!(File::new("a/tests/ui/b.rs", "x").rust(), None);
    }
}
