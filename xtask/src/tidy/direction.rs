//! Which crate may know which: the layers of ARCHITECTURE.md, read from the manifests.

use cargo_metadata::{DependencyKind, Metadata, TargetKind};

use super::Finding;

const RULE: &str = "direction";

/// For every crate under `libs/` and `crates/`, the crates of ours it may depend on. An entry may
/// stand here before its crate does.
const ALLOWED: &[(&str, &[&str])] = &[
    ("eventkit-db", &[]),
    ("eventkit-macros", &[]),
    ("broker", &[]),
    ("bundles", &[]),
    ("eventkit", &["eventkit-db", "eventkit-macros"]),
    ("routes", &["eventkit-db", "eventkit"]),
    ("workflows", &["eventkit-db", "eventkit"]),
    ("contracts", &["eventkit"]),
    ("chassis", &["contracts", "eventkit-db", "eventkit"]),
    ("user-service", SERVICE),
    ("company-service", SERVICE),
    ("recruitment-service", SERVICE),
    ("container", &["contracts", "eventkit-db", "eventkit", "chassis", "routes", "workflows", "bundles"]),
    ("demo", &["contracts", "eventkit"]),
    ("ops", &["contracts", "eventkit"]),
    ("console", &["ops", "chassis"]),
    ("shell", &["ops", "chassis"]),
];

const SERVICE: &[&str] = &["contracts", "eventkit-db", "eventkit", "chassis"];

/// The binary composes everything there is in the table.
const SEES_ALL: &str = "techleet";

/// Folders whose crates see everything and are seen by nobody.
const OUTSIDE: &[&str] = &["e2e", "examples", "bench", "compat", "xtask"];

/// They meet over the Kafka wire only, so that each tests the other.
const STRANGERS: [&str; 2] = ["broker", "eventkit"];

/// A crate of the workspace.
#[derive(Debug)]
pub(super) struct Crate {
    pub(super) name: String,
    /// Its folder, from the root of the repository.
    pub(super) folder: String,
    pub(super) is_proc_macro: bool,
    /// The crates of ours in its manifest.
    pub(super) dependencies: Vec<Dependency>,
}

/// A crate of ours in a manifest.
#[derive(Debug)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) is_dev: bool,
}

/// The crates of the workspace with their dependencies on each other.
pub(super) fn crates(metadata: &Metadata) -> Vec<Crate> {
    let packages = metadata.workspace_packages();
    let is_ours = |name: &str| packages.iter().any(|package| *package.name == name);
    packages
        .iter()
        .map(|package| {
            let folder = package.manifest_path.parent().unwrap_or("".into());
            Crate {
                name: package.name.to_string(),
                folder: folder.strip_prefix(&metadata.workspace_root).unwrap_or(folder).to_string(),
                is_proc_macro: package.targets.iter().any(|target| target.is_kind(TargetKind::ProcMacro)),
                dependencies: package
                    .dependencies
                    .iter()
                    .filter(|dependency| is_ours(&dependency.name))
                    .map(|dependency| Dependency {
                        name: dependency.name.clone(),
                        is_dev: dependency.kind == DependencyKind::Development,
                    })
                    .collect(),
            }
        })
        .collect()
}

/// Every dependency has to be in the table, and every crate too.
pub(super) fn check(crates: &[Crate]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for from in crates {
        let manifest = format!("{}/Cargo.toml", from.folder);
        if !is_outside(&from.folder) && from.name != SEES_ALL && allowed(&from.name).is_none() {
            findings.push(Finding::new(
                &manifest,
                1,
                RULE,
                format!(
                    "the crate `{}` has no layer: say what it may depend on in \
                     xtask/src/tidy/direction.rs and ARCHITECTURE.md",
                    from.name
                ),
            ));
            continue;
        }
        for to in &from.dependencies {
            if let Some(advice) = refuse(from, to, crates) {
                findings.push(Finding::new(&manifest, 1, RULE, advice));
            }
        }
    }
    findings
}

/// Why a dependency is not allowed, and what to do instead.
fn refuse(from: &Crate, to: &Dependency, crates: &[Crate]) -> Option<String> {
    let (from_name, to_name) = (from.name.as_str(), to.name.as_str());
    if STRANGERS.contains(&from_name) && STRANGERS.contains(&to_name) {
        return Some(format!(
            "`{from_name}` and `{to_name}` meet only over the Kafka wire, in tests too: put a test \
             that needs both into e2e"
        ));
    }
    if is_outside(&from.folder) {
        return None;
    }
    let to_is_outside = crates.iter().any(|other| other.name == to_name && is_outside(&other.folder));
    if to_is_outside {
        return Some(format!(
            "nothing depends on `{to_name}`: move what is needed into a crate under libs/ or crates/"
        ));
    }
    // A test of any part may start the embedded broker: it is what a Kafka client would meet.
    let is_for_tests = to.is_dev && (from.folder.starts_with("libs/") || to_name == "broker");
    if from_name == SEES_ALL || is_for_tests {
        return None;
    }
    let allowed = allowed(from_name).unwrap_or_default();
    if allowed.contains(&to_name) {
        return None;
    }
    let list = match allowed {
        [] => "none of ours".to_owned(),
        names => names.join(", "),
    };
    Some(format!(
        "`{from_name}` must not depend on `{to_name}` (allowed: {list}): move the shared part down \
         or pass it in"
    ))
}

fn allowed(name: &str) -> Option<&'static [&'static str]> {
    ALLOWED.iter().find_map(|(from, to)| (*from == name).then_some(*to))
}

fn is_outside(folder: &str) -> bool {
    OUTSIDE.contains(&folder.split('/').next().unwrap_or(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn krate(folder: &str, dependencies: &[(&str, bool)]) -> Crate {
        Crate {
            name: folder.rsplit('/').next().unwrap().to_owned(),
            folder: folder.to_owned(),
            is_proc_macro: false,
            dependencies: dependencies
                .iter()
                .map(|&(name, is_dev)| Dependency { name: name.to_owned(), is_dev })
                .collect(),
        }
    }

    fn advice(crates: &[Crate]) -> Vec<String> {
        check(crates).into_iter().map(|finding| finding.advice).collect()
    }

    #[test]
    fn dependencies_down_the_table_pass() {
        let crates = [
            krate("libs/eventkit-db", &[]),
            krate("libs/eventkit", &[("eventkit-db", false), ("eventkit-macros", false)]),
            krate("crates/user-service", &[("contracts", false), ("chassis", true)]),
            krate("crates/techleet", &[("user-service", false), ("broker", false)]),
            krate("e2e", &[("broker", false), ("eventkit", false)]),
        ];
        assert_eq!(advice(&crates), [] as [&str; 0]);
    }

    #[test]
    fn a_service_must_not_know_another() {
        let crates = [krate("crates/user-service", &[("company-service", false)])];
        assert!(advice(&crates)[0].contains("must not depend on `company-service`"));
    }

    #[test]
    fn a_dev_dependency_is_free_for_libraries_only() {
        assert_eq!(advice(&[krate("libs/eventkit-db", &[("chassis", true)])]), [""; 0]);
        assert_eq!(advice(&[krate("libs/eventkit-db", &[("chassis", false)])]).len(), 1);
        assert_eq!(advice(&[krate("crates/ops", &[("console", true)])]).len(), 1);
    }

    #[test]
    fn tests_of_a_part_may_start_the_broker() {
        assert_eq!(advice(&[krate("crates/ops", &[("broker", true)])]), [""; 0]);
        assert_eq!(advice(&[krate("crates/ops", &[("broker", false)])]).len(), 1);
    }

    #[test]
    fn broker_and_eventkit_are_strangers_in_tests_too() {
        for is_dev in [false, true] {
            let crates = [krate("libs/broker", &[("eventkit", is_dev)]), krate("libs/eventkit", &[("broker", is_dev)])];
            assert_eq!(advice(&crates).len(), 2);
        }
    }

    #[test]
    fn a_crate_outside_the_table_is_an_error() {
        assert!(advice(&[krate("libs/surprise", &[])])[0].contains("has no layer"));
    }

    #[test]
    fn nothing_depends_on_the_outside() {
        let crates =
            [krate("crates/techleet", &[("e2e", false)]), krate("libs/db", &[("e2e", true)]), krate("e2e", &[])];
        assert_eq!(advice(&crates).len(), 2);
    }

    #[test]
    fn every_name_in_the_table_has_its_own_entry() {
        for (from, list) in ALLOWED {
            for to in *list {
                assert!(allowed(to).is_some(), "{from} -> {to}");
            }
        }
    }
}
