//! Keys and records: how each item of the desired state, each job and each event stands in a store.
//!
//! A record is JSON, the version of its schema and a checksum over name, version and text, so a flipped
//! bit, a record under another one's name and a record of a newer Divvy are told apart and named. Which
//! store holds the record is not known here.

use std::fmt;

use divvy_core::assignment::{Assignment, Hold, Returning};
use divvy_core::desired::{Desired, Generation, PartitionSetting};
use divvy_core::id::{GpuId, PartitionId, PoolName, ServerId, VmId};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::error::RecordError;

/// The schema that this Divvy writes; it reads this and all older ones.
pub const SCHEMA: u32 = 1;

/// The name of one item of the desired state. Ordered by server within each kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    Generation(ServerId),
    Setting(ServerId, GpuId),
    Assignment(ServerId, VmId),
    Hold(ServerId, PartitionId),
    Returning(ServerId, GpuId),
    Pool(ServerId, GpuId),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generation(server) => write!(f, "generation/{server}"),
            Self::Setting(server, gpu) => write!(f, "setting/{server}/{gpu}"),
            Self::Assignment(server, vm) => write!(f, "assignment/{server}/{vm}"),
            Self::Hold(server, partition) => write!(f, "hold/{server}/{partition}"),
            Self::Returning(server, gpu) => write!(f, "returning/{server}/{gpu}"),
            Self::Pool(server, gpu) => write!(f, "pool/{server}/{gpu}"),
        }
    }
}

impl Key {
    /// Parses what `Display` prints. No id contains a slash.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let wrong = || RecordError::Name { record: text.to_owned() };
        let (kind, rest) = text.split_once('/').ok_or_else(wrong)?;
        if kind == "generation" {
            return Ok(Self::Generation(rest.parse().map_err(|_| wrong())?));
        }
        let (server, item) = rest.split_once('/').ok_or_else(wrong)?;
        let server = server.parse().map_err(|_| wrong())?;
        Ok(match kind {
            "setting" => Self::Setting(server, item.parse().map_err(|_| wrong())?),
            "assignment" => Self::Assignment(server, item.parse().map_err(|_| wrong())?),
            "hold" => Self::Hold(server, item.parse().map_err(|_| wrong())?),
            "returning" => Self::Returning(server, item.parse().map_err(|_| wrong())?),
            "pool" => Self::Pool(server, item.parse().map_err(|_| wrong())?),
            _ => return Err(wrong()),
        })
    }

    /// The record of this item; None when the desired state has no such item.
    pub(crate) fn seal_from(&self, desired: &Desired) -> Result<Option<Record>, RecordError> {
        fn seal<T: Serialize>(key: &Key, value: Option<&T>) -> Result<Option<Record>, RecordError> {
            value.map(|value| Record::seal(&key.to_string(), value)).transpose()
        }
        let of = |server| desired.server(server);
        match self {
            Self::Generation(server) => seal(self, of(server).map(|s| &s.generation)),
            Self::Setting(server, gpu) => seal(self, of(server).and_then(|s| s.settings.get(gpu))),
            Self::Assignment(server, vm) => seal(self, of(server).and_then(|s| s.assignments.get(vm))),
            Self::Hold(server, partition) => seal(self, of(server).and_then(|s| s.holds.get(partition))),
            Self::Returning(server, gpu) => seal(self, of(server).and_then(|s| s.returns.get(gpu))),
            Self::Pool(server, gpu) => seal(self, of(server).and_then(|s| s.pools.get(gpu))),
        }
    }

    /// Puts the item that the record holds into the desired state.
    pub(crate) fn unseal_into(self, raw: &RawRecord<'_>, desired: &mut Desired) -> Result<(), RecordError> {
        let name = self.to_string();
        match self {
            Self::Generation(id) => {
                desired.server_mut(&id).generation = raw.unseal::<Generation>(&name)?;
            }
            Self::Setting(id, gpu) => {
                let setting = raw.unseal::<PartitionSetting>(&name)?;
                desired.server_mut(&id).settings.insert(gpu, setting);
            }
            Self::Assignment(id, vm) => {
                let assignment = raw.unseal::<Assignment>(&name)?;
                if assignment.vm != vm {
                    return Err(RecordError::Misplaced { record: name });
                }
                desired.server_mut(&id).assignments.insert(vm, assignment);
            }
            Self::Hold(id, partition) => {
                let hold = raw.unseal::<Hold>(&name)?;
                desired.server_mut(&id).holds.insert(partition, hold);
            }
            Self::Returning(id, gpu) => {
                let returning = raw.unseal::<Returning>(&name)?;
                desired.server_mut(&id).returns.insert(gpu, returning);
            }
            Self::Pool(id, gpu) => {
                let pool = raw.unseal::<PoolName>(&name)?;
                desired.server_mut(&id).pools.insert(gpu, pool);
            }
        }
        Ok(())
    }
}

/// A record as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub schema: u32,
    pub value: Box<RawValue>,
    pub checksum: u32,
}

impl Record {
    pub fn seal<T: Serialize>(name: &str, value: &T) -> Result<Self, RecordError> {
        let value = to_raw_value(value)
            .map_err(|source| RecordError::Unwritable { record: name.to_owned(), source })?;
        Ok(Self::of_text(name, SCHEMA, value))
    }

    /// Of text that is known to be what the schema says.
    pub fn of_text(name: &str, schema: u32, value: Box<RawValue>) -> Self {
        let checksum = checksum(name, i64::from(schema), value.get().as_bytes());
        Self { schema, value, checksum }
    }

    pub fn raw(&self) -> RawRecord<'_> {
        RawRecord {
            schema: i64::from(self.schema),
            value: self.value.get().as_bytes(),
            checksum: i64::from(self.checksum),
        }
    }
}

/// A record as it was read: nothing about it is known to be true.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawRecord<'a> {
    pub schema: i64,
    pub value: &'a [u8],
    pub checksum: i64,
}

impl<'a> RawRecord<'a> {
    pub fn unseal<T: Deserialize<'a>>(&self, name: &str) -> Result<T, RecordError> {
        if i64::from(checksum(name, self.schema, self.value)) != self.checksum {
            return Err(RecordError::Checksum { record: name.to_owned() });
        }
        if self.schema > i64::from(SCHEMA) {
            return Err(RecordError::Newer { record: name.to_owned(), found: self.schema });
        }
        serde_json::from_slice(self.value)
            .map_err(|source| RecordError::Malformed { record: name.to_owned(), source })
    }
}

fn checksum(name: &str, schema: i64, value: &[u8]) -> u32 {
    // The zero byte ends the name: no name contains one, so no two records run into the same bytes.
    let sum = crc32c::crc32c(name.as_bytes());
    let sum = crc32c::crc32c_append(sum, &[0]);
    let sum = crc32c::crc32c_append(sum, &schema.to_le_bytes());
    crc32c::crc32c_append(sum, value)
}

#[cfg(test)]
mod tests;
