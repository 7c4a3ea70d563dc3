//! How a container of an environment is run: exactly the fields of the Run:ai contract 3.1.1 in core names.
//!
//! `None` is "not set", which is not the same as the default: an executor applies its own. Only container jobs apply a
//! RunSpec, and one that names a field which the executor cannot honour fails the job (`docs/core/jobs.md` 6).

use serde::{Deserialize, Serialize};

/// Everything but image and pull policy, which are columns of the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunSpec {
    /// Replaces the image's entry point; POSIX-split when run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Replaces the image's arguments; POSIX-split when run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<String>,
    /// Absolute path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_home: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<bool>,
    /// Needs `stdin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tty: Option<bool>,
}

impl RunSpec {
    /// Lays another over this one: what is set there counts. Variables are merged by name.
    pub fn lay(&mut self, over: Self) {
        let Self { command, args, working_dir, env, create_home, stdin, tty } = over;
        self.command = command.or(self.command.take());
        self.args = args.or(self.args.take());
        self.working_dir = working_dir.or(self.working_dir.take());
        self.create_home = create_home.or(self.create_home);
        self.stdin = stdin.or(self.stdin);
        self.tty = tty.or(self.tty);
        for variable in env {
            match self.env.iter_mut().find(|present| present.name == variable.name) {
                Some(present) => *present = variable,
                None => self.env.push(variable),
            }
        }
    }
}

/// One environment variable. Without a value it is a name with instructions only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvVar {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}
