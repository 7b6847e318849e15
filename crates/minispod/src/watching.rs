//! The health watch over running instances, reporting through the command bus.

use std::{error::Error, sync::Arc};

use async_trait::async_trait;
use minispod_domain::CommandRequest;
use minispod_kernel::{Actor, Clock};
use minispod_provisioner::{Cluster, HealthWatch, ReportSink, WatchSettings};
use minispod_runtime::{Cause, Dispatcher};
use minispod_store::CommandError;

/// Reports as commands of the provisioner.
struct Bus(Dispatcher);

#[async_trait]
impl ReportSink for Bus {
    async fn report(&self, request: CommandRequest) -> Result<(), Box<dyn Error + Send + Sync>> {
        let cause = Cause {
            actor: Actor::system("provisioner"),
            correlation_id: request.key.clone(),
            causation_id: None,
            traceparent: None,
        };
        match self.0.dispatch(request, &cause).await {
            // The instance has moved on: what was seen is no news to it.
            Ok(_) | Err(CommandError::Refused(_)) => Ok(()),
            Err(error) => Err(Box::new(error)),
        }
    }
}

/// A watch over `cluster`.
pub fn over(cluster: Arc<dyn Cluster>, clock: Arc<dyn Clock>, dispatcher: Dispatcher) -> HealthWatch {
    HealthWatch::new(cluster, clock, Arc::new(Bus(dispatcher)), WatchSettings::default())
}
