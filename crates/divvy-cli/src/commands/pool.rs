//! `divvy pool`: names under which whole GPUs of all servers are kept for VMs.

use divvy_api::queries::PoolQuery;
use divvy_api::requests::{ChangePool, CreatePool};

use crate::cli::name;
use crate::commands::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{tables, tell};

/// Keep GPUs in pools, to be given whole to VMs
///
/// A GPU is in at most one pool, and is not partitioned while it is in one. A pool is there as long as a
/// GPU is in it.
#[derive(Debug, clap::Subcommand)]
pub enum Pool {
    /// List every pool with its GPUs
    List,
    /// Make a pool of some GPUs
    Create {
        /// Its name
        #[arg(value_name = "POOL", value_parser = name())]
        pool: String,
        #[arg(value_name = "GPU", value_parser = name(), required = true)]
        gpus: Vec<String>,
    },
    /// Give a pool another name
    Rename {
        #[arg(value_name = "POOL", value_parser = name())]
        pool: String,
        /// Its new name
        #[arg(value_name = "NAME", value_parser = name())]
        to: String,
    },
    /// Remove a pool; its GPUs may be partitioned again
    Remove {
        #[arg(value_name = "POOL", value_parser = name())]
        pool: String,
    },
    /// Put GPUs into a pool
    Add {
        #[arg(value_name = "POOL", value_parser = name())]
        pool: String,
        #[arg(value_name = "GPU", value_parser = name(), required = true)]
        gpus: Vec<String>,
    },
    /// Take GPUs out of a pool
    Take {
        #[arg(value_name = "POOL", value_parser = name())]
        pool: String,
        #[arg(value_name = "GPU", value_parser = name(), required = true)]
        gpus: Vec<String>,
    },
}

impl Pool {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        let client = &cx.client;
        let answer = match self {
            Self::List => return list(cx).await,
            Self::Create { pool, gpus } => {
                client.create_pool(&CreatePool { name: pool.clone(), gpus: gpus.clone() }).await?
            }
            Self::Remove { pool } => client.remove_pool(pool).await?,
            Self::Rename { pool, to } => {
                let change = ChangePool { name: Some(to.clone()), ..ChangePool::default() };
                client.change_pool(pool, &change).await?
            }
            Self::Add { pool, gpus } => {
                let change = ChangePool { add: gpus.clone(), ..ChangePool::default() };
                client.change_pool(pool, &change).await?
            }
            Self::Take { pool, gpus } => {
                let change = ChangePool { take: gpus.clone(), ..ChangePool::default() };
                client.change_pool(pool, &change).await?
            }
        };
        if let divvy_api::views::Answer::Accepted(accepted) = &answer {
            tell::warnings(&accepted.warnings);
        }
        list(cx).await
    }
}

async fn list(cx: &mut Context) -> Result<Exit, Failure> {
    let pools = cx.client.pools(&PoolQuery::default()).await?;
    let when_empty = "there is no pool: divvy pool create POOL GPU makes one";
    cx.list(&pools, tables::pools, when_empty)
}
