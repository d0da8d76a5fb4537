//! SASL PLAIN (RFC 4616): the password itself, so it belongs under TLS. It is checked against what SCRAM keeps of it.

use crate::security::Security;
use crate::security::scram::{Credential, Failed, Mechanism};

/// Longest message of a client.
const MESSAGE_BYTES_MAX: usize = 4_096;

/// Checks the one message there is; returns the user.
pub(crate) async fn check(message: &[u8], security: &Security) -> Result<String, Failed> {
    let (user, password) = parse(message)?;
    let known = security.store.read().users.get(&user).and_then(|known| known.first_key_value().map(copied));
    let decoy = || (Mechanism::Sha256, Credential::decoy(Mechanism::Sha256, &security.decoy, &user));
    let (mechanism, credential) = known.unwrap_or_else(decoy);
    let _turn = security.hashes.acquire().await.map_err(|_| Failed)?;
    let checking = tokio::task::spawn_blocking(move || credential.proves(mechanism, &password));
    if checking.await.unwrap_or(false) { Ok(user) } else { Err(Failed) }
}

fn copied((mechanism, credential): (&Mechanism, &Credential)) -> (Mechanism, Credential) {
    (*mechanism, credential.clone())
}

/// User and password of `[identity] NUL user NUL password`.
pub(crate) fn parse(message: &[u8]) -> Result<(String, String), Failed> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(Failed);
    }
    let text = std::str::from_utf8(message).map_err(|_| Failed)?;
    let parts: Vec<&str> = text.split('\0').collect();
    match parts[..] {
        // Nobody acts for another.
        [identity, user, password] if !user.is_empty() && (identity.is_empty() || identity == user) => {
            Ok((user.to_owned(), password.to_owned()))
        }
        _ => Err(Failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_give_user_and_password_or_fail() {
        let of = |user: &str, password: &str| Ok((user.to_owned(), password.to_owned()));
        assert_eq!(parse(b"\0an\0secret"), of("an", "secret"));
        assert_eq!(parse(b"an\0an\0secret"), of("an", "secret"));
        for message in [&b""[..], b"\0an", b"bo\0an\0secret", b"\0\0secret", b"\0an\0sec\0ret", b"\0\xff\0x"] {
            assert_eq!(parse(message), Err(Failed), "{message:?}");
        }
    }
}
