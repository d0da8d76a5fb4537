//! Reads what the mail processor wrote.

use std::path::Path;

use anyhow::Context;

/// One mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The file's name without its ending: the event's id.
    pub id: String,
    /// The address in its To header.
    pub to: String,
    /// The whole message.
    pub text: String,
}

/// Every mail in a mailbox; none where there is no such folder yet.
///
/// # Errors
/// The folder or a mail in it cannot be read.
pub fn read(folder: &Path) -> anyhow::Result<Vec<Mail>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut mails = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "eml") {
            let text = std::fs::read_to_string(&path)?;
            let to = text.lines().find_map(|line| line.strip_prefix("To: "));
            let to = to.with_context(|| format!("{} has no To header", path.display()))?.to_owned();
            let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            mails.push(Mail { id, to, text });
        }
    }
    Ok(mails)
}
