//! Scripts: the text becomes a file in the job's directory and is executed there.

use chandler_core::jobs::link::Materials;
use chandler_model::jobs::{Fault, ScriptIntent};

use super::plain::Plain;
use super::{Prepared, Unpreparable};
use crate::recipe::{File, Program, Recipe};

/// Name of the script's file.
const FILE: &str = "script";
/// Runs a script whose first line names no interpreter.
const SHELL: &str = "/bin/sh";

/// # Errors
/// A secret file has the name of the script's.
pub(super) fn prepare(intent: &ScriptIntent, materials: &Materials) -> Result<Prepared, Unpreparable> {
    let mut command = interpreter(&intent.spec.script);
    command.push(format!("./{FILE}"));
    command.extend(intent.spec.args.iter().cloned());
    let mut files = vec![File::program(FILE, intent.spec.script.as_bytes())];
    for (path, bytes) in &materials.secrets.files {
        if path == FILE {
            return Err((Fault::Work, super::taken(path)));
        }
        files.push(File::new(path, bytes.clone()));
    }
    let env = materials.secrets.env.clone().into_iter().collect();
    Ok(Prepared {
        program: Program::Recipe(Recipe { files, command, env, ..Recipe::default() }),
        reader: Box::new(Plain::new("The script")),
        targets: Vec::new(),
    })
}

/// The program of the first line and, as Linux reads it, the rest of the line as one argument. It is named rather than
/// left to the kernel, because then whoever starts it can say that it is missing.
fn interpreter(script: &str) -> Vec<String> {
    let line = script.strip_prefix("#!").and_then(|rest| rest.lines().next()).unwrap_or_default().trim();
    match line.split_once([' ', '\t']) {
        Some((program, argument)) => vec![program.to_owned(), argument.trim().to_owned()],
        None if line.is_empty() => vec![SHELL.to_owned()],
        None => vec![line.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_a_program_and_at_most_one_argument() {
        assert_eq!(interpreter("echo"), ["/bin/sh"]);
        assert_eq!(interpreter("#!/bin/bash\necho"), ["/bin/bash"]);
        assert_eq!(interpreter("#! /usr/bin/env python3 -u\n"), ["/usr/bin/env", "python3 -u"]);
        assert_eq!(interpreter("#!\necho"), ["/bin/sh"]);
        assert_eq!(interpreter("echo #!/bin/sh"), ["/bin/sh"]);
    }
}
