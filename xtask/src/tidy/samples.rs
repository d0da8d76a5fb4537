//! The samples of published events only ever become more: what a released version looked like is never changed, so that
//! every reader can be held to it for ever.
//!
//! A test of the contracts holds the samples to the list of their digests; this rule holds the list to its history. A
//! checkout without history has nothing to be held to.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::Finding;

/// The list, from the root of the repository.
const DIGESTS: &str = "crates/contracts/samples/digests.txt";
/// Hexadecimal digits of a SHA-256.
const DIGEST_CHARS: usize = 64;

/// No line was ever taken from the list: in no commit, and not since the last one.
pub(super) fn check(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let committed = git(root, &["log", "--format=", "--patch", "--", DIGESTS])?;
    let since = git(root, &["diff", "HEAD", "--", DIGESTS])?;
    Ok(removed(&committed).chain(removed(&since)).map(finding).collect())
}

fn finding(line: &str) -> Finding {
    let sample = line.split_whitespace().last().unwrap_or_default();
    let advice = format!("the sample {sample} was changed or removed: put it back, and add a new version beside it");
    Finding::new(DIGESTS, 1, "sample", advice)
}

/// The lines of the list that a diff takes away and does not put back.
fn removed(diff: &str) -> impl Iterator<Item = &str> {
    let changed =
        move |sign: char| diff.lines().filter_map(move |line| line.strip_prefix(sign)).filter(|line| is_entry(line));
    changed('-').filter(move |line| !changed('+').any(|added| added == *line))
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

    #[test]
    fn a_list_that_grows_or_is_sorted_anew_passes() {
        let (a, b) = (entry('a', "user.created/v1.json"), entry('b', "user.created/v2.json"));
        let diff = format!("--- a/digests.txt\n+++ b/digests.txt\n-{a}\n+{b}\n+{a}\n");
        assert_eq!(removed(&diff).count(), 0);
    }

    #[test]
    fn a_changed_and_a_removed_sample_are_found() {
        let (before, after) = (entry('a', "user.created/v1.json"), entry('c', "user.created/v1.json"));
        let gone = entry('d', "user.login/v1.json");
        let diff = format!("-{before}\n+{after}\n-{gone}\n");
        assert_eq!(removed(&diff).collect::<Vec<_>>(), [before, gone]);
    }
}
