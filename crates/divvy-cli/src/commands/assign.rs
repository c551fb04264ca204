//! `divvy assign`: gives VMs a partition each. Which one is the server's choice; asking for a certain one
//! is passed on, so that the refusal and its reason come from where the rule is.

use divvy_api::requests;

use crate::cli::{ChangeOptions, name};
use crate::commands::change::{Followed, follow};
use crate::commands::{Context, vm};
use crate::exit::Exit;
use crate::failure::Failure;

/// Give VMs a partition each; Divvy picks it
#[derive(Debug, clap::Args)]
pub struct Assign {
    /// Ids or names
    #[arg(value_name = "VM", value_parser = name(), required = true)]
    vms: Vec<String>,
    /// The GPU that the partitions shall be of; any of the VM's server when left out
    #[arg(long, value_name = "GPU", value_parser = name())]
    gpu: Option<String>,
    /// The least memory that each partition shall have, as 20GiB or 512MiB; the smallest free one that has
    /// as much is given
    #[arg(long = "memory", value_name = "SIZE", value_parser = memory)]
    memory_bytes: Option<u64>,
    /// Always refused: Divvy picks the partition
    #[arg(long, value_name = "PARTITION", value_parser = name(), hide = true)]
    partition: Option<String>,
    /// Go on in spite of a finding that may be accepted, by its code; may be given again
    #[arg(long, value_name = "FINDING", value_parser = name())]
    accept: Vec<String>,
    #[command(flatten)]
    options: ChangeOptions,
}

impl Assign {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        let (gpu, partition, accept) = (self.gpu.clone(), self.partition.clone(), self.accept.clone());
        let (memory_bytes, dry_run) = (self.memory_bytes, self.options.dry_run);
        let client = self.options.client(&cx.client);
        let answer = match self.vms.as_slice() {
            [vm] => {
                let request = requests::AssignOne { gpu, memory_bytes, partition, accept, dry_run };
                client.assign_one(vm, &request).await?
            }
            vms => {
                let vms = vms.to_vec();
                let request = requests::Assign { vms, gpu, memory_bytes, partition, accept, dry_run };
                client.assign(&request).await?
            }
        };
        match follow(cx, answer, &self.options).await? {
            Followed::Printed => {}
            Followed::ToItsEnd(_) => vm::print_after(cx, &self.vms).await?,
        }
        Ok(Exit::Done)
    }
}

/// A number with its unit: GiB, MiB, or B for bytes.
fn memory(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim() {
        "GiB" => 30,
        "MiB" => 20,
        "B" => 0,
        _ => return Err("a size is a whole number with its unit, as 20GiB or 512MiB".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a size begins with a whole number".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "no GPU has so much memory".to_owned())
}

#[cfg(test)]
mod tests {
    use super::memory;

    #[test]
    fn a_size_has_a_number_and_a_unit() {
        for (text, bytes) in [("20GiB", 20 << 30), ("512MiB", 512 << 20), ("35 GiB", 35 << 30), ("7B", 7)] {
            assert_eq!(memory(text), Ok(bytes), "{text}");
        }
        for text in ["", "20", "GiB", "20GB", "-1GiB", "1.5GiB", "99999999999GiB", "20gib"] {
            assert!(memory(text).is_err(), "{text}");
        }
    }
}
