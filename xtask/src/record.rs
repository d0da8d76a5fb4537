//! Pages under `docs/` that a command writes: which commit was at work, and what it found, the latest run first.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

/// The commit that is checked out, and whether files other than `record` differ from it.
pub(crate) fn commit(root: &Path, record: &str) -> anyhow::Result<String> {
    let commit = git(root, &["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(root, &["status", "--porcelain", "--", ".", &format!(":!{record}")])?;
    Ok(if changed.is_empty() { commit } else { format!("{commit} with changes") })
}

/// Puts an entry before all earlier ones of the page `record`, which begins with `head`.
pub(crate) fn add(root: &Path, record: &str, head: &str, entry: &str) -> anyhow::Result<()> {
    let path = root.join(record);
    let page = match path.exists() {
        true => std::fs::read_to_string(&path).with_context(|| format!("cannot read {record}"))?,
        false => head.to_owned(),
    };
    std::fs::write(&path, with(&page, entry)).with_context(|| format!("cannot write {record}"))
}

/// The page with an entry before all earlier ones.
fn with(page: &str, entry: &str) -> String {
    match page.split_once("\n## ") {
        Some((head, earlier)) => format!("{}\n\n{entry}\n## {earlier}", head.trim_end()),
        None => format!("{}\n\n{entry}", page.trim_end()),
    }
}

fn git(root: &Path, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").args(args).current_dir(root).output().context("cannot start git")?;
    ensure!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout).context("git answers outside UTF-8")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_runs_are_kept_below_the_latest() {
        let [first, second, third] = [1, 2, 3].map(|day| format!("## day {day}\n\n| {day} |\n"));
        let page = [&first, &second, &third].iter().fold("# Head\n".to_owned(), |page, entry| with(&page, entry));
        assert_eq!(page, format!("# Head\n\n{third}\n{second}\n{first}"));
    }
}
