//! A wall clock that is the system's own, so that a test can set it forth and back as an administrator or a time server does
//! to a machine's.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

/// What is preloaded into each process.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/wall_clock.c");
/// What tells it where the offset is.
const OFFSET_VARIABLE: &str = "TECHLEET_TEST_CLOCK_OFFSET";

/// The clock of the processes that are started with its [variables](WallClock::variables).
#[derive(Debug)]
pub struct WallClock {
    library: PathBuf,
    offset: PathBuf,
    file: File,
    seconds: i64,
}

impl WallClock {
    /// A clock that is right so far; what it needs is in `folder`.
    ///
    /// # Errors
    /// There is no C compiler, or the system is none that loads what it makes.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        if !cfg!(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")) {
            bail!("only 64-bit Linux with the GNU library has clocks of this kind");
        }
        let (library, offset) = (folder.join("wall_clock.so"), folder.join("clock-offset"));
        let made =
            Command::new("cc").args(["-shared", "-fPIC", "-O2", "-Wall", "-o"]).arg(&library).arg(SOURCE).output();
        let made = made.context("cannot start cc")?;
        ensure!(made.status.success(), "cc: {}", String::from_utf8_lossy(&made.stderr));
        let clock = Self { library, file: File::create(&offset)?, offset, seconds: 0 };
        clock.write()?;
        Ok(clock)
    }

    /// The variables with which a process has this clock.
    pub fn variables(&self) -> [(&'static str, PathBuf); 2] {
        [("LD_PRELOAD", self.library.clone()), (OFFSET_VARIABLE, self.offset.clone())]
    }

    /// Sets it forth, or back, for every process at once.
    ///
    /// # Errors
    /// The offset cannot be written.
    pub fn step(&mut self, seconds: i64) -> anyhow::Result<()> {
        self.seconds += seconds;
        self.write()
    }

    /// How far it is from the machine's, in seconds.
    pub fn seconds(&self) -> i64 {
        self.seconds
    }

    fn write(&self) -> anyhow::Result<()> {
        Ok(self.file.write_all_at(&self.seconds.to_ne_bytes(), 0)?)
    }
}
