//! Scripts: the text becomes a file in the job's directory and is executed there.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chandler_model::jobs::ScriptIntent;

use super::Settings;
use crate::keep::Spec;

/// Name of the script's file.
const FILE: &str = "script";
/// Runs a script whose first line names no interpreter.
const SHELL: &str = "/bin/sh";

/// Writes the script into `dir` and says how it is run.
pub(super) fn prepare(intent: &ScriptIntent, dir: &Path, settings: &Settings) -> io::Result<Spec> {
    use std::io::Write;
    std::fs::DirBuilder::new().recursive(false).create(dir)?;
    let path = dir.join(FILE);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o700).open(&path)?;
    file.write_all(intent.spec.script.as_bytes())?;
    drop(file);

    let mut spec = if intent.spec.script.starts_with("#!") {
        Spec::new(&path, dir)
    } else {
        let mut spec = Spec::new(SHELL, dir);
        spec.args.push(path.to_string_lossy().into_owned());
        spec
    };
    spec.args.extend(intent.spec.args.iter().cloned());
    spec.confinement.read.clone_from(&settings.read);
    spec.confinement.write.clone_from(&settings.write);
    spec.confinement.cover.clone_from(&settings.cover);
    spec.confinement.unsandboxed = settings.unsandboxed;
    Ok(spec)
}
