//! Asking about whole GPUs, pools and partitions that have to be cured.

use hyper::Method;

use super::{Asked, Client, Question};
use crate::paths;
use crate::queries::{DryRunQuery, PoolQuery};
use crate::requests::{AssignDda, ChangePool, CreatePool, Cure};
use crate::views::{Answer, PoolView};

impl Client {
    pub async fn assign_dda(&self, vm: &str, request: &AssignDda) -> Asked<Answer> {
        let question = Question::of(Method::POST, paths::dda(vm)).with_body(request);
        self.change(question, request.dry_run).await
    }

    pub async fn unassign_dda(&self, vm: &str, query: DryRunQuery) -> Asked<Answer> {
        let question = Question::of(Method::DELETE, paths::dda_with(vm, query));
        self.change(question, query.dry_run).await
    }

    pub async fn pools(&self, query: &PoolQuery) -> Asked<Vec<PoolView>> {
        self.get(&paths::list(paths::POOLS, query)).await
    }

    pub async fn create_pool(&self, request: &CreatePool) -> Asked<Answer> {
        self.change(Question::of(Method::POST, paths::POOLS).with_body(request), false).await
    }

    pub async fn change_pool(&self, pool: &str, request: &ChangePool) -> Asked<Answer> {
        self.change(Question::of(Method::PATCH, paths::pool(pool)).with_body(request), false).await
    }

    pub async fn remove_pool(&self, pool: &str) -> Asked<Answer> {
        self.change(Question::of(Method::DELETE, paths::pool(pool)), false).await
    }

    pub async fn cure(&self, partition: &str, request: Cure) -> Asked<Answer> {
        let question = Question::of(Method::POST, paths::cure(partition)).with_body(&request);
        self.change(question, request.dry_run).await
    }
}
