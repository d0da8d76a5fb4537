//! A family of clients: a folder of `compat/` with what it needs, how it is prepared and how it is run.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

use super::broker::Addresses;
use super::verdict::{Outcome, parse_line};
use super::{is_installed, say};

/// How long the cases of one family may take together; the slowest start some hundred Java programs.
const RUN_MAX: Duration = Duration::from_secs(1800);
/// Lines that wait to be read.
const LINES_MAX: usize = 64;

/// A folder of `compat/` with a script `run`.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: String,
    folder: PathBuf,
}

/// Whether a family can be run here.
#[derive(Debug, PartialEq)]
pub(super) enum Readiness {
    Ready,
    /// What is not there, in one line.
    Missing(String),
}

impl Family {
    /// The named families, or all.
    pub(super) fn all(root: &Path, names: &[String]) -> anyhow::Result<Vec<Self>> {
        let compat = root.join("compat");
        let mut families = Vec::new();
        for entry in std::fs::read_dir(&compat).context("cannot read compat/")? {
            let folder = entry?.path();
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if folder.join("run").is_file() {
                families.push(Self { name, folder });
            }
        }
        families.sort_by(|a, b| a.name.cmp(&b.name));
        for name in names {
            ensure!(families.iter().any(|family| family.name == *name), "there is no family compat/{name}");
        }
        families.retain(|family| names.is_empty() || names.contains(&family.name));
        Ok(families)
    }

    /// Fetches and builds what the family is made of, once; `cache` is kept.
    pub(super) fn prepare(&self, cache: &Path) -> anyhow::Result<Readiness> {
        let needs = std::fs::read_to_string(self.folder.join("needs")).context("cannot read what the family needs")?;
        let missing: Vec<&str> = needs.split_whitespace().filter(|program| !is_installed(program)).collect();
        if !missing.is_empty() {
            return Ok(Readiness::Missing(format!("not installed: {}", missing.join(" "))));
        }
        let script = self.folder.join("prepare");
        if !script.is_file() {
            return Ok(Readiness::Ready);
        }
        let status = self.command(&script, cache).status().context("cannot start bash")?;
        Ok(match status.success() {
            true => Readiness::Ready,
            false => Readiness::Missing("what it is made of could not be fetched or built".to_owned()),
        })
    }

    /// Runs the cases and returns what became of each.
    pub(super) fn run(
        &self,
        addresses: &Addresses,
        cache: &Path,
        case: Option<&str>,
    ) -> anyhow::Result<BTreeMap<String, Outcome>> {
        let mut command = self.command(&self.folder.join("run"), cache);
        command.env("COMPAT_SASL", &addresses.sasl).env("COMPAT_TLS", &addresses.tls);
        command.env("COMPAT_CA", &addresses.authority).env("COMPAT_MUTUAL", &addresses.mutual);
        let [certificate, key] = &addresses.client;
        command.env("COMPAT_CLIENT_CERTIFICATE", certificate).env("COMPAT_CLIENT_KEY", key);
        command.arg(&addresses.plain).args(case).stdout(Stdio::piped()).process_group(0);
        let mut program = Program(command.spawn().context("cannot start bash")?);
        let lines = program.lines()?;
        let deadline = Instant::now() + RUN_MAX;
        let mut outcomes = BTreeMap::new();
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    say(&format!("  {line}"))?;
                    if let Some((case, outcome)) = parse_line(&line) {
                        ensure!(outcomes.insert(case.clone(), outcome).is_none(), "two cases are called {case}");
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let reason = format!("not done after {} s", RUN_MAX.as_secs());
                    outcomes.insert("the_program_ends".to_owned(), Outcome::Fail(reason));
                    return Ok(outcomes);
                }
            }
        }
        let status = program.0.wait().context("cannot wait for the program")?;
        if !status.success() || outcomes.is_empty() && case.is_none() {
            let reason = format!("{} cases were told, {status}", outcomes.len());
            outcomes.insert("the_program_ends".to_owned(), Outcome::Fail(reason));
        }
        Ok(outcomes)
    }

    fn command(&self, script: &Path, cache: &Path) -> Command {
        let mut command = Command::new("bash");
        command.arg(script).env("COMPAT_CACHE", cache).current_dir(&self.folder).stdin(Stdio::null());
        command
    }
}

/// A running program; it and all that it started end with it.
#[derive(Debug)]
struct Program(Child);

impl Program {
    /// What it prints, line by line, until it closes its output.
    fn lines(&mut self) -> anyhow::Result<Receiver<String>> {
        let output = self.0.stdout.take().context("its output is not piped")?;
        let (send, receive) = mpsc::sync_channel(LINES_MAX);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(receive)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // Gone already is as good.
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}
