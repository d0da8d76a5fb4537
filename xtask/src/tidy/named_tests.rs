//! Tests that the guides name as proof exist: a promise whose test was renamed or removed is found.

use super::{File, Finding};

/// The pages whose named tests are looked for.
const GUIDES: &str = "docs/guide/";
/// What stands between a file and a test in it.
const MARK: &str = ".rs::";

/// Every `path/to/file.rs::name` in a guide names a function of a file that git knows.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for page in files.iter().filter(|file| file.path.starts_with(GUIDES) && file.has_extension("md")) {
        for (index, line) in page.text.as_deref().unwrap_or_default().lines().enumerate() {
            for (path, name) in named(line) {
                let found = files.iter().find(|file| file.path == path);
                let advice = match found.map(|file| file.text.as_deref().unwrap_or_default()) {
                    Some(text) if text.contains(&format!("fn {name}(")) => continue,
                    Some(_) => format!("{path} has no `{name}`: name the test that shows it now"),
                    None => format!("there is no {path}: name the test that shows it now"),
                };
                findings.push(Finding::new(&page.path, index + 1, "named test", advice));
            }
        }
    }
    findings
}

/// The files and tests that a line names between backquotes.
fn named(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split('`').skip(1).step_by(2).filter_map(|code| {
        let (path, name) = code.split_once(MARK)?;
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        is_name.then(|| (&code[..path.len() + ".rs".len()], name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_page(text: &str) -> Vec<Finding> {
        check(&[File::new("docs/guide/a.md", text), File::new("libs/b/tests/it/c.rs", "async fn it_holds() {}")])
    }

    #[test]
    fn tests_that_exist_pass() {
        assert_eq!(check_page("`libs/b/tests/it/c.rs::it_holds` and `std::fs`, `Event::KEY`"), []);
    }

    #[test]
    fn tests_that_do_not_exist_fail_with_their_line() {
        let page = "x\n`libs/b/tests/it/c.rs::it_hold` `libs/b/d.rs::it_holds`\n";
        let lines: Vec<usize> = check_page(page).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [2, 2]);
    }
}
