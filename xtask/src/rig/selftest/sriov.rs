//! The GPUs are what they claim, and the kernel answers as it does on a real
//! server, also when the driver is told to fail.

use anyhow::{Result, ensure};

use super::check;
use super::sysfs::{VfCount, driver_of, path, read, set_vf_count, vf_address, write, write_well};
use crate::rig::live::Rig;
use crate::rig::machine::{AMD_GPU, CONTROL_ADDRESS, GPUS, INTEL_GPU, RigGpu};

pub fn checks(rig: &Rig) -> Result<()> {
    for gpu in &GPUS {
        let name = gpu.address;
        check(&format!("{name} has the ids, class and serial of its model"), || identity(rig, gpu))?;
        check(&format!("{name} refuses bad partition counts"), || bad_counts(rig, gpu))?;
        check(&format!("{name} has VFs where its layout puts them"), || vf_layout(rig, gpu))?;
        check(&format!("{name} takes its largest count and zero"), || {
            set_vf_count(rig, name, VfCount(gpu.total_vfs))?;
            set_vf_count(rig, name, VfCount(0))
        })?;
        check(&format!("{name} without a driver refuses a count"), || without_driver(rig, gpu))?;
    }
    check("an injected error is the kernel's answer", || injected_error(rig))?;
    check("an injected delay holds the write up", || injected_delay(rig))?;
    check("a partial success is a success of fewer VFs", || partial(rig))?;
    check("an injected hang ends when it is told to", || hang(rig))?;
    check("a VF's quota is set and read by number", || quota(rig))?;
    check("a reset leaves nothing in a VF", || reset(rig))?;
    check("the stock SR-IOV function takes a count too", || {
        set_vf_count(rig, CONTROL_ADDRESS, VfCount(2))?;
        set_vf_count(rig, CONTROL_ADDRESS, VfCount(0))
    })
}

fn identity(rig: &Rig, gpu: &RigGpu) -> Result<()> {
    expect_file(rig, gpu, "vendor", &format!("{:#06x}", gpu.vendor_id))?;
    expect_file(rig, gpu, "device", &format!("{:#06x}", gpu.device_id))?;
    expect_file(rig, gpu, "class", &format!("{:#08x}", gpu.class))?;
    expect_file(rig, gpu, "sriov_totalvfs", &gpu.total_vfs.to_string())?;
    expect_file(rig, gpu, "sriov_offset", &gpu.vf_offset.to_string())?;
    expect_file(rig, gpu, "sriov_vf_device", &format!("{:x}", gpu.vf_device_id))?;
    let driver = driver_of(rig, gpu.address)?;
    ensure!(driver == "rigpf", "it is driven by {driver:?}");
    // lspci prints the number as bytes, highest first.
    let bytes = gpu.serial.to_be_bytes().map(|byte| format!("{byte:02x}"));
    let line = format!("Device Serial Number {}", bytes.join("-"));
    let shown = rig.expect(&format!("lspci -vv -s {}", gpu.address))?;
    ensure!(shown.contains(&line), "no {line:?} in:\n{shown}");
    Ok(())
}

fn bad_counts(rig: &Rig, gpu: &RigGpu) -> Result<()> {
    expect_answer(rig, gpu, &(gpu.total_vfs + 1).to_string(), Err("ERANGE"))?;
    expect_answer(rig, gpu, "-1", Err("EINVAL"))?;
    expect_answer(rig, gpu, "abc", Err("EINVAL"))?;
    expect_answer(rig, gpu, "3", Ok(()))?;
    expect_answer(rig, gpu, "3", Ok(()))?;
    expect_answer(rig, gpu, "2", Err("EBUSY"))?;
    expect_file(rig, gpu, "sriov_numvfs", "3")?;
    set_vf_count(rig, gpu.address, VfCount(0))
}

fn vf_layout(rig: &Rig, gpu: &RigGpu) -> Result<()> {
    const COUNT: u16 = 7;
    set_vf_count(rig, gpu.address, VfCount(COUNT))?;
    let mut groups = Vec::new();
    for number in 0..COUNT {
        let vf = vf_address(rig, gpu.address, number)?;
        let routing = gpu.vf_offset + number;
        let expected = format!("{}{:02x}.{}", &gpu.address[..8], routing / 8, routing % 8);
        ensure!(vf == expected, "VF {number} is {vf}, not {expected}");
        let ids = [read(rig, &vf, "vendor")?, read(rig, &vf, "device")?];
        let wanted = [gpu.vendor_id, gpu.vf_device_id].map(|id| format!("{id:#06x}"));
        ensure!(ids == wanted, "{vf} has the ids {ids:?}");
        let driver = driver_of(rig, &vf)?;
        ensure!(driver.is_empty(), "{vf} is driven by {driver:?}");
        groups.push(rig.expect(&format!("readlink {}", path(&vf, "iommu_group")))?);
    }
    groups.sort();
    groups.dedup();
    ensure!(groups.len() == usize::from(COUNT), "VFs share IOMMU groups");
    set_vf_count(rig, gpu.address, VfCount(0))?;
    let links = rig.run(&format!("ls {} | grep -c virtfn", path(gpu.address, "")))?;
    ensure!(links.text.trim() == "0", "{} links stay", links.text.trim());
    Ok(())
}

fn without_driver(rig: &Rig, gpu: &RigGpu) -> Result<()> {
    let driver = "/sys/bus/pci/drivers/rigpf";
    write_well(rig, &format!("{driver}/unbind"), gpu.address)?;
    expect_answer(rig, gpu, "1", Err("ENOENT"))?;
    write_well(rig, &format!("{driver}/bind"), gpu.address)
}

fn injected_error(rig: &Rig) -> Result<()> {
    inject(rig, &AMD_GPU, "fail", "28")?;
    expect_answer(rig, &AMD_GPU, "2", Err("ENOSPC"))?;
    expect_file(rig, &AMD_GPU, "sriov_numvfs", "0")?;
    inject(rig, &AMD_GPU, "fail", "0")
}

fn injected_delay(rig: &Rig) -> Result<()> {
    const DELAY_MS: u64 = 1500;
    inject(rig, &INTEL_GPU, "delay_ms", &DELAY_MS.to_string())?;
    let file = path(INTEL_GPU.address, "sriov_numvfs");
    // The machine's own clock, and a lower limit only.
    let took =
        rig.expect(&format!("before=$(date +%s%3N); echo 1 > {file}; echo $(($(date +%s%3N) - before))"))?;
    let took: u64 = took.trim().parse()?;
    ensure!(took >= DELAY_MS, "the write took {took} ms");
    inject(rig, &INTEL_GPU, "delay_ms", "0")?;
    set_vf_count(rig, INTEL_GPU.address, VfCount(0))
}

fn partial(rig: &Rig) -> Result<()> {
    inject(rig, &INTEL_GPU, "partial", "2")?;
    expect_answer(rig, &INTEL_GPU, "5", Ok(()))?;
    expect_file(rig, &INTEL_GPU, "sriov_numvfs", "2")?;
    inject(rig, &INTEL_GPU, "partial", "0")?;
    set_vf_count(rig, INTEL_GPU.address, VfCount(0))
}

fn hang(rig: &Rig) -> Result<()> {
    inject(rig, &AMD_GPU, "hang", "1")?;
    let file = path(AMD_GPU.address, "sriov_numvfs");
    // State D: not even a kill would end the writer now.
    rig.expect(&format!(
        "(echo 4 > {file}; echo done > /run/hung) & writer=$!; \
         for i in $(seq 300); do \
           state=$(cut -d ' ' -f 3 /proc/$writer/stat); [ \"$state\" = D ] && exit 0; sleep 0.1; \
         done; echo \"the writer is in state $state\"; exit 1"
    ))?;
    let ended = rig.run("test -e /run/hung")?;
    ensure!(!ended.is_success(), "the write ended while hung");
    inject(rig, &AMD_GPU, "hang", "0")?;
    rig.expect("for i in $(seq 300); do [ -e /run/hung ] && exit 0; sleep 0.1; done; exit 1")?;
    expect_file(rig, &AMD_GPU, "sriov_numvfs", "4")?;
    set_vf_count(rig, AMD_GPU.address, VfCount(0))
}

fn quota(rig: &Rig) -> Result<()> {
    set_vf_count(rig, AMD_GPU.address, VfCount(2))?;
    inject(rig, &AMD_GPU, "vf_quota", "1 24576")?;
    expect_file(rig, &AMD_GPU, "vf_quota", "0 0\n1 24576")?;
    set_vf_count(rig, AMD_GPU.address, VfCount(0))
}

/// Memory, scratch registers and the reset counter, looked at from outside as
/// a driver on the server would.
fn reset(rig: &Rig) -> Result<()> {
    const RESETS: u64 = 0x8;
    const SCRATCH: u64 = 0x100;
    set_vf_count(rig, AMD_GPU.address, VfCount(1))?;
    let vf = vf_address(rig, AMD_GPU.address, 0)?;
    // QEMU wants a VF's memory decoding on, as a driver would set it.
    rig.expect(&format!("setpci -s {vf} COMMAND=2"))?;
    let (registers, vram) = (bar_start(rig, &vf, 0)?, bar_start(rig, &vf, 2)?);
    let before = peek(rig, registers + RESETS)?;
    for place in [registers + SCRATCH, vram, vram + 0xffffc] {
        rig.expect(&format!("busybox devmem {place:#x} 32 0x5ec2e7"))?;
        ensure!(peek(rig, place)? == 0x005e_c2e7, "{place:#x} keeps nothing");
    }
    write_well(rig, &path(&vf, "reset"), "1")?;
    for place in [registers + SCRATCH, vram, vram + 0xffffc] {
        ensure!(peek(rig, place)? == 0, "{place:#x} keeps a secret");
    }
    let after = peek(rig, registers + RESETS)?;
    ensure!(after == before + 1, "{before} resets became {after}");
    set_vf_count(rig, AMD_GPU.address, VfCount(0))
}

/// Where a BAR begins: the first number of its line in `resource`.
pub fn bar_start(rig: &Rig, address: &str, bar: usize) -> Result<u64> {
    let table = read(rig, address, "resource")?;
    let line = table.lines().nth(bar).unwrap_or_default();
    let start = line.split(' ').next().unwrap_or_default();
    Ok(u64::from_str_radix(start.trim_start_matches("0x"), 16)?)
}

pub fn peek(rig: &Rig, place: u64) -> Result<u32> {
    let text = rig.expect(&format!("busybox devmem {place:#x} 32"))?;
    let digits = text.trim().trim_start_matches("0x");
    Ok(u32::from_str_radix(digits, 16)?)
}

fn inject(rig: &Rig, gpu: &RigGpu, attribute: &str, value: &str) -> Result<()> {
    write_well(rig, &path(gpu.address, attribute), value)
}

fn expect_file(rig: &Rig, gpu: &RigGpu, file: &str, expected: &str) -> Result<()> {
    let found = read(rig, gpu.address, file)?;
    ensure!(found == expected, "{file} holds {found:?}, not {expected:?}");
    Ok(())
}

fn expect_answer(
    rig: &Rig,
    gpu: &RigGpu,
    count: &str,
    expected: std::result::Result<(), &str>,
) -> Result<()> {
    let answer = write(rig, &path(gpu.address, "sriov_numvfs"), count)?;
    ensure!(answer == expected, "{count} gave {answer:?}, not {expected:?}");
    Ok(())
}
