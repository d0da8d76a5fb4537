//! SCRAM (RFC 5802, RFC 7677) on the server's side: a password is proved without being sent, and kept only salted.

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

/// Rounds of hashing, as Kafka allows them.
pub(crate) const ITERATIONS_MIN: u32 = 4_096;
pub(crate) const ITERATIONS_MAX: u32 = 16_384;
/// Rounds of passwords that are set here.
const ITERATIONS: u32 = 8_192;
const SALT_BYTES: usize = 24;
const NONCE_BYTES: usize = 24;
/// Longest message of a client, and longest nonce in it.
const MESSAGE_BYTES_MAX: usize = 4_096;

/// Which hash is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Mechanism {
    #[serde(rename = "SCRAM-SHA-256")]
    Sha256,
    #[serde(rename = "SCRAM-SHA-512")]
    Sha512,
}

impl Mechanism {
    pub(crate) const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// Its number on the wire.
    pub(crate) fn wire(self) -> i8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    pub(crate) fn of_wire(number: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.wire() == number)
    }

    fn hash(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes).as_ref().to_vec()
    }

    fn hmac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), message).as_ref().to_vec()
    }

    fn salted(self, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
        let (algorithm, length) = match self {
            Self::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
            Self::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
        };
        let mut salted = vec![0; length];
        let iterations = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
        pbkdf2::derive(algorithm, iterations, salt, password.as_bytes(), &mut salted);
        salted
    }
}

/// What a user proves a password against; the password cannot be read off it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credential {
    #[serde(with = "as_base64")]
    salt: Vec<u8>,
    pub(crate) iterations: u32,
    #[serde(with = "as_base64")]
    stored_key: Vec<u8>,
    #[serde(with = "as_base64")]
    server_key: Vec<u8>,
}

/// Without keys: whoever has them can pose as the broker.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl Credential {
    /// Of a new password; takes some milliseconds.
    pub(crate) fn of_password(mechanism: Mechanism, password: &str) -> Self {
        let mut salt = vec![0; SALT_BYTES];
        fill_random(&mut salt);
        let salted = mechanism.salted(password, &salt, ITERATIONS);
        Self::of_salted(mechanism, salt, ITERATIONS, &salted)
    }

    /// Of a password that a client has salted.
    pub(crate) fn of_salted(mechanism: Mechanism, salt: Vec<u8>, iterations: u32, salted: &[u8]) -> Self {
        let stored_key = mechanism.hash(&mechanism.hmac(salted, b"Client Key"));
        Self { salt, iterations, stored_key, server_key: mechanism.hmac(salted, b"Server Key") }
    }

    /// For somebody who does not exist: always the same for one name, and proved by nothing.
    pub(crate) fn decoy(mechanism: Mechanism, secret: &[u8], user: &str) -> Self {
        let mut salt = mechanism.hmac(secret, user.as_bytes());
        salt.truncate(SALT_BYTES);
        let mut stored_key = mechanism.hash(b"");
        fill_random(&mut stored_key);
        Self { salt, iterations: ITERATIONS, server_key: stored_key.clone(), stored_key }
    }

    /// Whether it is of this password; takes some milliseconds.
    pub(crate) fn proves(&self, mechanism: Mechanism, password: &str) -> bool {
        let salted = mechanism.salted(password, &self.salt, self.iterations);
        let stored_key = mechanism.hash(&mechanism.hmac(&salted, b"Client Key"));
        constant_time::verify_slices_are_equal(&stored_key, &self.stored_key).is_ok()
    }
}

/// A login that has failed; why is told to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

/// A client's first message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct First {
    pub(crate) user: String,
    /// The base64 of the header, which the last message repeats.
    binding: String,
    bare: String,
    nonce: String,
}

impl First {
    pub(crate) fn parse(message: &[u8]) -> Result<Self, Failed> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(Failed);
        }
        let text = std::str::from_utf8(message).map_err(|_| Failed)?;
        // Without channel binding, which no Kafka client offers.
        let bound = text.strip_prefix("n,").or_else(|| text.strip_prefix("y,")).ok_or(Failed)?;
        let (identity, bare) = bound.split_once(',').ok_or(Failed)?;
        let header = &text[..text.len() - bare.len()];
        let (user, rest) = bare.strip_prefix("n=").and_then(|rest| rest.split_once(',')).ok_or(Failed)?;
        let nonce = rest.strip_prefix("r=").ok_or(Failed)?.split(',').next().unwrap_or_default();
        let user = unescape(user)?;
        // Nobody acts for another.
        let same = identity.is_empty() || identity.strip_prefix("a=").map(unescape) == Some(Ok(user.clone()));
        if nonce.is_empty() || user.is_empty() || !same {
            return Err(Failed);
        }
        let (binding, bare, nonce) = (BASE64.encode(header), bare.to_owned(), nonce.to_owned());
        Ok(Self { user, binding, bare, nonce })
    }
}

/// A login between the first message and the last.
#[derive(Debug)]
pub(crate) struct Exchange {
    mechanism: Mechanism,
    credential: Credential,
    first: First,
    nonce: String,
    challenge: String,
}

impl Exchange {
    pub(crate) fn new(mechanism: Mechanism, first: First, credential: Credential) -> Self {
        let mut random = [0; NONCE_BYTES];
        fill_random(&mut random);
        Self::with_nonce(mechanism, first, credential, &BASE64.encode(random))
    }

    pub(crate) fn with_nonce(mechanism: Mechanism, first: First, credential: Credential, ours: &str) -> Self {
        let nonce = format!("{}{ours}", first.nonce);
        let challenge = format!("r={nonce},s={},i={}", BASE64.encode(&credential.salt), credential.iterations);
        Self { mechanism, credential, first, nonce, challenge }
    }

    /// What the client answers with its last message.
    pub(crate) fn challenge(&self) -> &str {
        &self.challenge
    }

    /// Checks the client's last message; returns the user and the proof that we know the password too.
    pub(crate) fn finish(self, message: &[u8]) -> Result<(String, String), Failed> {
        let text = std::str::from_utf8(message).map_err(|_| Failed)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Failed)?;
        let mut fields = without_proof.split(',');
        let binding = fields.next().and_then(|field| field.strip_prefix("c=")).ok_or(Failed)?;
        let nonce = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or(Failed)?;
        if binding != self.first.binding || nonce != self.nonce {
            return Err(Failed);
        }
        let proof = BASE64.decode(proof).map_err(|_| Failed)?;
        let message = format!("{},{},{without_proof}", self.first.bare, self.challenge);
        let signature = self.mechanism.hmac(&self.credential.stored_key, message.as_bytes());
        if proof.len() != signature.len() {
            return Err(Failed);
        }
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(proof, signature)| proof ^ signature).collect();
        let stored_key = self.mechanism.hash(&client_key);
        constant_time::verify_slices_are_equal(&stored_key, &self.credential.stored_key).map_err(|_| Failed)?;
        let ours = self.mechanism.hmac(&self.credential.server_key, message.as_bytes());
        Ok((self.first.user, format!("v={}", BASE64.encode(ours))))
    }
}

/// Fills with bytes that nobody can foresee.
pub(crate) fn fill_random(bytes: &mut [u8]) {
    rand::fill(bytes).expect("the operating system has random numbers");
}

/// A name in which `,` and `=` were written as `=2C` and `=3D`.
fn unescape(text: &str) -> Result<String, Failed> {
    let plain = text.replace("=2C", ",").replace("=3D", "\0").replace('=', "\u{1}");
    if plain.contains('\u{1}') { Err(Failed) } else { Ok(plain.replace('\0', "=")) }
}

mod as_base64 {
    //! Bytes as text in the file.

    use base64::Engine;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::BASE64;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        BASE64.decode(String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    /// The example of RFC 7677.
    fn example() -> Exchange {
        let first = First::parse(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let salted = Mechanism::Sha256.salted("pencil", &salt, 4096);
        let credential = Credential::of_salted(Mechanism::Sha256, salt, 4096, &salted);
        Exchange::with_nonce(Mechanism::Sha256, first, credential, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    }

    const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    #[test]
    fn the_example_of_the_rfc_is_answered_as_it_says() {
        let exchange = example();
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(exchange.challenge(), challenge);
        let (user, proof) = exchange.finish(LAST.as_bytes()).unwrap();
        assert_eq!(user, "user");
        assert_eq!(proof, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn every_other_last_message_fails() {
        for length in 0..LAST.len() {
            assert_eq!(example().finish(&LAST.as_bytes()[..length]), Err(Failed), "length {length}");
        }
        for at in 0..LAST.len() {
            let mut changed = LAST.as_bytes().to_vec();
            changed[at] ^= 2;
            assert_eq!(example().finish(&changed), Err(Failed), "byte {at}");
        }
    }

    #[test]
    fn first_messages_give_the_user_or_fail() {
        let user = |message: &str| First::parse(message.as_bytes()).map(|first| first.user);
        assert_eq!(user("n,,n=an,r=x"), Ok("an".to_owned()));
        assert_eq!(user("y,,n=an,r=x,tokenauth=false"), Ok("an".to_owned()));
        assert_eq!(user("n,a=an,n=an,r=x"), Ok("an".to_owned()));
        assert_eq!(user("n,,n=CN=3Dan=2CO=3Dx,r=x"), Ok("CN=an,O=x".to_owned()));
        for message in
            ["", "n", "n,,", "p=tls-unique,,n=an,r=x", "n,a=bo,n=an,r=x", "n,,n=,r=x", "n,,n=an,r=", "n,,n=a=n,r=x"]
        {
            assert_eq!(user(message), Err(Failed), "{message}");
        }
    }

    #[test]
    fn a_credential_proves_its_own_password_and_a_decoy_none() {
        for mechanism in Mechanism::ALL {
            let credential = Credential::of_password(mechanism, "right");
            assert!(credential.proves(mechanism, "right"));
            assert!(!credential.proves(mechanism, "wrong"));
            let decoy = Credential::decoy(mechanism, b"secret", "nobody");
            assert_eq!(decoy.salt, Credential::decoy(mechanism, b"secret", "nobody").salt);
            assert!(!decoy.proves(mechanism, ""));
        }
    }
}
