//! What is given up before the job's program runs: limits and capabilities.
//!
//! Nothing here can be undone by the process it was done to, or by any it starts.

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{
        CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
        configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
        set_capabilities_secure_bits, set_no_new_privs,
    },
};

use crate::keep::{Limits, complain::complain};

/// Sets the limits; one above the worker's own hard limit becomes that limit.
pub(crate) fn limit(limits: &Limits) {
    let wanted =
        [(Resource::Core, Some(0)), (Resource::Nofile, limits.open_files), (Resource::Nproc, limits.processes)];
    for (resource, value) in wanted {
        let Some(value) = value else { continue };
        let value = getrlimit(resource).maximum.map_or(value, |hard| value.min(hard));
        let limit = Rlimit { current: Some(value), maximum: Some(value) };
        if let Err(error) = setrlimit(resource, limit) {
            complain(format_args!("{resource:?} stays unlimited: {error}"));
        }
    }
}

/// Sees to it that programs started from here on have one capability, for mounts, and can never have another, also
/// where the job's user is called root inside the namespace. For the keeper, which keeps its own: the second stage of
/// an ordinary user could not do this. It is the second stage that needs that one and gives it up.
pub(crate) fn withhold_from_children() -> Result<(), String> {
    let mounts = CapabilitySet::SYS_ADMIN;
    let own = capabilities(None).map_err(told)?;
    set_capabilities(None, CapabilitySets { inheritable: mounts, ..own }).map_err(told)?;
    configure_capability_in_ambient_set(mounts, true).map_err(told)?;
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        // The kernel knows fewer than 64; it answers the first unknown one with EINVAL.
        match remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(told(error)),
        }
    }
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    set_capabilities_secure_bits(bits).map_err(told)
}

/// Gives up whatever this process still has, and every way to gain more.
pub(crate) fn give_up() -> Result<(), String> {
    clear_ambient_capability_set().map_err(told)?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).map_err(told)?;
    set_no_new_privs(true).map_err(told)
}

fn told(error: rustix::io::Errno) -> String {
    format!("cannot give up capabilities: {error}")
}
