//! Worker threads for what would hold the server's loop up.

use std::future::Future;
use std::time::Duration;

use wire::ErrorCode;

use crate::outcome::Outcome;
use crate::refusal::Refusal;
use crate::service::Service;

/// Does long work of one user as soon as that user has a worker and what else the work needs, within the client's time.
pub(super) async fn on_worker<N: Send + 'static>(
    service: &Service,
    user: &str,
    timeout: Option<Duration>,
    needs: impl Future<Output = Result<N, Refusal>>,
    work: impl FnOnce(N) -> Result<Outcome, Refusal> + Send + 'static,
) -> Result<Outcome, Refusal> {
    let working = async {
        let needs = needs.await?;
        let worker = service.gate.worker(user).await?;
        let result = tokio::task::spawn_blocking(move || {
            let result = work(needs);
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
