//! A file system of some megabytes for one process of a system, which a test fills up and makes room on. It is in memory,
//! in a mount namespace of its own, so that nobody has to be root for it and nothing of it stays.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

/// Mounts and stays for as long as somebody holds its stdin.
const MOUNT: &str = "mount -t tmpfs -o size=\"$2\" tmpfs \"$1\" && echo mounted && exec cat";
/// What is written at a time, down to the last page.
const CHUNKS: [usize; 2] = [1024 * 1024, 4096];

/// The file system; gone with everything on it when this is dropped.
#[derive(Debug)]
pub struct SmallDisk {
    holder: Child,
    folder: PathBuf,
}

impl SmallDisk {
    /// One of so many bytes at `folder`, which is made.
    ///
    /// # Errors
    /// This is not allowed here, or Linux's tools for it are not there.
    pub async fn mount(folder: &Path, bytes: usize) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut holder = Command::new("unshare")
            .args(["--map-root-user", "--mount", "--", "sh", "-c", MOUNT, "sh"])
            .arg(folder)
            .arg(bytes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start unshare")?;
        let mut said = [0; b"mounted\n".len()];
        let is_mounted = holder.stdout.as_mut().context("a piped stdout")?.read_exact(&mut said).await.is_ok();
        if !is_mounted {
            let output = holder.wait_with_output().await?;
            bail!("no file system of one's own: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(Self { holder, folder: folder.to_owned() })
    }

    /// What a command has to begin with for its process to see this.
    ///
    /// # Errors
    /// It is gone.
    pub fn entrance(&self) -> anyhow::Result<Vec<String>> {
        let target = self.process_id()?.to_string();
        let words = ["nsenter", "--preserve-credentials", "--user", "--mount", "--target", &target, "--"];
        Ok(words.map(str::to_owned).into())
    }

    /// Leaves no room at all.
    ///
    /// # Errors
    /// It cannot be written to, for another reason than that.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).open(self.filler()?)?;
        for chunk in CHUNKS {
            fill_by(&mut file, chunk)?;
        }
        Ok(())
    }

    /// Has all the room again that [`SmallDisk::fill`] took.
    ///
    /// # Errors
    /// Nothing was taken.
    pub fn make_room(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.filler()?)?)
    }

    /// Seen from outside of its namespace.
    fn filler(&self) -> anyhow::Result<PathBuf> {
        let inside = self.folder.strip_prefix("/").context("an absolute path")?;
        Ok(Path::new("/proc").join(self.process_id()?.to_string()).join("root").join(inside).join("filler"))
    }

    fn process_id(&self) -> anyhow::Result<u32> {
        self.holder.id().context("the file system is gone")
    }
}

fn fill_by(file: &mut File, chunk: usize) -> anyhow::Result<()> {
    let zeros = vec![0; chunk];
    loop {
        match file.write(&zeros) {
            Ok(written) => ensure!(written > 0, "nothing is written, and nobody says why"),
            Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
