//! The data directory: private, held by one, with a token that is made once.

use chassis::{DataDir, Error};
use tempfile::tempdir;

#[test]
fn second_holder_is_told_the_path_the_process_and_what_to_do() {
    let root = tempdir().unwrap();
    let path = root.path().join("data");
    let held = DataDir::open(&path).unwrap();
    let error = DataDir::open(&path).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, Error::DataDirInUse { .. }));
    assert!(message.contains(&path.display().to_string()), "{message}");
    assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
    assert!(message.contains("data_dir"), "{message}");
    let copy = held.clone();
    drop(held);
    assert!(DataDir::open(&path).is_err(), "a clone holds it too");
    drop(copy);
    DataDir::open(&path).unwrap();
}

#[test]
fn directory_that_cannot_be_used_is_told_clearly() {
    let root = tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, "").unwrap();
    let beneath_a_file = DataDir::open(file.join("data")).unwrap_err();
    std::fs::create_dir_all(root.path().join("data/LOCK")).unwrap();
    let lock_in_the_way = DataDir::open(root.path().join("data")).unwrap_err();
    for error in [beneath_a_file, lock_in_the_way] {
        assert!(matches!(error, Error::DataDirNotWritable { .. }), "{error:?}");
        assert!(error.to_string().contains("data_dir"), "{error}");
    }
}

#[test]
fn token_is_made_once_and_can_be_read_beside_the_holder() {
    let root = tempdir().unwrap();
    let first = DataDir::open(root.path()).unwrap();
    let token = first.operator_token().unwrap();
    assert_eq!(token.expose().len(), 64);
    let beside = DataDir::read_operator_token(root.path()).unwrap();
    assert!(beside.matches(token.expose()));
    drop(first);
    let again = DataDir::open(root.path()).unwrap().operator_token().unwrap();
    assert!(again.matches(token.expose()));
    let other = tempdir().unwrap();
    let other = DataDir::open(other.path()).unwrap().operator_token().unwrap();
    assert!(!other.matches(token.expose()));
}

#[test]
fn token_half_written_by_a_process_that_died_is_made_anew() {
    let root = tempdir().unwrap();
    std::fs::write(root.path().join("operator.token.new"), "half").unwrap();
    let held = DataDir::open(root.path()).unwrap();
    let token = held.operator_token().unwrap();
    assert_eq!(token.expose().len(), 64);
    assert!(!root.path().join("operator.token.new").exists());
}

#[test]
fn damaged_token_is_refused_and_missing_one_is_told() {
    let root = tempdir().unwrap();
    let missing = DataDir::read_operator_token(root.path()).unwrap_err();
    assert!(matches!(missing, Error::OperatorTokenUnreadable { .. }));
    let held = DataDir::open(root.path()).unwrap();
    held.operator_token().unwrap();
    // Written over in place, the file keeps its mode.
    std::fs::write(root.path().join("operator.token"), "short\n").unwrap();
    assert!(matches!(held.operator_token().unwrap_err(), Error::OperatorTokenDamaged { .. }));
}

#[test]
fn part_directories_take_only_plain_names() {
    let root = tempdir().unwrap();
    let held = DataDir::open(root.path()).unwrap();
    assert_eq!(held.part("user-service").unwrap(), root.path().join("user-service"));
    assert!(root.path().join("user-service").is_dir());
    for name in ["", "..", "a/b", "A", "a b"] {
        assert!(matches!(held.part(name).unwrap_err(), Error::PartName { .. }), "{name:?}");
    }
}

#[cfg(unix)]
#[test]
fn nothing_in_it_is_readable_by_others() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempdir().unwrap();
    let path = root.path().join("data");
    let held = DataDir::open(&path).unwrap();
    held.operator_token().unwrap();
    held.part("broker").unwrap();
    let mode = |name: &str| std::fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("broker"), 0o700);
    assert_eq!(mode("LOCK"), 0o600);
    assert_eq!(mode("operator.token"), 0o600);
    let exposed = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(path.join("operator.token"), exposed).unwrap();
    let error = held.operator_token().unwrap_err();
    assert!(matches!(error, Error::OperatorTokenExposed { mode: 0o644, .. }), "{error}");
}
