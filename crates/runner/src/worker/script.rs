//! Scripts: the text becomes a file in the job's directory and is executed there.

use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chandler_model::jobs::{Fault, ScriptIntent};

use super::Settings;
use crate::keep::Spec;

/// Name of the script's file.
const FILE: &str = "script";
/// Runs a script whose first line names no interpreter.
const SHELL: &str = "/bin/sh";

/// What the first line names to run the script: a path, without arguments.
fn interpreter(script: &str) -> Option<&str> {
    let line = script.strip_prefix("#!")?.lines().next()?;
    line.split_whitespace().next()
}

/// Writes the script into `dir` and says how it is run.
///
/// # Errors
/// The directory cannot be made (platform), or the script names an interpreter that is not there (work).
pub(super) fn prepare(intent: &ScriptIntent, dir: &Path, settings: &Settings) -> Result<Spec, (Fault, String)> {
    if let Some(missing) = interpreter(&intent.spec.script).filter(|path| !Path::new(path).is_file()) {
        let reason = format!("The interpreter {missing} of the script is not on this worker.");
        return Err((Fault::Work, reason));
    }
    write(intent, dir, settings)
        .map_err(|error| (Fault::Platform, format!("The job's directory could not be prepared: {error}.")))
}

fn write(intent: &ScriptIntent, dir: &Path, settings: &Settings) -> io::Result<Spec> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_is_the_path_on_the_first_line() {
        assert_eq!(interpreter("#!/bin/sh\necho"), Some("/bin/sh"));
        assert_eq!(interpreter("#! /usr/bin/env python3"), Some("/usr/bin/env"));
        assert_eq!(interpreter("#!\n/bin/sh"), None);
        assert_eq!(interpreter("echo #!/bin/sh"), None);
        assert_eq!(interpreter(""), None);
    }
}
