//! Request headers in, response frames out.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

use crate::num::i32_of;

/// Longest client id kept; a longer one is cut.
const CLIENT_ID_BYTES_MAX: usize = 256;

/// What stands before a request.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) version: i16,
    pub(crate) correlation: i32,
    pub(crate) client_id: StrBytes,
}

/// Why a request is not answered but its connection closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("unknown api key {0}")]
    ApiKey(i16),
    #[error("api key {key} in version {version} is not offered")]
    Version { key: i16, version: i16 },
    #[error("request is malformed: {0}")]
    Malformed(String),
    #[error("answer could not be encoded: {0}")]
    Encode(String),
    #[error("handler panicked")]
    Panicked,
    #[error("request before a login, or after it has expired")]
    Unauthenticated,
    #[error("login failed")]
    Login,
}

/// Key, version and correlation id, which stand in the same place in every version.
pub(crate) fn peek(body: &Bytes) -> Result<(i16, i16, i32), Refusal> {
    let mut from = body.as_ref();
    if from.len() < 8 {
        return Err(Refusal::Malformed("no header".to_owned()));
    }
    Ok((from.get_i16(), from.get_i16(), from.get_i32()))
}

/// Reads the header off the front of a request of a known key and version.
pub(crate) fn take_head(body: &mut Bytes, key: ApiKey, version: i16) -> Result<Head, Refusal> {
    let header = RequestHeader::decode(body, key.request_header_version(version))
        .map_err(|error| Refusal::Malformed(error.to_string()))?;
    let client_id = header.client_id.unwrap_or_default();
    let cut = client_id.char_indices().find(|(at, _)| *at >= CLIENT_ID_BYTES_MAX);
    let kept = cut.map_or(client_id.len(), |(at, _)| at);
    // Copied: a part of the request would hold all of it in memory.
    let client_id = StrBytes::from_string(client_id[..kept].to_owned());
    Ok(Head { version, correlation: header.correlation_id, client_id })
}

/// A response as it goes on the wire, length first.
pub(crate) fn encode_response<R: Encodable + HeaderVersion>(
    correlation: i32,
    version: i16,
    response: &R,
) -> Result<Bytes, Refusal> {
    let header = ResponseHeader::default().with_correlation_id(correlation);
    let header_version = R::header_version(version);
    let size = response.compute_size(version).map_err(|error| Refusal::Encode(error.to_string()))?;
    let mut frame = BytesMut::with_capacity(size + 16);
    frame.put_i32(0);
    header.encode(&mut frame, header_version).map_err(|error| Refusal::Encode(error.to_string()))?;
    response.encode(&mut frame, version).map_err(|error| Refusal::Encode(error.to_string()))?;
    let length = i32_of(frame.len() - 4);
    frame[0..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}
