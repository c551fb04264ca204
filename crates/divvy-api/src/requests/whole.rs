//! What can be asked about whole GPUs, their pools, and partitions that have to be cured; and the faults
//! of a simulated room. Whether a GPU, a VM or a pool makes sense is not known here.

use serde::{Deserialize, Serialize};

use super::{InvalidRequest, check_name, check_names, numbers};

/// `POST /v1/vms/{vm}/dda`: these GPUs, or so many of a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssignDda {
    /// GPUs of the VM's server; empty when a pool is named.
    #[serde(default)]
    pub gpus: Vec<String>,
    #[serde(default)]
    pub pool: Option<String>,
    /// How many of the pool; null: one.
    #[serde(default, deserialize_with = "numbers::count")]
    pub count: Option<u16>,
    /// They are picked when the VM starts, and are the pool's again when it is off; else they are the VM's
    /// from now on.
    #[serde(default)]
    pub at_start: bool,
    /// Codes of findings that shall not stop it.
    #[serde(default)]
    pub accept: Vec<String>,
    #[serde(default)]
    pub dry_run: bool,
}

impl AssignDda {
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        check_names("gpus", &self.gpus)?;
        check_names("accept", &self.accept)?;
        match (&self.pool, self.gpus.is_empty()) {
            (Some(pool), true) => check_name(|| "pool".to_owned(), pool),
            (None, false) if self.count.is_none() && !self.at_start => Ok(()),
            _ => Err(InvalidRequest::GpusOrPool),
        }
    }
}

/// `POST /v1/pools`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreatePool {
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._-]+$"))]
    pub name: String,
    /// Its first GPUs: a pool is there while a GPU is in it.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::Name>, min_items = 1, max_items = 4096))]
    pub gpus: Vec<String>,
}

impl CreatePool {
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        check_name(|| "name".to_owned(), &self.name)?;
        check_names("gpus", &self.gpus)
    }
}

/// `PATCH /v1/pools/{pool}`: one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangePool {
    /// A new name.
    #[serde(default)]
    pub name: Option<String>,
    /// GPUs that come into it.
    #[serde(default)]
    pub add: Vec<String>,
    /// GPUs that leave it.
    #[serde(default)]
    pub take: Vec<String>,
}

impl ChangePool {
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        check_names("add", &self.add)?;
        check_names("take", &self.take)?;
        if let Some(name) = &self.name {
            check_name(|| "name".to_owned(), name)?;
        }
        let given = [self.name.is_some(), !self.add.is_empty(), !self.take.is_empty()];
        match given.iter().filter(|given| **given).count() {
            1 => Ok(()),
            _ => Err(InvalidRequest::OneChangeOfPool),
        }
    }
}

/// `POST /v1/partitions/{partition}/cure`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Cure {
    /// Make all partitions of its GPU again.
    #[serde(default)]
    pub remake_siblings: bool,
    #[serde(default)]
    pub dry_run: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_gpus_are_asked_for_by_name_or_by_pool_and_not_by_both() {
        let named = AssignDda { gpus: vec!["gpu-1".to_owned()], ..AssignDda::default() };
        let pooled = AssignDda { pool: Some("ml".to_owned()), count: Some(2), ..AssignDda::default() };
        assert_eq!((named.validate(), pooled.validate()), (Ok(()), Ok(())));
        for wrong in [
            AssignDda::default(),
            AssignDda { pool: Some("ml".to_owned()), ..named.clone() },
            AssignDda { count: Some(1), ..named.clone() },
            AssignDda { at_start: true, ..named },
        ] {
            assert_eq!(wrong.validate(), Err(InvalidRequest::GpusOrPool));
        }
    }

    #[test]
    fn one_request_changes_one_thing_of_a_pool() {
        let named = ChangePool { name: Some("vdi".to_owned()), ..ChangePool::default() };
        assert_eq!(named.validate(), Ok(()));
        for wrong in [ChangePool::default(), ChangePool { add: vec!["gpu-1".to_owned()], ..named }] {
            assert_eq!(wrong.validate(), Err(InvalidRequest::OneChangeOfPool));
        }
    }
}
