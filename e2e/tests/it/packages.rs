//! eventkit as somebody outside meets it: what would be published, and a service that is written with it alone.

use std::path::Path;
use std::process::Output;

use broker::{Broker, Config};
use tokio::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// What is published, each after what it needs.
const CRATES: [&str; 3] = ["eventkit-db", "eventkit-macros", "eventkit"];

async fn run(mut command: Command) -> Output {
    command.kill_on_drop(true).output().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_written_outside_lends_counts_and_stands_a_restart() {
    let library = e2e::program::build_example("library").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("broker");
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), data_dir, ..Config::default() };
    let broker = Broker::start(config).await.unwrap();
    for (round, told) in [(1, ["ada has 2", "grace has 1"]), (2, ["ada has 4", "grace has 2"])] {
        let mut command = Command::new(&library);
        command.arg(broker.address().to_string()).arg(folder.path()).args(["ada", "nobody", "grace", "ada"]);
        let ran = run(command).await;
        let (said, complaint) = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
        assert!(ran.status.success(), "{said}{complaint}");
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[..2], told, "{said}");
        assert_eq!(lines[2], format!("a replay would send {} of book.lent", 4 * round));
    }
    broker.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn eventkit_and_what_it_needs_can_be_packed_for_publication() {
    let mut command = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    command.args(["package", "--no-verify", "--allow-dirty", "--offline", "--quiet"]).current_dir(ROOT);
    let target = tempfile::tempdir().unwrap();
    command.arg("--target-dir").arg(target.path());
    for name in CRATES {
        command.args(["--package", name]);
    }
    let ran = run(command).await;
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    for name in CRATES {
        let package = target.path().join(format!("package/{name}-{}.crate", env!("CARGO_PKG_VERSION")));
        let listed = run(tar(&package)).await;
        let files = String::from_utf8(listed.stdout).unwrap();
        assert!(files.lines().any(|file| file.ends_with("/src/lib.rs")), "{name} has its source:\n{files}");
        let has_path = unpacked_manifest(&package).await.contains("path = \"..");
        assert!(!has_path, "{name} needs nothing of this repository's folders");
    }
}

fn tar(package: &Path) -> Command {
    let mut command = Command::new("tar");
    command.arg("--list").arg("--gzip").arg("--file").arg(package);
    command
}

async fn unpacked_manifest(package: &Path) -> String {
    let folder = package.file_stem().unwrap().to_string_lossy().into_owned();
    let mut command = Command::new("tar");
    command.args(["--extract", "--gzip", "--to-stdout", "--file"]).arg(package).arg(format!("{folder}/Cargo.toml"));
    String::from_utf8(run(command).await.stdout).unwrap()
}
