//! The directory that survives restarts: made private, held by one process, with the operator's token.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::TryRng;
use rand::rngs::SysRng;

use crate::error::Error;
use crate::secret::Secret;

/// The file whose lock says that a process has the directory.
const LOCK_FILE: &str = "LOCK";
/// The file with the operator's token.
const TOKEN_FILE: &str = "operator.token";
/// The token's random part; it is written in hexadecimal, two characters a byte.
const TOKEN_BYTES: usize = 32;
/// The most that is read of a lock or token file.
const FILE_BYTES_MAX: u64 = 1024;

/// A data directory that this process holds for as long as a clone of this lives.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Closing the file gives the lock back, also when the process is killed.
    _lock: Arc<File>,
}

impl DataDir {
    /// Creates the directory (mode 0700) if need be, checks that it can be written, and takes it.
    ///
    /// # Errors
    /// It cannot be created or written, or another process has it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        create_private_dir(&path).map_err(not_writable(&path, "create it"))?;
        let lock_path = path.join(LOCK_FILE);
        let mut lock = private(OpenOptions::new().read(true).write(true).create(true))
            .truncate(false)
            .open(&lock_path)
            .map_err(not_writable(&lock_path, "open the lock file for writing"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = read_limited(&mut lock).unwrap_or_default();
                let pid = pid.trim();
                let known = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
                let pid = if known { pid } else { "unknown" }.to_owned();
                return Err(Error::DataDirInUse { path, pid });
            }
            Err(TryLockError::Error(source)) => {
                return Err(not_writable(&lock_path, "lock it")(source));
            }
        }
        write_pid(&mut lock).map_err(not_writable(&lock_path, "write to it"))?;
        Ok(Self { path, _lock: Arc::new(lock) })
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A part's own directory within it, created with mode 0700.
    ///
    /// # Errors
    /// The name has other characters than `a-z 0-9 -`, or the directory cannot be created.
    pub fn part(&self, name: &str) -> Result<PathBuf, Error> {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || !name.bytes().all(known) {
            return Err(Error::PartName { name: name.to_owned() });
        }
        let path = self.path.join(name);
        create_private_dir(&path).map_err(not_writable(&path, "create it"))?;
        Ok(path)
    }

    /// The token with which the operator's tools on this machine show who they are;
    /// made at the first call, the same ever after.
    ///
    /// # Errors
    /// It cannot be read or written, is damaged, or others can read it.
    pub fn operator_token(&self) -> Result<Secret, Error> {
        match Self::read_operator_token(&self.path) {
            Err(Error::OperatorTokenUnreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.create_token()
            }
            result => result,
        }
    }

    /// Reads the token without taking the directory: what a tool beside a running process does.
    ///
    /// # Errors
    /// There is none, it cannot be read, is damaged, or others can read it.
    pub fn read_operator_token(data_dir: &Path) -> Result<Secret, Error> {
        let path = data_dir.join(TOKEN_FILE);
        let unreadable = |source| Error::OperatorTokenUnreadable { path: path.clone(), source };
        let mut file = File::open(&path).map_err(unreadable)?;
        let mode = mode_of(&file).map_err(unreadable)?;
        if mode & 0o077 != 0 {
            return Err(Error::OperatorTokenExposed { path, mode });
        }
        let text = read_limited(&mut file).map_err(unreadable)?;
        let token = text.trim_end();
        if token.len() != TOKEN_BYTES * 2 || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::OperatorTokenDamaged { path });
        }
        Ok(Secret::new(token))
    }

    fn create_token(&self) -> Result<Secret, Error> {
        let mut bytes = [0; TOKEN_BYTES];
        SysRng
            .try_fill_bytes(&mut bytes)
            .map_err(|source| Error::Random { purpose: "the operator token", source: source.into() })?;
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.path.join(TOKEN_FILE);
        write_private(&path, &token).map_err(not_writable(&path, "write the operator token"))?;
        Ok(Secret::new(token))
    }
}

/// Writes a file of one line that only we can read (mode 0600): whole or not at all, whenever we die, since it is
/// written beside, synced, renamed, and the directory synced.
///
/// # Errors
/// Those of the file system.
pub fn write_private(path: &Path, line: &str) -> io::Result<()> {
    let beside = path.with_added_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&beside)?;
    file.write_all(line.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

fn not_writable(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::DataDirNotWritable { path, action, source }
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    writeln!(lock, "{}", std::process::id())?;
    lock.sync_all()
}

fn read_limited(file: &mut File) -> io::Result<String> {
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(unix)]
fn create_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn mode_of(file: &File) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.metadata()?.permissions().mode() & 0o777)
}

/// Elsewhere the directory's own protection has to do.
#[cfg(not(unix))]
fn mode_of(_file: &File) -> io::Result<u32> {
    Ok(0o600)
}

#[cfg(unix)]
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}
