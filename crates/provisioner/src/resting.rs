//! Where the page for visitors of what rests is.

use std::net::SocketAddr;

use crate::{
    cluster::{Cluster, ClusterError},
    options::PlanOptions,
};

/// Its address inside the cluster; none where there is none, or where it may not be looked at.
///
/// # Errors
///
/// When the cluster does not answer.
pub(crate) async fn address(cluster: &dyn Cluster, options: &PlanOptions) -> Result<Option<SocketAddr>, ClusterError> {
    let Some(page) = &options.resting_page else { return Ok(None) };
    let service = format!("{}/{}", page.namespace, page.service);
    match cluster.service_address(&page.namespace, &page.service).await {
        Ok(Some(address)) => Ok(Some(SocketAddr::new(address, page.port))),
        Ok(None) => {
            tracing::warn!(service, "the page for what rests has no address");
            Ok(None)
        }
        Err(error) if matches!(error, ClusterError::Unreachable { .. }) => Err(error),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(service, error, "the page for what rests cannot be looked at");
            Ok(None)
        }
    }
}
