//! The master key: 32 bytes, written as base64, from the configuration or from `<data>/master.key`, which is made once.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chandler_core::secrets::Sealer;

use crate::config::Config;
use crate::problem::{Advise, Problem};

/// Name of the file in the data directory.
const FILE: &str = "master.key";
const FORM: &str = "it is 32 random bytes as base64: `head -c 32 /dev/urandom | base64` makes one";

/// The key of this installation.
pub(super) fn load(config: &Config) -> anyhow::Result<[u8; 32]> {
    if let Some(key) = &config.master_key {
        return decode(key.expose(), "CHANDLER_MASTER_KEY");
    }
    match &config.master_key_file {
        Some(path) => read(path),
        None => {
            let path = config.data.join(FILE);
            if !path.try_exists().advise(format!("{} cannot be read", path.display()), "check its rights")? {
                make(&path)?;
            }
            read(&path)
        }
    }
}

fn read(path: &Path) -> anyhow::Result<[u8; 32]> {
    let next = "check that the file exists and may be read by this user";
    let text = fs::read_to_string(path).advise(format!("the master key {} cannot be read", path.display()), next)?;
    decode(&text, &path.display().to_string())
}

fn decode(text: &str, source: &str) -> anyhow::Result<[u8; 32]> {
    let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.ok_or_else(|| Problem::new(format!("{source} holds no master key"), FORM).into())
}

/// Makes the key's file, whole or not at all: half a key would lock the installation's secrets away.
fn make(path: &Path) -> anyhow::Result<()> {
    let half = path.with_extension("new");
    let next = "check that the data directory may be written by this user";
    let write = || -> std::io::Result<()> {
        match fs::remove_file(&half) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half)?;
        writeln!(file, "{}", STANDARD.encode(Sealer::random_key()))?;
        file.sync_all()?;
        fs::rename(&half, path)?;
        fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().advise(format!("the master key {} cannot be made", path.display()), next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_for_this_user_only_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap(), read(&path).unwrap());
        assert!(!path.with_extension("new").exists());
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        for wrong in ["", "short", &STANDARD.encode([0; 31]), &STANDARD.encode([0; 33]), "§§§"] {
            let error = decode(wrong, "CHANDLER_MASTER_KEY").unwrap_err().to_string();
            assert_eq!(error, "CHANDLER_MASTER_KEY holds no master key");
        }
    }
}
