//! How one request reaches a provider and its answer comes back. HTTP in earnest; a simulation brings its own way.

use super::Settings;
use crate::error::RpcError;
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::Url;
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Refused, reset or cut off; the reason.
    OnTheWay(String),
    /// It was longer than allowed and not read to its end.
    TooLong,
}

/// The way to one provider.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends one JSON-RPC request and gives the HTTP status and body, of which no more than `max_body` bytes are read. Has
    /// no deadline of its own, and may be dropped at any await.
    fn exchange<'a>(&'a self, body: &'a Value, max_body: usize) -> BoxFuture<'a, Result<(u16, Vec<u8>), Lost>>;
}

/// JSON-RPC over HTTP.
#[derive(Debug)]
pub(super) struct Http {
    url: Url,
    client: reqwest::Client,
}

impl Http {
    /// With the public part of the URL, which is its name.
    pub(super) fn new(text: &str, settings: &Settings) -> Result<(String, Self), RpcError> {
        // The URL may hold a key: only its public part goes into errors.
        let bad = |url: &str, why: &str| RpcError::BadUrl { url: url.into(), why: why.into() };
        let url: Url = text.parse().map_err(|_| bad("(hidden)", "not a URL"))?;
        let name = url.origin().ascii_serialization();
        let Some(host) = url.host_str() else { return Err(bad(&name, "no host")) };
        let mut client = reqwest::Client::builder()
            .connect_timeout(settings.timeout.min(Duration::from_secs(3)))
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(Duration::from_secs(30));
        match url.scheme() {
            // Needs no certificates, so a machine that has none installed can use its own node.
            "http" => client = client.tls_certs_only([]),
            "https" => {}
            _ => return Err(bad(&name, "neither http nor https")),
        }
        if host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| bad(&name, &format!("no HTTP client: {error}")))?;
        Ok((name, Self { url, client }))
    }

    async fn post(&self, body: &Value, max_body: usize) -> Result<(u16, Vec<u8>), Lost> {
        let lost = |error: reqwest::Error| Lost::OnTheWay(root_cause(&error.without_url()));
        let mut response = self.client.post(self.url.clone()).json(body).send().await.map_err(lost)?;
        let status = response.status().as_u16();
        let mut text = Vec::new();
        if status == 429 {
            return Ok((status, text)); // whatever it says beside
        }
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if text.len() + chunk.len() > max_body {
                return Err(Lost::TooLong);
            }
            text.extend_from_slice(&chunk);
        }
        Ok((status, text))
    }
}

impl Transport for Http {
    fn exchange<'a>(&'a self, body: &'a Value, max_body: usize) -> BoxFuture<'a, Result<(u16, Vec<u8>), Lost>> {
        self.post(body, max_body).boxed()
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_url_stays_out_of_names_and_errors() {
        let settings = Settings::default();
        let http = Http::new("https://user:secret@rpc.example:8443/v3/secret?k=secret", &settings);
        // Machines without certificates cannot build a TLS client; the name matters either way.
        match http {
            Ok((name, _)) => assert_eq!(name, "https://rpc.example:8443"),
            Err(error) => assert!(!error.to_string().contains("secret"), "{error}"),
        }
        let error = Http::new("ftp://secret:secret@host/", &settings).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(Http::new("not a url secret", &settings).is_err());
    }
}
