//! Metrics in Prometheus' text format: one registry a process, one optional HTTP endpoint `/metrics`.

use crate::Tasks;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

pub use prometheus_client;

/// The process's metrics. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// Adds metrics: `register` gets the registry, and should keep the handles it makes.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry.lock());
    }

    /// All metrics as text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry.lock()) {
            Ok(()) => text,
            Err(error) => format!("# metrics could not be encoded: {error}\n"),
        }
    }

    /// Serves `/metrics` on `address` until the tasks stop.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn serve(&self, address: SocketAddr, tasks: &Tasks) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        let metrics = self.clone();
        let handler = move || {
            let text = metrics.encode();
            async move {
                ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
                    .into_response()
            }
        };
        let router = axum::Router::new().route("/metrics", axum::routing::get(handler));
        let token = tasks.token();
        tasks.spawn_fallible("metrics", crate::OnError::Log, async move {
            axum::serve(listener, router).with_graceful_shutdown(async move { token.cancelled().await }).await
        });
        Ok(bound)
    }
}
