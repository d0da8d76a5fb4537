//! The client for other people's web servers, in the open and over TLS.

use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;

/// Certificates are looked for only where an address asks for TLS.
#[derive(Debug)]
pub(crate) enum HttpClient {
    Open(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl HttpClient {
    /// A client for addresses that begin like this one.
    pub(crate) fn new(url: &Uri) -> Result<Self, String> {
        let builder = Client::builder(TokioExecutor::new());
        match url.scheme_str() {
            Some("http") => Ok(Self::Open(builder.build_http())),
            Some("https") => {
                let connector = HttpsConnectorBuilder::new().with_native_roots();
                let connector = connector.map_err(|error| format!("there are no certificates to trust: {error}"))?;
                Ok(Self::Tls(builder.build(connector.https_only().enable_http1().build())))
            }
            _ => Err("url must begin with http:// or https://".to_owned()),
        }
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        match self {
            Self::Open(client) => client.request(request).await,
            Self::Tls(client) => client.request(request).await,
        }
    }
}
