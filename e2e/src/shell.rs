//! Commands as a reader pastes them into a shell, and the blocks of a document that are to be pasted.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::program::Ran;

/// How long anything that was pasted may take on a busy machine.
const PASTED_MAX: Duration = Duration::from_secs(180);

/// A shell at work, with everything that it starts.
#[derive(Debug)]
pub struct Shell {
    child: Child,
    group: Pid,
}

impl Shell {
    /// Has a shell in `folder` do what `script` says; more `variables` than this process's own are set.
    ///
    /// # Errors
    /// There is no shell.
    pub fn start(folder: &Path, script: &str, variables: &[(&str, String)]) -> anyhow::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(folder).envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let child = command.spawn().context("start sh")?;
        let id = child.id().context("it is gone already")?;
        Ok(Self { child, group: Pid::from_raw(id.cast_signed()).context("it is gone already")? })
    }

    /// The first line that it prints; what follows goes nowhere.
    ///
    /// # Errors
    /// It prints none.
    pub async fn first_line(&mut self) -> anyhow::Result<String> {
        let mut lines = BufReader::new(self.child.stdout.take().context("a piped stdout")?).lines();
        let line = tokio::time::timeout(PASTED_MAX, lines.next_line()).await.context("it prints nothing")??;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        line.context("it ended without a line")
    }

    /// Ctrl-C, and waits for the end.
    ///
    /// # Errors
    /// As [`Shell::end`].
    pub async fn interrupt(self) -> anyhow::Result<Ran> {
        kill_process_group(self.group, Signal::INT)?;
        self.end().await
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// It does not come.
    pub async fn end(mut self) -> anyhow::Result<Ran> {
        let read = async |stream: Option<&mut (dyn tokio::io::AsyncRead + Unpin + Send)>| -> anyhow::Result<String> {
            let mut text = String::new();
            if let Some(stream) = stream {
                tokio::io::AsyncReadExt::read_to_string(stream, &mut text).await?;
            }
            Ok(text)
        };
        let (mut stdout, mut stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let ending = async {
            let (stdout, stderr, status) = tokio::join!(
                read(stdout.as_mut().map(|stream| stream as _)),
                read(stderr.as_mut().map(|stream| stream as _)),
                self.child.wait()
            );
            anyhow::Ok(Ran { status: status?, stdout: stdout?, stderr: stderr? })
        };
        tokio::time::timeout(PASTED_MAX, ending).await.context("what was pasted does not end")?
    }
}

/// Nothing that it started outlives it.
impl Drop for Shell {
    fn drop(&mut self) {
        // It is gone already where it came to its end.
        if self.child.id().is_some() {
            let _ = kill_process_group(self.group, Signal::KILL);
        }
    }
}

/// The blocks for a shell in a Markdown document, or in one of its sections.
pub fn blocks(document: &str, section: Option<&str>) -> Vec<String> {
    let (mut blocks, mut open) = (Vec::new(), None::<String>);
    let mut is_wanted = section.is_none();
    for line in document.lines() {
        match &mut open {
            Some(block) if line == "```" => {
                blocks.push(std::mem::take(block));
                open = None;
            }
            Some(block) => {
                block.push_str(line);
                block.push('\n');
            }
            None if line == "```sh" && is_wanted => open = Some(String::new()),
            None => {
                if let (Some(wanted), Some(title)) = (section, line.strip_prefix("## ")) {
                    is_wanted = title == wanted;
                }
            }
        }
    }
    blocks
}
