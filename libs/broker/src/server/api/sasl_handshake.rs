//! SaslHandshake: a client says how it wants to log in.

use futures::FutureExt;
use futures::future::BoxFuture;
use kafka_protocol::messages::{ApiKey, SaslHandshakeRequest, SaslHandshakeResponse};

use crate::server::api::{Api, Handle, NONE, text};
use crate::server::connection::{Call, Outcome};
use crate::wire::header::Refusal;
use crate::wire::shape::{Kind, Shape, all};

pub(crate) static API: Api = Api {
    key: ApiKey::SaslHandshake,
    name: "sasl_handshake",
    versions: 0..=1,
    shape: Shape { flexible: i16::MAX, fields: &[all(Kind::Text)] },
    // What follows is read in the state that this leaves behind.
    handle: Handle::Eager(|call| Box::pin(begin(call))),
};

async fn begin(call: Call) -> Result<BoxFuture<'static, Outcome>, Refusal> {
    let request: SaslHandshakeRequest = call.decode()?;
    let begun = call.session.begin(&request.mechanism, call.head.version == 0);
    let mechanisms = call.session.mechanisms().iter().map(|name| text(name.clone())).collect();
    let code = begun.map_or_else(|error| error.code(), |()| NONE);
    let answer = call.answer(&SaslHandshakeResponse::default().with_error_code(code).with_mechanisms(mechanisms));
    Ok(futures::future::ready(answer).boxed())
}
