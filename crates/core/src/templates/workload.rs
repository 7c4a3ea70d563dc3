//! What the content of a workload template must be like.

use chandler_model::errors::Code;
use chandler_model::templates::WorkloadSpec;

use super::bounds;
use crate::environments::{check_image, check_run};
use crate::input::Check;

pub(super) fn check(check: &mut Check, spec: &WorkloadSpec) {
    if let Some(image) = &spec.image {
        check.take("spec.image", check_image(image));
    }
    // The environment has its own.
    check.require(spec.pull.is_none() || spec.image.is_some(), "spec.pull", Code::Format { rule: "needs image" });
    check_run(check, "spec.run", &spec.run);
    bounds::retries(check, spec.retries);
    bounds::timeout(check, spec.timeout_s);
}

#[cfg(test)]
mod tests {
    use chandler_model::environments::Pull;
    use chandler_model::run_spec::{EnvVar, RunSpec};

    use super::*;

    #[test]
    fn a_container_can_be_run_as_it_says() {
        let told = |spec: &WorkloadSpec| {
            let mut found = Check::default();
            check(&mut found, spec);
            found.told()
        };
        assert_eq!(told(&WorkloadSpec::default()), "");
        let variable = |name: &str| EnvVar { name: name.to_owned(), value: None, description: None };
        let run = RunSpec {
            command: Some("sh -c 'echo".to_owned()),
            args: Some("a \"b c\" d\\ e".to_owned()),
            working_dir: Some("srv".to_owned()),
            env: vec![variable("A"), variable("A=B"), variable("A")],
            tty: Some(true),
            ..RunSpec::default()
        };
        let wrong = WorkloadSpec { pull: Some(Pull::Never), run, retries: 101, timeout_s: Some(0), image: None };
        assert_eq!(
            told(&wrong),
            "spec.pull Format, spec.run.command Format, spec.run.env.1.name Format, spec.run.env.2.name NotUnique, \
             spec.run.working_dir Format, spec.run.tty Format, spec.retries Range, spec.timeout_s Range"
        );
        let image = |image: &str| WorkloadSpec { image: Some(image.to_owned()), ..WorkloadSpec::default() };
        assert_eq!(told(&image("")), "spec.image Blank");
        assert_eq!(told(&image("a b")), "spec.image Format");
        assert_eq!(told(&WorkloadSpec { pull: Some(Pull::Never), ..image("busybox") }), "");
    }
}
