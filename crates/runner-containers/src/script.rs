//! A script's way into its container: uploaded as an archive, so that neither the user that the runtime maps to nor
//! where its files lie matters, and nothing of the host is mounted.

use chandler_model::jobs::ScriptIntent;

/// The job's own directory in its container: where it starts, with its home and its temporary folder in it.
pub(crate) const DIR: &str = "/chandler";
const FILE: &str = "/chandler/script";
/// Runs a script whose first line names no interpreter.
const SHELL: &str = "/bin/sh";
/// A directory that everybody may write to and nobody may empty: the image decides which user runs.
const SHARED: u32 = 0o1777;

/// The whole command line. The interpreter is named rather than left to the kernel, because then the runtime says it
/// when it is missing.
pub(crate) fn command(intent: &ScriptIntent) -> Vec<String> {
    let mut command = interpreter(&intent.spec.script);
    command.push(FILE.to_owned());
    command.extend(intent.spec.args.iter().cloned());
    command
}

/// The program of the first line and, as Linux reads it, the rest of the line as one argument.
fn interpreter(script: &str) -> Vec<String> {
    let line = script.strip_prefix("#!").and_then(|rest| rest.lines().next()).unwrap_or_default().trim();
    match line.split_once([' ', '\t']) {
        Some((program, argument)) => vec![program.to_owned(), argument.trim().to_owned()],
        None if line.is_empty() => vec![SHELL.to_owned()],
        None => vec![line.to_owned()],
    }
}

/// The job's directory with the script in it, to be unpacked at `/`.
pub(crate) fn archive(intent: &ScriptIntent) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (folder, mode) in [("", 0o777), ("/home", SHARED), ("/tmp", SHARED)] {
        let mut header = header(tar::EntryType::Directory, mode, 0);
        archive.append_data(&mut header, format!("{}{folder}/", &DIR[1..]), std::io::empty())?;
    }
    let script = intent.spec.script.as_bytes();
    let mut header = header(tar::EntryType::Regular, 0o555, script.len() as u64);
    archive.append_data(&mut header, &FILE[1..], script)?;
    archive.into_inner()
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header
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
    }
}
