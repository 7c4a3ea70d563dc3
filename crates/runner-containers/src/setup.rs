//! What a container starts and how: of a recipe, or of what the image brings. A field that cannot be honoured is a
//! reason to fail, never left out.

use chandler_model::jobs::Fault;
use chandler_model::run_spec::RunSpec;
use chandler_runner::executor::Work;
use chandler_runner::recipe::{Program, Recipe};

use crate::archive::DIR;

/// The part of a container that the job decides. What is not set is the image's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) entrypoint: Option<Vec<String>>,
    pub(crate) args: Option<Vec<String>>,
    pub(crate) env: Vec<String>,
    pub(crate) working_dir: Option<String>,
    pub(crate) tty: bool,
    pub(crate) stdin: bool,
}

impl Setup {
    /// # Errors
    /// The job cannot be run as it wants: whose fault, and a sentence.
    pub(crate) fn of(work: &Work) -> Result<Self, (Fault, String)> {
        let mut setup = match &work.program {
            Program::Recipe(recipe) => of_recipe(recipe),
            Program::Image(own) => of_spec(&own.run).map(|mut setup| {
                for (name, value) in &own.env {
                    set(&mut setup.env, name, value);
                }
                setup
            }),
        }
        .map_err(|reason| (Fault::Platform, reason))?;
        set(&mut setup.env, "CHANDLER_JOB_ID", &work.job.to_string());
        Ok(setup)
    }
}

fn of_recipe(recipe: &Recipe) -> Result<Setup, String> {
    let mut command = recipe.command.clone();
    let Some(program) = command.first_mut() else { return Err("The job has no command.".to_owned()) };
    if program.contains('/') && !program.starts_with('/') {
        *program = format!("{DIR}/{}", program.trim_start_matches("./"));
    }
    let mut env = vec![format!("HOME={DIR}/home"), format!("TMPDIR={DIR}/tmp"), "LANG=C.UTF-8".to_owned()];
    for (name, value) in &recipe.env {
        set(&mut env, name, value);
    }
    Ok(Setup {
        // All of it as entry point: with some runtimes the image's own arguments would be added to it otherwise.
        entrypoint: Some(command),
        args: Some(Vec::new()),
        env,
        working_dir: Some(DIR.to_owned()),
        tty: false,
        stdin: false,
    })
}

fn of_spec(spec: &RunSpec) -> Result<Setup, String> {
    let RunSpec { command, args, working_dir, env: variables, create_home, stdin, tty } = spec;
    if *create_home == Some(true) {
        return Err("The field create_home cannot be honoured by this worker.".to_owned());
    }
    let (tty, stdin) = (tty.unwrap_or(false), stdin.unwrap_or(false));
    if tty && !stdin {
        return Err("The field tty cannot be honoured without stdin. Set stdin too.".to_owned());
    }
    if let Some(folder) = working_dir.as_deref().filter(|folder| !folder.starts_with('/')) {
        return Err(format!("The field working_dir cannot be honoured: {folder} is no absolute path."));
    }
    let entrypoint = command.as_deref().map(|text| words("command", text)).transpose()?;
    if entrypoint.as_ref().is_some_and(Vec::is_empty) {
        return Err("The field command cannot be honoured: it names no program.".to_owned());
    }
    let args = args.as_deref().map(|text| words("args", text)).transpose()?;
    // Arguments of the image belong to the program of the image.
    let args = args.or_else(|| entrypoint.as_ref().map(|_| Vec::new()));
    let mut env = Vec::new();
    for variable in variables {
        if variable.name.is_empty() || variable.name.contains(['=', '\0']) {
            return Err(format!("The variable {:?} cannot be set: that is no name.", variable.name));
        }
        if let Some(value) = &variable.value {
            set(&mut env, &variable.name, value);
        }
    }
    Ok(Setup { entrypoint, args, env, working_dir: working_dir.clone(), tty, stdin })
}

/// As a shell would take it apart, without any other meaning of a shell.
fn words(field: &str, text: &str) -> Result<Vec<String>, String> {
    shlex::split(text).ok_or_else(|| format!("The field {field} cannot be honoured: a quote in it is not closed."))
}

/// Sets a variable, in the place of an earlier value.
fn set(env: &mut Vec<String>, name: &str, value: &str) {
    let is_it = |known: &String| known.split_once('=').is_some_and(|(known, _)| known == name);
    env.retain(|known| !is_it(known));
    env.push(format!("{name}={value}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use chandler_model::run_spec::EnvVar;

    fn refused(spec: &RunSpec) -> String {
        of_spec(spec).unwrap_err()
    }

    #[test]
    fn what_is_not_set_is_left_to_the_image() {
        assert_eq!(of_spec(&RunSpec::default()).unwrap(), Setup::default());
        let args = RunSpec { args: Some("a 'b c'".to_owned()), ..RunSpec::default() };
        let setup = of_spec(&args).unwrap();
        assert_eq!((setup.entrypoint, setup.args), (None, Some(vec!["a".to_owned(), "b c".to_owned()])));
    }

    #[test]
    fn a_command_does_not_get_the_arguments_of_the_image() {
        let command = RunSpec { command: Some("sh -c".to_owned()), ..RunSpec::default() };
        assert_eq!(of_spec(&command).unwrap().args, Some(Vec::new()));
    }

    #[test]
    fn a_variable_without_a_value_is_not_set_and_the_last_one_counts() {
        let variable = |name: &str, value: Option<&str>| EnvVar {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            description: None,
        };
        let env = vec![variable("A", Some("1")), variable("B", None), variable("A", Some("2"))];
        assert_eq!(of_spec(&RunSpec { env, ..RunSpec::default() }).unwrap().env, ["A=2"]);
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        let text = |text: &str| Some(text.to_owned());
        let create_home = refused(&RunSpec { create_home: Some(true), ..RunSpec::default() });
        assert_eq!(create_home, "The field create_home cannot be honoured by this worker.");
        assert!(of_spec(&RunSpec { create_home: Some(false), ..RunSpec::default() }).is_ok());
        assert!(refused(&RunSpec { tty: Some(true), ..RunSpec::default() }).contains("stdin"));
        assert!(refused(&RunSpec { command: text("echo 'x"), ..RunSpec::default() }).contains("quote"));
        assert!(refused(&RunSpec { command: text(" "), ..RunSpec::default() }).contains("no program"));
        assert!(refused(&RunSpec { args: text("\""), ..RunSpec::default() }).contains("quote"));
        assert!(refused(&RunSpec { working_dir: text("tmp"), ..RunSpec::default() }).contains("absolute"));
    }
}
