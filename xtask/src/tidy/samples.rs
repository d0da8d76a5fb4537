//! The samples of published events only ever become more: what a released version looked like is never changed, so that
//! every reader can be held to it for ever.
//!
//! A test of the contracts holds the samples to the list of their digests; this rule holds the list to its history. A
//! checkout without history has nothing to be held to: where CI has one, that is an error.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::Finding;

/// The list, from the root of the repository.
const DIGESTS: &str = "crates/contracts/samples/digests.txt";
/// Hexadecimal digits of a SHA-256.
const DIGEST_CHARS: usize = 64;

/// Whatever was in the list in any commit is in it still.
pub(super) fn check(root: &Path) -> anyhow::Result<Vec<Finding>> {
    check_in(root, is_ci())
}

/// CI says so by the environment, as everywhere.
#[allow(clippy::disallowed_methods, reason = "CI tells by the environment that it is CI")]
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false")
}

fn check_in(root: &Path, is_ci: bool) -> anyhow::Result<Vec<Finding>> {
    let is_shallow = git(root, &["rev-parse", "--is-shallow-repository"])?.trim() == "true";
    ensure!(
        !(is_shallow && is_ci),
        "this checkout has no history to hold the samples to: fetch all of it (`git fetch --unshallow`)"
    );
    // Merges with their differences to each parent, and all of their parents: a merge may drop what one of them had.
    let history = git(root, &["log", "--format=", "--patch", "-m", "--full-history", "--", DIGESTS])?;
    let now = std::fs::read_to_string(root.join(DIGESTS)).with_context(|| format!("cannot read {DIGESTS}"))?;
    Ok(missing(&history, &now).into_iter().map(finding).collect())
}

fn finding(line: &str) -> Finding {
    let sample = line.split_whitespace().last().unwrap_or_default();
    let advice = format!("the sample {sample} was changed or removed: put it back, and add a new version beside it");
    Finding::new(DIGESTS, 1, "sample", advice)
}

/// The lines that a history added to the list at any time, or took from it, and that it has no more.
fn missing<'a>(history: &'a str, now: &str) -> BTreeSet<&'a str> {
    let now: BTreeSet<&str> = now.lines().collect();
    let ever = history.lines().filter_map(|line| line.strip_prefix(['+', '-'])).filter(|line| is_entry(line));
    ever.filter(|line| !now.contains(line)).collect()
}

fn is_entry(line: &str) -> bool {
    line.split_once("  ").is_some_and(|(digest, _)| {
        digest.len() == DIGEST_CHARS && digest.chars().all(|digit| digit.is_ascii_hexdigit())
    })
}

fn git(root: &Path, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").args(args).current_dir(root).output().context("cannot start git")?;
    ensure!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    String::from_utf8(output.stdout).context("git answers outside UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(digit: char, sample: &str) -> String {
        format!("{}  {sample}", digit.to_string().repeat(DIGEST_CHARS))
    }

    /// A repository whose only file is the list.
    struct Repository(tempfile::TempDir);

    impl Repository {
        fn new() -> Self {
            let repository = Self(tempfile::tempdir().unwrap());
            repository.git(&["init", "--quiet", "--initial-branch", "main"]);
            repository
        }

        fn git(&self, args: &[&str]) {
            let who = ["-c", "user.name=tidy", "-c", "user.email=tidy@example.com", "-c", "commit.gpgsign=false"];
            git(self.0.path(), &[&who, args].concat()).unwrap();
        }

        fn write(&self, entries: &[&String]) {
            let list = self.0.path().join(DIGESTS);
            std::fs::create_dir_all(list.parent().unwrap()).unwrap();
            let lines: Vec<&str> = entries.iter().map(|entry| entry.as_str()).collect();
            std::fs::write(list, format!("{}\n", lines.join("\n"))).unwrap();
        }

        fn commit(&self, entries: &[&String]) {
            self.write(entries);
            self.git(&["add", "."]);
            self.git(&["commit", "--quiet", "--message", "list"]);
        }

        fn found(&self) -> usize {
            check_in(self.0.path(), true).unwrap().len()
        }
    }

    #[test]
    fn a_list_that_grows_or_is_sorted_anew_passes() {
        let (a, b) = (entry('a', "user.created/v1.json"), entry('b', "user.created/v2.json"));
        let repository = Repository::new();
        repository.commit(&[&b]);
        repository.commit(&[&b, &a]);
        repository.commit(&[&a, &b]);
        assert_eq!(repository.found(), 0);
    }

    #[test]
    fn a_sample_that_was_changed_or_removed_is_found_before_and_after_its_commit() {
        let (before, after) = (entry('a', "user.created/v1.json"), entry('c', "user.created/v1.json"));
        let gone = entry('d', "user.login/v1.json");
        let repository = Repository::new();
        repository.commit(&[&before, &gone]);
        repository.write(&[&after]);
        assert_eq!(repository.found(), 2);
        repository.commit(&[&after]);
        assert_eq!(repository.found(), 2);
        repository.commit(&[&after, &before, &gone]);
        assert_eq!(repository.found(), 0, "put back");
    }

    #[test]
    fn a_sample_that_a_merge_dropped_is_found() {
        let [first, ours, theirs] = ['a', 'b', 'c'].map(|digit| entry(digit, "user.created/v1.json"));
        let repository = Repository::new();
        repository.commit(&[&first]);
        repository.git(&["checkout", "--quiet", "-b", "theirs"]);
        repository.commit(&[&first, &theirs]);
        repository.git(&["checkout", "--quiet", "main"]);
        repository.commit(&[&first, &ours]);
        repository.git(&["merge", "--quiet", "--strategy", "ours", "--message", "merge", "theirs"]);
        assert_eq!(repository.found(), 1, "the list is as on one side");
        let evil = Repository::new();
        evil.commit(&[&first]);
        evil.git(&["checkout", "--quiet", "-b", "theirs"]);
        evil.commit(&[&first, &theirs]);
        evil.git(&["checkout", "--quiet", "main"]);
        evil.commit(&[&first, &ours]);
        evil.git(&["merge", "--quiet", "--no-commit", "--strategy", "ours", "theirs"]);
        // Added and lost again: only the merge ever had it.
        let of_merge = entry('d', "user.login/v1.json");
        evil.commit(&[&first, &ours, &theirs, &of_merge]);
        assert_eq!(evil.found(), 0);
        evil.commit(&[&first, &ours, &theirs]);
        assert_eq!(evil.found(), 1);
    }

    #[test]
    fn a_checkout_without_history_is_an_error_in_ci_alone() {
        let a = entry('a', "user.created/v1.json");
        let repository = Repository::new();
        repository.commit(&[&a]);
        repository.commit(&[&a, &entry('b', "user.created/v2.json")]);
        let shallow = tempfile::tempdir().unwrap();
        let from = format!("file://{}", repository.0.path().display());
        git(shallow.path(), &["clone", "--quiet", "--depth", "1", &from, "clone"]).unwrap();
        let clone = shallow.path().join("clone");
        assert_eq!(check_in(&clone, false).unwrap(), []);
        let refused = check_in(&clone, true).unwrap_err().to_string();
        assert!(refused.contains("git fetch --unshallow"), "{refused}");
    }
}
