//! The two brokers, each on free ports and in a temporary folder of its own, gone when it is dropped.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::{Place, is_installed};

/// How long a broker may take until it answers; Apache Kafka on a busy machine is the slow one.
const START_MAX: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Asks for the versions of all APIs: length 10, key 18, version 0, request 1, no client's name.
const VERSIONS_REQUEST: &[u8] = b"\0\0\0\x0a\0\x12\0\0\0\0\0\x01\xff\xff";

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Embedded,
    Kafka,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Kafka => "kafka",
        }
    }

    /// What has to be installed first.
    pub(super) fn missing(self) -> Option<String> {
        let programs: &[&str] = match self {
            Self::Embedded => &[],
            Self::Kafka => &["java", "mvn"],
        };
        let missing: Vec<&str> = programs.iter().copied().filter(|program| !is_installed(program)).collect();
        (!missing.is_empty()).then(|| format!("not installed: {}", missing.join(" ")))
    }
}

/// A broker that answers.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) address: String,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Broker {
    pub(super) fn start(kind: Kind, place: &Place) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("techleet-compat-").tempdir()?;
        let (process, address) = match kind {
            Kind::Embedded => embedded(place, folder.path())?,
            Kind::Kafka => kafka(place, folder.path())?,
        };
        let mut broker = Self { address, process, _folder: folder };
        broker.wait().with_context(|| format!("the broker {} does not start", kind.name()))?;
        Ok(broker)
    }

    /// Until it answers its own protocol; a port opens earlier.
    #[allow(clippy::disallowed_methods, reason = "nothing but the wait runs here, and there is no runtime")]
    fn wait(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_MAX;
        while !answers(&self.address) {
            if let Some(status) = self.process.try_wait()? {
                bail!("it ended: {status}");
            }
            ensure!(Instant::now() < deadline, "no answer after {} s", START_MAX.as_secs());
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Nothing of it is needed any more; if it has ended already, so much the better.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn answers(address: &str) -> bool {
    let ask = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.write_all(VERSIONS_REQUEST)?;
        stream.read_exact(&mut [0; 4])
    };
    ask().is_ok()
}

/// The program as users start it, on a port that it chooses and prints.
fn embedded(place: &Place, folder: &Path) -> anyhow::Result<(Child, String)> {
    // With the features of the whole workspace, as its tests build the program: nothing is compiled twice.
    let status = Command::new("cargo")
        .args(["build", "--locked", "--quiet", "--workspace", "--bin", "techleet"])
        .current_dir(&place.root)
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "the program does not build");
    let mut process = Command::new(place.programs.join("techleet"))
        .args(["broker", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(folder.join("log"))?)
        .spawn()
        .context("cannot start the program")?;
    let output = process.stdout.take().context("its output is not piped")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).context("cannot read where it listens")?;
    let address = line.split_whitespace().nth(1).with_context(|| format!("it does not say where it listens: {line:?}"));
    if address.is_err() {
        process.kill()?;
    }
    Ok((process, address?.to_owned()))
}

/// Apache Kafka, prepared by the scripts of `background/`.
fn kafka(place: &Place, folder: &Path) -> anyhow::Result<(Child, String)> {
    // All are held until all are known, so that they differ.
    let held = [(); 3].map(|()| TcpListener::bind(("127.0.0.1", 0)));
    let mut ports = Vec::new();
    for listener in &held {
        let listener = listener.as_ref().map_err(|error| anyhow::anyhow!("no free port: {error}"))?;
        ports.push(listener.local_addr()?.port().to_string());
    }
    drop(held);
    let process = Command::new("bash")
        .arg(place.root.join("compat/kafka.sh"))
        .arg(folder)
        .args(&ports)
        .env("LIBRARY_DIR", place.cache.join("libraries"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start bash")?;
    Ok((process, format!("127.0.0.1:{}", ports[0])))
}
