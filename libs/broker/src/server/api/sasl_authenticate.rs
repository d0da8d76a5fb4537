//! SaslAuthenticate: one message of a login and its reply. After a login that failed the connection ends.

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey, SaslAuthenticateRequest, SaslAuthenticateResponse};

use crate::security::session::LoginError;
use crate::server::api::{Api, Handle, text};
use crate::server::connection::{Call, Outcome};
use crate::wire::header::Refusal;
use crate::wire::shape::{Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::SaslAuthenticate,
    name: "sasl_authenticate",
    versions: 0..=2,
    shape: Shape { flexible: 2, fields: &[all(Kind::Blob)] },
    handle: Handle::Eager(|call| Box::pin(begin(call))),
};

/// First version that tells how long the login holds.
const LIFETIME_SINCE: i16 = 1;

async fn begin(call: Call) -> Result<BoxFuture<'static, Outcome>, Refusal> {
    let request: SaslAuthenticateRequest = call.decode()?;
    let refused = |error: ResponseError, message: &str| {
        SaslAuthenticateResponse::default().with_error_code(error.code()).with_error_message(Some(text(message)))
    };
    let answer = match call.session.proceed(&request.auth_bytes).await {
        Ok(reply) => {
            let response = SaslAuthenticateResponse::default().with_error_message(None);
            let response = response.with_auth_bytes(Bytes::from(reply.bytes));
            let tells = call.head.version >= LIFETIME_SINCE;
            call.answer(&if tells { response.with_session_lifetime_ms(reply.lifetime_ms) } else { response })
        }
        Err(LoginError::Failed) => {
            let response = refused(ResponseError::SaslAuthenticationFailed, "user or password is wrong");
            call.last_answer(&response)
        }
        Err(LoginError::NotBegun) => {
            call.last_answer(&refused(ResponseError::IllegalSaslState, "a handshake comes before a login"))
        }
    };
    Ok(futures::future::ready(answer).boxed())
}
