//! Reading what the cluster has of a kind, a page at a time.

use std::{fmt::Debug, future::Future};

use kube::{
    Api, Resource,
    api::{ListParams, ObjectList},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;

use super::{KubeCluster, of_instance, ours};
use crate::cluster::{ClusterError, Target};

/// Most objects of one answer.
const PAGE: u32 = 500;
/// Reading is given up here, as what is left out would look deleted; an installation of this size shards by namespace
/// prefix.
const PAGES: usize = 200;

impl KubeCluster {
    /// Hands every page of what `params` select to `take`. `list` asks for one. More than [`PAGES`] is an error.
    pub(super) async fn each_page<K, F, Fut>(
        &self,
        what: &str,
        params: ListParams,
        list: F,
        mut take: impl FnMut(ObjectList<K>) + Send,
    ) -> Result<(), ClusterError>
    where
        K: Clone + Send,
        F: Fn(ListParams) -> Fut + Send + Sync,
        Fut: Future<Output = Result<ObjectList<K>, kube::Error>> + Send,
    {
        let mut params = params.limit(PAGE);
        for _ in 0..PAGES {
            let mut page = self.call(what, || list(params.clone())).await?;
            let next = page.metadata.continue_.take().filter(|token| !token.is_empty());
            take(page);
            match next {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(()),
            }
        }
        let source = Some("there is more than is read of one kind".into());
        Err(ClusterError::Unreachable { what: what.to_owned(), source })
    }

    /// Everything that `params` select.
    pub(super) async fn all_of<K>(&self, what: &str, api: &Api<K>, params: ListParams) -> Result<Vec<K>, ClusterError>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + Sync,
    {
        Ok(self.marked(what, api, params).await?.0)
    }

    /// The same, and the mark from which changes of it can be watched.
    async fn marked<K>(&self, what: &str, api: &Api<K>, params: ListParams) -> Result<(Vec<K>, String), ClusterError>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + Sync,
    {
        let (mut items, mut mark) = (Vec::new(), String::new());
        let list = |params: ListParams| async move { api.list(&params).await };
        self.each_page(what, params, list, |page| {
            mark = page.metadata.resource_version.unwrap_or_default();
            items.extend(page.items);
        })
        .await?;
        Ok((items, mark))
    }

    /// Everything of ours of one kind, and the mark of it.
    pub(super) async fn everywhere<K>(&self) -> Result<(Vec<K>, String), ClusterError>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::all(self.client.clone());
        self.marked("survey the cluster", &api, ListParams::default().labels(&ours())).await
    }

    /// Everything of one instance of one kind.
    pub(super) async fn list<K>(&self, target: &Target) -> Result<Vec<K>, ClusterError>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync,
        K::DynamicType: Default,
    {
        let params = ListParams::default().labels(&of_instance(target));
        self.all_of(&format!("look at {}", target.instance_id), &self.api(&target.namespace), params).await
    }
}
