//! Who is asking: an access token is as good as its session, and lets do what the employee's roles let do right now.

use std::sync::Arc;

use async_trait::async_trait;
use chassis::auth::Refusal;
use chassis::{Authenticator, Principal};
use eventkit::Clock;

use crate::answers::Answers;
use crate::tokens::AccessTokens;

/// A longer token is nobody's.
const TOKEN_BYTES_MAX: usize = 4_096;

/// Asks about each token's session.
pub(crate) struct SessionAuthenticator {
    answers: Arc<dyn Answers>,
    clock: Clock,
    tokens: Arc<AccessTokens>,
}

impl SessionAuthenticator {
    pub(crate) fn new(answers: Arc<dyn Answers>, clock: Clock, tokens: Arc<AccessTokens>) -> Self {
        Self { answers, clock, tokens }
    }
}

#[async_trait]
impl Authenticator for SessionAuthenticator {
    async fn authenticate(&self, token: &str) -> Result<Principal, Refusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::Unknown);
        }
        let Some(named) = self.tokens.session_of(token, self.clock.now_ms()) else {
            return Err(Refusal::Unknown);
        };
        match self.answers.find(&named).await {
            Ok(Some(answer)) => Ok(Principal::Employee(answer.access)),
            Ok(None) => Err(Refusal::Unknown),
            Err(error) => Err(Refusal::Unavailable(error.into())),
        }
    }
}
