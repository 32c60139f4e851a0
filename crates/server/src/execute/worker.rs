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
    let late = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        result = working => result,
        () = late => Err(Refusal::open(ErrorCode::TimedOut, "the computation was not finished in time")),
        () = service.end_of_work() => {
            Err(Refusal::open(ErrorCode::Cancelled, "the computation was given up because the server is stopping"))
        }
    }
}
