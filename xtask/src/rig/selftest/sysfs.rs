//! Reading and writing the files of a PCI device in the rig, with the kernel's
//! answer as an errno name.

use anyhow::{Result, bail, ensure};

use crate::rig::live::{Rig, quote};

/// The errors that the checks expect, by the text that the C library has.
const ERRORS: [(&str, &str); 7] = [
    ("Numerical result out of range", "ERANGE"),
    ("Invalid argument", "EINVAL"),
    ("Device or resource busy", "EBUSY"),
    ("No such file or directory", "ENOENT"),
    ("No space left on device", "ENOSPC"),
    ("Input/output error", "EIO"),
    ("File exists", "EEXIST"),
];

pub struct VfCount(pub u16);

pub fn path(address: &str, file: &str) -> String {
    format!("/sys/bus/pci/devices/{address}/{file}")
}

pub fn read(rig: &Rig, address: &str, file: &str) -> Result<String> {
    let text = rig.expect(&format!("cat {}", path(address, file)))?;
    Ok(text.trim_end().to_string())
}

/// Writes a value; the answer is `Ok` or the name of the errno.
pub fn write(rig: &Rig, path: &str, value: &str) -> Result<std::result::Result<(), &'static str>> {
    let output = rig.run(&format!("printf %s {} > {path}", quote(value)))?;
    if output.is_success() {
        return Ok(Ok(()));
    }
    for (text, errno) in ERRORS {
        if output.text.contains(text) {
            return Ok(Err(errno));
        }
    }
    bail!("writing {value} to {path} failed oddly: {}", output.text)
}

pub fn write_well(rig: &Rig, path: &str, value: &str) -> Result<()> {
    let answer = write(rig, path, value)?;
    ensure!(answer.is_ok(), "{value} to {path} gave {answer:?}");
    Ok(())
}

pub fn set_vf_count(rig: &Rig, address: &str, count: VfCount) -> Result<()> {
    write_well(rig, &path(address, "sriov_numvfs"), &count.0.to_string())?;
    let now = read(rig, address, "sriov_numvfs")?;
    ensure!(now == count.0.to_string(), "{address} has {now} VFs on");
    Ok(())
}

/// The driver's name, empty if there is none.
pub fn driver_of(rig: &Rig, address: &str) -> Result<String> {
    let link = rig.run(&format!("readlink {}", path(address, "driver")))?;
    let name = link.text.trim().rsplit('/').next().unwrap_or_default();
    Ok(name.to_string())
}

/// The address of a VF, by the PF's link to it.
pub fn vf_address(rig: &Rig, pf: &str, number: u16) -> Result<String> {
    let link = rig.expect(&format!("readlink {}", path(pf, &format!("virtfn{number}"))))?;
    Ok(link.trim().trim_start_matches("../").to_string())
}
