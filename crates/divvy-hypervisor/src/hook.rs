//! What libvirt tells its `qemu` hook: which VM, what is about to happen to it, and its definition on
//! standard input. Whether that may happen is not decided here.
//!
//! libvirt calls every file of `/etc/libvirt/hooks/qemu.d/`, as
//! `divvy VM-NAME OPERATION SUB-OPERATION EXTRA < definition`, and a VM whose hook fails at `prepare`,
//! `start`, `migrate`, `restore`, `reconnect` or `attach` does not run, or, at `reconnect` and
//! `attach`, runs no longer. The hook may not call libvirt: libvirt waits for it. It may not print
//! either: at `migrate` and `restore` libvirt takes what it prints for the new definition.

use divvy_core::device::DeviceHandle;
use divvy_core::id::{InvalidId, VmId};

use crate::domain_xml::{self, DefinitionError};

/// What happens to the VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Before anything is done for a start.
    Prepare,
    /// Right before its QEMU is started; disks and devices are ready.
    Start,
    Started,
    Stopped,
    /// After everything that the VM held was let go.
    Release,
    /// A migration from another server arrives.
    Migrate,
    /// It is started from a saved memory image.
    Restore,
    /// libvirt was started again and found the VM running.
    Reconnect,
    /// libvirt takes over a QEMU that it did not start.
    Attach,
}

const OPERATIONS: [(&str, Operation); 9] = [
    ("prepare", Operation::Prepare),
    ("start", Operation::Start),
    ("started", Operation::Started),
    ("stopped", Operation::Stopped),
    ("release", Operation::Release),
    ("migrate", Operation::Migrate),
    ("restore", Operation::Restore),
    ("reconnect", Operation::Reconnect),
    ("attach", Operation::Attach),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubOperation {
    Begin,
    End,
    None,
}

/// One call of the hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCall {
    pub operation: Operation,
    pub sub_operation: SubOperation,
    /// What libvirt adds (why a VM stopped, in newer versions); most calls have none.
    pub extra: Option<String>,
    pub vm: VmId,
    pub name: String,
    /// Every device of the server in the VM, in the order of its definition.
    pub devices: Vec<DeviceHandle>,
}

/// Why a call of the hook cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    #[error("the hook got {count} arguments instead of VM, operation, sub-operation and extra")]
    Arguments { count: usize },
    #[error("the hook was called for an operation that is not known: {text:?}")]
    Operation { text: String },
    #[error("the hook was called for a sub-operation that is not known: {text:?}")]
    SubOperation { text: String },
    #[error("the hook got a definition that cannot be read")]
    Definition { source: DefinitionError },
    #[error("the hook got the definition of VM {definition:?} for VM {argument:?}")]
    OtherVm { argument: String, definition: String },
    #[error("the hook got a definition whose id is no VM's")]
    VmId { source: InvalidId },
}

impl HookCall {
    /// Understands one call: its arguments without the program's name, and its standard input.
    pub fn parse<S: AsRef<str>>(arguments: &[S], xml: &str) -> Result<Self, HookError> {
        // Later versions of libvirt may add arguments at the end; four there have always been.
        let [name, operation, sub_operation, extra, ..] = arguments else {
            return Err(HookError::Arguments { count: arguments.len() });
        };
        let (name, operation, extra) = (name.as_ref(), operation.as_ref(), extra.as_ref());
        let known = OPERATIONS.iter().find(|(text, _)| *text == operation);
        let operation = known.ok_or_else(|| HookError::Operation { text: operation.to_owned() })?.1;
        let sub_operation = sub(sub_operation.as_ref())?;
        let definition = domain_xml::read(xml).map_err(|source| HookError::Definition { source })?;
        if definition.name != name {
            return Err(HookError::OtherVm { argument: name.to_owned(), definition: definition.name });
        }
        Ok(Self {
            operation,
            sub_operation,
            extra: Some(extra).filter(|extra| !matches!(*extra, "-" | "")).map(str::to_owned),
            vm: VmId::new(&definition.uuid).map_err(|source| HookError::VmId { source })?,
            name: definition.name,
            devices: definition.devices.iter().map(|device| device.handle).collect(),
        })
    }
}

fn sub(text: &str) -> Result<SubOperation, HookError> {
    match text {
        "begin" => Ok(SubOperation::Begin),
        "end" => Ok(SubOperation::End),
        "-" => Ok(SubOperation::None),
        _ => Err(HookError::SubOperation { text: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests;
