//! Links between the pages of this repository lead somewhere.

use std::collections::BTreeSet;

use super::{File, Finding};

/// Every relative link in Markdown names a file or a folder that git knows.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let known = known_paths(files);
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.has_extension("md")) {
        let Some(text) = &file.text else { continue };
        for (line, target) in links(text) {
            let Some(path) = relative_path(&target) else {
                continue;
            };
            let is_known = resolve(&file.path, path).is_some_and(|full| known.contains(&full));
            if !is_known {
                let advice = format!("`{target}` does not exist: mend the link or remove it");
                findings.push(Finding::new(&file.path, line, "link", advice));
            }
        }
    }
    findings
}

/// All files and the folders above them; the root is the empty path.
fn known_paths(files: &[File]) -> BTreeSet<String> {
    let mut known = BTreeSet::from([String::new()]);
    for file in files {
        let mut path = file.path.as_str();
        known.insert(path.to_owned());
        while let Some((folder, _)) = path.rsplit_once('/') {
            known.insert(folder.to_owned());
            path = folder;
        }
    }
    known
}

/// The targets of the links in a page with their lines, code left out.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    let mut fence = None;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (Some(_), _) => {}
            (None, None) => {
                let line = without_code(line);
                links.extend(targets(&line).map(|target| (index + 1, target.to_owned())));
            }
        }
    }
    links
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("code")
}

/// The targets in `[text](target)` and in `[name]: target`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let inline = line
        .match_indices("](")
        .filter_map(|(start, mark)| line[start + mark.len()..].split_once(')'))
        .map(|(target, _)| target);
    let definition = line.strip_prefix('[').and_then(|rest| rest.split_once("]:")).map(|(_, target)| target);
    inline
        .chain(definition)
        .filter_map(|target| target.split_whitespace().next())
        .map(|target| target.trim_matches(['<', '>']))
}

/// The path in a link to this repository; not one to elsewhere or to a heading of the same page.
fn relative_path(target: &str) -> Option<&str> {
    let is_elsewhere = target.contains("://") || target.starts_with("mailto:");
    let path = target.split(['#', '?']).next().unwrap_or_default();
    (!is_elsewhere && !path.is_empty()).then_some(path)
}

/// The path from the root, or nothing when it leads out of the repository.
fn resolve(page: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = match link.starts_with('/') {
        true => Vec::new(),
        false => page.split('/').collect(),
    };
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_page(text: &str) -> Vec<Finding> {
        check(&[File::new("docs/guide/a.md", text), File::new("docs/adr/0001-b.md", ""), File::new("README.md", "")])
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let text = "[a](../adr/0001-b.md#why) ![b](</README.md>) [c](../adr/ \"title\")\n\
                    [d](#here) [e](https://example.org/x) [f](mailto:a@b.c) [g](../../)\n\
                    `[h](x.md)` and ``` [i](y.md)\n\n[j]: ../../README.md\n\
                    ```md\n[k](z.md)\n```\n";
        assert_eq!(check_page(text), []);
    }

    #[test]
    fn links_that_lead_nowhere_fail_with_their_line() {
        let text = "[a](missing.md)\n```sh\ncode\n```\n[b](../../../README.md) [c](a.md)\n[d]: x.md\n";
        let lines: Vec<usize> = check_page(text).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [1, 5, 6]);
    }
}
