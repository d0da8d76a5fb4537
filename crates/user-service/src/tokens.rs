//! Tokens: signed ones that live for minutes, and random ones of which only the hash is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::audit::hex;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rand::TryRng;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::NAME;
use crate::answers::Named;
use crate::error::Error;

/// The random part of a token, in bytes.
const RANDOM_BYTES: usize = 32;
/// The shortest signing key: as long as the hash, as RFC 7518 asks for.
pub(crate) const KEY_BYTES_MIN: usize = 32;

/// What an access token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    /// The employee's number.
    sub: String,
    /// The session.
    sid: String,
    /// Seconds since 1970.
    iat: i64,
    exp: i64,
}

/// Signs access tokens and reads them back.
pub(crate) struct AccessTokens {
    signing: EncodingKey,
    reading: DecodingKey,
    validation: Validation,
}

impl AccessTokens {
    pub(crate) fn new(key: &[u8]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[NAME]);
        // The time is our clock's to tell.
        validation.validate_exp = false;
        Self { signing: EncodingKey::from_secret(key), reading: DecodingKey::from_secret(key), validation }
    }

    /// A token for a session, good for `keep_ms` from `now_ms`.
    pub(crate) fn issue(&self, employee_id: i64, session_id: &str, now_ms: i64, keep_ms: i64) -> Result<String, Error> {
        let claims = Claims {
            iss: NAME.to_owned(),
            sub: employee_id.to_string(),
            sid: session_id.to_owned(),
            iat: now_ms / 1_000,
            exp: now_ms.saturating_add(keep_ms) / 1_000,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
            .map_err(|error| Error::Cryptography(error.to_string()))
    }

    /// The session that a token is for, if it is ours and still good.
    pub(crate) fn session_of(&self, token: &str, now_ms: i64) -> Option<Named> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.reading, &self.validation).ok()?.claims;
        let named = Named { employee_id: claims.sub.parse().ok()?, session_id: claims.sid };
        (claims.exp.saturating_mul(1_000) > now_ms).then_some(named)
    }
}

/// A token that nobody can guess, fit for a URL.
pub(crate) fn random_token() -> Result<String, Error> {
    let mut bytes = [0; RANDOM_BYTES];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| Error::Cryptography(error.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of a token. It is random and long: a plain hash cannot be turned back.
pub(crate) fn hash_of(token: &str) -> String {
    hex(&Sha256::digest(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_790_000_000_000;

    #[test]
    fn a_token_names_its_session_until_it_expires() {
        let tokens = AccessTokens::new(&[7; KEY_BYTES_MIN]);
        let token = tokens.issue(42, "s-1", NOW_MS, 900_000).unwrap();
        let named = Some(Named { employee_id: 42, session_id: "s-1".to_owned() });
        assert_eq!(tokens.session_of(&token, NOW_MS), named);
        assert_eq!(tokens.session_of(&token, NOW_MS + 899_000), named);
        assert_eq!(tokens.session_of(&token, NOW_MS + 900_000), None);
    }

    #[test]
    fn what_was_not_signed_with_the_key_is_nobodys() {
        let tokens = AccessTokens::new(&[7; KEY_BYTES_MIN]);
        let others = AccessTokens::new(&[8; KEY_BYTES_MIN]).issue(42, "s-1", NOW_MS, 900_000).unwrap();
        // {"alg":"none","typ":"JWT"}
        let claims = others.split('.').nth(1).unwrap().to_owned();
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
        for token in [others.as_str(), unsigned.as_str(), "", "a.b.c"] {
            assert_eq!(tokens.session_of(token, NOW_MS), None, "{token}");
        }
    }

    #[test]
    fn random_tokens_differ() {
        assert_ne!(random_token().unwrap(), random_token().unwrap());
        assert_eq!(random_token().unwrap().len(), 43);
    }
}
