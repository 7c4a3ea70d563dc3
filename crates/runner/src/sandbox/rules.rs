//! The Landlock rules of a job: files, signals, abstract sockets. Network access is not restricted.
//!
//! The level asked for is required as a whole: below it (Linux 6.12) a job could signal the server, and a sandbox
//! with a hole that nobody sees is worse than a refusal.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use serde::{Deserialize, Serialize};

/// The first that scopes signals and abstract sockets. Version 7 only adds settings of the audit log.
const LEVEL: ABI = ABI::V6;
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
/// A private one, made by the namespaces: Python's locks between processes need it.
pub(super) const SHARED_MEMORY: &str = "/dev/shm";

/// Which paths a job may use; plain data, so that it can be sent to the second stage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Rules {
    pub(crate) read: Vec<PathBuf>,
    pub(crate) write: Vec<PathBuf>,
}

impl Rules {
    /// Confines this process and all it will start, for ever. Sets `no_new_privs`.
    pub(crate) fn apply(&self) -> Result<(), String> {
        let status = self.confine().map_err(|error| format!("Landlock: {error}"))?;
        match status.ruleset {
            RulesetStatus::FullyEnforced if status.no_new_privs => Ok(()),
            _ => Err(format!("Landlock: not in force ({status:?})")),
        }
    }

    fn confine(&self) -> Result<RestrictionStatus, RulesetError> {
        let execute = AccessFs::from_read(LEVEL);
        let look = make_bitflags!(AccessFs::{ReadFile | ReadDir});
        let devices = make_bitflags!(AccessFs::{ReadFile | WriteFile | Truncate});
        let own = AccessFs::from_all(LEVEL) & !make_bitflags!(AccessFs::{MakeChar | MakeBlock | IoctlDev});

        let mut rules = ruleset()?;
        rules = allow(rules, &self.read, execute)?;
        rules = allow(rules, &self.write, own)?;
        rules = allow(rules, &["/proc"], look)?;
        rules = allow(rules, &DEVICES, devices)?;
        rules = allow(rules, &[SHARED_MEMORY], own & !AccessFs::Execute)?;
        rules.restrict_self()
    }
}

/// The level of Landlock of the running kernel, found by confining this very process; `None` without Landlock.
pub(super) fn confine_to_find_level() -> Option<u32> {
    let made = Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(AccessFs::from_all(ABI::V1));
    let status = made.and_then(Ruleset::create).and_then(RulesetCreated::restrict_self).ok()?;
    match status.landlock {
        LandlockStatus::Available { effective_abi, kernel_abi } => {
            let known = effective_abi as u32;
            Some(kernel_abi.and_then(|newer| u32::try_from(newer).ok()).unwrap_or(known))
        }
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => None,
    }
}

/// Whether a kernel of that level can confine jobs.
pub(super) fn is_enough(level: u32) -> bool {
    level >= LEVEL as u32
}

fn ruleset() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(LEVEL))?
        .scope(Scope::from_all(LEVEL))?
        .create()
}

/// What is not there needs no rule. Rules on single files take only what files have.
fn allow<P: AsRef<Path>>(
    mut rules: RulesetCreated,
    paths: &[P],
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    for path in paths.iter().map(AsRef::as_ref) {
        let Ok(handle) = PathFd::new(path) else { continue };
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(LEVEL) };
        rules = rules.add_rule(PathBeneath::new(handle, access))?;
    }
    Ok(rules)
}
