//! The two brokers, each on free ports and in a temporary folder of its own, gone when it is dropped.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};

use super::{Place, is_installed};

/// How long a broker may take until it answers; Apache Kafka on a busy machine is the slow one.
const START_MAX: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Files in a broker's folder.
const AUTHORITY: &str = "authority.pem";
const CERTIFICATE: &str = "broker.pem";
const KEY: &str = "broker.key";
const CLIENT_CERTIFICATE: &str = "client.pem";
const CLIENT_KEY: &str = "client.key";
const LOG: &str = "log";

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

/// Where a broker listens, and what a client needs to believe that it is the one.
#[derive(Debug)]
pub(super) struct Addresses {
    /// For whoever does not say who it is, and may do everything.
    pub(super) plain: String,
    /// For users who log in, and may do what rules allow.
    pub(super) sasl: String,
    /// As `plain`, encrypted.
    pub(super) tls: String,
    /// For whoever shows a certificate of the authority, and may do what rules allow.
    pub(super) mutual: String,
    /// The certificate of the authority behind `tls`, a PEM file.
    pub(super) authority: PathBuf,
    /// A certificate of it and its key, PEM files.
    pub(super) client: [PathBuf; 2],
}

/// A broker that answers.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) addresses: Addresses,
    process: Child,
    folder: tempfile::TempDir,
}

/// The ports of a broker, on loopback.
#[derive(Debug)]
struct Ports {
    plain: u16,
    sasl: u16,
    tls: u16,
    mutual: u16,
    /// Two that only Apache Kafka needs.
    own: [u16; 2],
}

impl Ports {
    /// Free ones. All are held until all are known, so that they differ.
    fn free() -> anyhow::Result<Self> {
        let held = [(); 6].map(|()| TcpListener::bind(("127.0.0.1", 0)));
        let mut ports = [0; 6];
        for (port, listener) in ports.iter_mut().zip(&held) {
            let listener = listener.as_ref().map_err(|error| anyhow::anyhow!("no free port: {error}"))?;
            *port = listener.local_addr()?.port();
        }
        let [plain, sasl, tls, mutual, first, second] = ports;
        Ok(Self { plain, sasl, tls, mutual, own: [first, second] })
    }
}

impl Broker {
    pub(super) fn start(kind: Kind, place: &Place) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("techleet-compat-").tempdir()?;
        let ports = Ports::free()?;
        let authority = certificates(folder.path())?;
        let process = match kind {
            Kind::Embedded => embedded(place, folder.path(), &ports)?,
            Kind::Kafka => kafka(place, folder.path(), &ports)?,
        };
        let all = [ports.plain, ports.sasl, ports.tls, ports.mutual];
        let [plain, sasl, tls, mutual] = all.map(|port| format!("127.0.0.1:{port}"));
        let client = [CLIENT_CERTIFICATE, CLIENT_KEY].map(|name| folder.path().join(name));
        let addresses = Addresses { plain, sasl, tls, mutual, authority, client };
        let mut broker = Self { addresses, process, folder };
        broker.wait().with_context(|| format!("the broker {} does not start", kind.name()))?;
        Ok(broker)
    }

    /// Until it answers its own protocol; a port opens earlier.
    #[allow(clippy::disallowed_methods, reason = "nothing but the wait runs here, and there is no runtime")]
    fn wait(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_MAX;
        while !answers(&self.addresses.plain) {
            if let Some(status) = self.process.try_wait()? {
                let said = std::fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default();
                bail!("it ended: {status}: {}", said.trim());
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

/// An authority, and certificates and keys by it of a broker and a client, in files; returns the authority's certificate.
fn certificates(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "compat");
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    let certificate = certificate.signed_by(&key, &issuer)?;
    let client_key = KeyPair::generate()?;
    let mut client = CertificateParams::new(Vec::new())?;
    client.distinguished_name = DistinguishedName::new();
    client.distinguished_name.push(DnType::CommonName, "client");
    let client = client.signed_by(&client_key, &issuer)?;
    std::fs::write(folder.join(CLIENT_CERTIFICATE), client.pem())?;
    std::fs::write(folder.join(CLIENT_KEY), client_key.serialize_pem())?;
    let authority = folder.join(AUTHORITY);
    std::fs::write(&authority, issuer.pem())?;
    std::fs::write(folder.join(CERTIFICATE), certificate.pem())?;
    std::fs::write(folder.join(KEY), key.serialize_pem())?;
    Ok(authority)
}

/// The program as users start it.
fn embedded(place: &Place, folder: &Path, ports: &Ports) -> anyhow::Result<Child> {
    // With the features of the whole workspace, as its tests build the program: nothing is compiled twice.
    let status = Command::new("cargo")
        .args(["build", "--locked", "--quiet", "--workspace", "--bin", "techleet"])
        .current_dir(&place.root)
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "the program does not build");
    let mut command = Command::new(place.programs.join("techleet"));
    command.args(["broker", "--data-dir"]).arg(folder.join("data"));
    let listeners =
        [("PLAINTEXT", ports.plain), ("SASL_PLAINTEXT", ports.sasl), ("SSL", ports.tls), ("MUTUAL", ports.mutual)];
    for (name, port) in listeners {
        command.args(["--listener", &format!("{name}://127.0.0.1:{port}")]);
    }
    for (key, value) in [
        ("tls_certificate_file", &*folder.join(CERTIFICATE).to_string_lossy()),
        ("tls_key_file", &*folder.join(KEY).to_string_lossy()),
        ("listener_protocols", "MUTUAL:SSL"),
        ("listener_settings", "MUTUAL:tls_client_auth=required"),
        ("tls_client_ca_file", &*folder.join(AUTHORITY).to_string_lossy()),
        ("sasl_mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"),
        ("first_user", "plain"),
        ("authorize", "true"),
        ("super_users", "User:ANONYMOUS"),
    ] {
        command.args(["--set", &format!("broker.security.{key}={value}")]);
    }
    // A secret on a command line is refused.
    command.env("TECHLEET_BROKER__SECURITY__FIRST_USER_PASSWORD", "plain-secret");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(folder.join(LOG))?);
    command.spawn().context("cannot start the program")
}

/// Apache Kafka, prepared by the scripts of `background/`.
fn kafka(place: &Place, folder: &Path, ports: &Ports) -> anyhow::Result<Child> {
    let [internal, controller] = ports.own;
    let all = [ports.plain, internal, controller, ports.sasl, ports.tls, ports.mutual];
    // Certificate and key in one file, as it wants them.
    let [certificate, key] = [CERTIFICATE, KEY].map(|name| std::fs::read_to_string(folder.join(name)));
    std::fs::write(folder.join("keystore.pem"), key? + &certificate?)?;
    Command::new("bash")
        .arg(place.root.join("compat/kafka.sh"))
        .arg(folder)
        .args(all.map(|port| port.to_string()))
        .env("LIBRARY_DIR", place.cache.join("libraries"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start bash")
}
