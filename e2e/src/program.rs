//! Builds the program once, and runs its commands.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, ensure};
use chassis::config::is_secret;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// How long any command but a server may take.
const COMMAND_MAX: Duration = Duration::from_secs(60);

/// Which program everything here runs.
static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();

/// The program: the one that was chosen, or else one built with the profile of these tests.
///
/// # Errors
/// It does not build.
pub fn path() -> anyhow::Result<&'static Path> {
    let program =
        PROGRAM.get_or_init(|| build_with_failpoints(!cfg!(debug_assertions)).map_err(|error| format!("{error:#}")));
    program.as_deref().map_err(|error| anyhow::anyhow!(error.clone()))
}

/// Runs this program from now on, instead of building one.
///
/// # Errors
/// Another one runs already.
pub fn choose(program: PathBuf) -> anyhow::Result<()> {
    PROGRAM.set(Ok(program)).map_err(|_| anyhow::anyhow!("a program was chosen or built before"))
}

/// Asks cargo itself, so that a test of one crate never meets an old program.
///
/// For tests of the whole workspace, whose features are theirs: what they compiled is then not compiled again. For a
/// release of the program alone, as its users build it.
///
/// # Errors
/// It does not build.
pub fn build(is_release: bool) -> anyhow::Result<PathBuf> {
    build_with("techleet", if is_release { RELEASE } else { WORKSPACE })
}

/// What every build that is not for release is made with: it has the failpoints anyway.
const WORKSPACE: &[&str] = &["--workspace", "--bin", "techleet"];
const RELEASE: &[&str] = &["--package", "techleet", "--release"];
const RELEASE_WITH_FAILPOINTS: &[&str] = &["--package", "techleet", "--release", "--features", "failpoints"];

fn build_with_failpoints(is_release: bool) -> anyhow::Result<PathBuf> {
    build_with("techleet", if is_release { RELEASE_WITH_FAILPOINTS } else { WORKSPACE })
}

/// An example, built as the program is.
///
/// # Errors
/// It does not build.
pub fn build_example(name: &str) -> anyhow::Result<PathBuf> {
    let mut what = vec!["--workspace", "--bin", name];
    if !cfg!(debug_assertions) {
        what.push("--release");
    }
    build_with(name, &what)
}

fn build_with(name: &str, what: &[&str]) -> anyhow::Result<PathBuf> {
    let output = std::process::Command::new(option_env!("CARGO").unwrap_or("cargo"))
        .args(["build", "--quiet", "--message-format", "json"])
        .args(what)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo")?;
    ensure!(output.status.success(), "cargo build failed");
    let messages = String::from_utf8(output.stdout)?;
    let executable = messages.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_program = message["target"]["name"] == name;
        message["executable"].as_str().filter(|_| is_program).map(PathBuf::from)
    });
    executable.context("cargo named no executable")
}

/// Gives a command a setting (`key=value`), a secret where nobody else can read it.
pub(crate) fn set(command: &mut Command, setting: &str) {
    match setting.split_once('=') {
        Some((key, value)) if is_secret(key) => {
            command.env(format!("TECHLEET_{}", key.to_uppercase().replace('.', "__")), value);
        }
        _ => {
            command.arg("--set").arg(setting);
        }
    }
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed on stdout.
    pub stdout: String,
    /// What it printed on stderr.
    pub stderr: String,
}

/// Runs a command to its end.
///
/// # Errors
/// It cannot be run, or takes too long.
pub async fn run(args: &[&str]) -> anyhow::Result<Ran> {
    run_with(args, "", None).await
}

/// Runs a command to its end, with `input` on its stdin, and perhaps one more variable in its environment.
///
/// # Errors
/// It cannot be run, or takes too long.
pub async fn run_with(args: &[&str], input: &str, variable: Option<(&str, &str)>) -> anyhow::Result<Ran> {
    run_set(&[], args, input, variable).await
}

/// As [`run_with`], with settings (`key=value`).
///
/// # Errors
/// As [`run_with`].
pub async fn run_set(
    settings: &[String],
    args: &[&str],
    input: &str,
    variable: Option<(&str, &str)>,
) -> anyhow::Result<Ran> {
    let mut command = Command::new(path()?);
    for setting in settings {
        set(&mut command, setting);
    }
    command.args(args).envs(variable);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().context("start the command")?;
    let mut stdin = child.stdin.take().context("a piped stdin")?;
    // A command that does not read its input may be gone already.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let ending = tokio::time::timeout(COMMAND_MAX, child.wait_with_output());
    let output = ending.await.context("the command took too long")??;
    let stdout = String::from_utf8(output.stdout)?;
    let stderr = String::from_utf8(output.stderr)?;
    Ok(Ran { status: output.status, stdout, stderr })
}

/// Runs a command to its end as a person does who looks at its stderr on a terminal.
///
/// # Errors
/// It cannot be run, or takes too long; there is no terminal to be had.
pub async fn run_on_terminal(settings: &[String], args: &[&str]) -> anyhow::Result<Ran> {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).context("open a terminal")?;
    grantpt(&terminal)?;
    unlockpt(&terminal)?;
    let other_end = ptsname(&terminal, Vec::new())?.into_string()?;
    let other_end = File::options().read(true).write(true).open(other_end).context("open the terminal's other end")?;
    let mut command = Command::new(path()?);
    for setting in settings {
        set(&mut command, setting);
    }
    command.args(args).env("TERM", "xterm").stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let child = command.stderr(other_end).spawn().context("start the command")?;
    // It holds the other end until then, and the reading would never come to its own.
    drop(command);
    let reading = tokio::task::spawn_blocking(move || {
        let mut shown = Vec::new();
        // It ends with an error when nobody holds the other end any more.
        let _ = File::from(terminal).read_to_end(&mut shown);
        shown
    });
    let output = tokio::time::timeout(COMMAND_MAX, child.wait_with_output()).await.context("it took too long")??;
    let stderr = String::from_utf8_lossy(&reading.await?).into_owned();
    Ok(Ran { status: output.status, stdout: String::from_utf8(output.stdout)?, stderr })
}

/// Where this process finds programs, for those that it starts.
pub fn path_variable() -> String {
    variable("PATH").unwrap_or_default()
}

/// What the environment says; the one place where these tests read it.
#[allow(clippy::disallowed_methods, reason = "a test run is told by its environment how long to go on")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
