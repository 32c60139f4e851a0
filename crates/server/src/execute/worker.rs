//! Worker threads for what would hold the server's loop up.

use std::time::Duration;

use wire::ErrorCode;

use crate::outcome::Outcome;
use crate::refusal::Refusal;
use crate::service::Service;

/// Does long work as soon as a worker is free, within the client's time.
pub(super) async fn on_worker(
    service: &Service,
    timeout: Option<Duration>,
    work: impl FnOnce() -> Result<Outcome, Refusal> + Send + 'static,
) -> Result<Outcome, Refusal> {
    let _place = service.gate.queue_computation()?;
    let working = async {
        let worker = service.gate.worker().await?;
        let result = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(worker);
            result
        });
        result.await.unwrap_or_else(|error| Err(Refusal::internal(error.to_string())))
    };
    match timeout {
        None => working.await,
        Some(timeout) => tokio::time::timeout(timeout, working).await.unwrap_or_else(|_| {
            Err(Refusal::open(ErrorCode::TimedOut, "the computation was not finished in time"))
        }),
    }
}
