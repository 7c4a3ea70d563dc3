//! The configuration as an operator meets it: layers, mistakes, what is printed.

use std::fs;

use super::table::{Preset, SETTINGS, Setting};
use super::*;

fn inputs(environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Inputs {
    Inputs {
        file: None,
        environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        flags: flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
    }
}

fn with_file<T>(text: &str, mut inputs: Inputs, then: impl FnOnce(Result<Config, Error>, &str) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chandler.toml");
    fs::write(&path, text).unwrap();
    inputs.file = Some(path.clone());
    then(Config::load(&inputs), path.to_str().unwrap())
}

fn env_error(name: &str, value: &str) -> String {
    Config::load(&inputs(&[(name, value)], &[])).unwrap_err().to_string()
}

#[test]
fn without_any_input_the_defaults_hold() {
    let config = Config::load(&Inputs::default()).unwrap();
    assert_eq!(config.data, PathBuf::from("./chandler-data"));
    assert_eq!(config.database().to_string(), "sqlite:./chandler-data/chandler.db");
    for (index, listener) in Listener::ALL.into_iter().enumerate() {
        assert_eq!(*config.listen.get(listener), Listen::At(format!("127.0.0.1:{}", 7080 + index)));
        assert_eq!(*config.source(&listener.setting()), Source::Default);
    }
    assert_eq!((config.limits.body, config.limits.in_flight), (Size(4 << 20), 512));
    assert_eq!(config.worker.slots as usize, std::thread::available_parallelism().unwrap().get());
    assert!(config.worker.enabled && !config.worker.unsandboxed && config.worker.sandbox.read.is_empty());
    assert_eq!((config.admin.login.as_str(), config.admin.email.as_str()), ("admin", "admin@example.com"));
    assert!(config.admin.password.is_none() && config.master_key.is_none());
    assert_eq!((config.log.as_str(), config.log_format), ("info", LogFormat::Text));
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = "data = '/file'\nlog = 'warn'\n[listen]\nconsole = 'h:1'\nawx = 'off'\n[worker]\nslots = 3\n";
    let inputs = inputs(
        &[("CHANDLER_DATA", "/env"), ("CHANDLER_LISTEN_CONSOLE", "h:2"), ("CHANDLER_WORKER_ENABLED", "false")],
        &[("listen.console", "h:3")],
    );
    with_file(file, inputs, |config, path| {
        let config = config.unwrap();
        assert_eq!(config.data, PathBuf::from("/env"));
        assert_eq!(config.log, "warn");
        assert_eq!(*config.listen.get(Listener::Console), Listen::At("h:3".into()));
        assert_eq!(*config.listen.get(Listener::Awx), Listen::Off);
        assert_eq!((config.worker.slots, config.worker.enabled), (3, false));
        assert_eq!(*config.source("log"), Source::File(path.into()));
        assert_eq!(*config.source("data"), Source::Environment("CHANDLER_DATA".into()));
        assert_eq!(*config.source("listen.console"), Source::Flag("listen-console".into()));
        assert_eq!(*config.source("limits.body"), Source::Default);
    });
}

#[test]
fn every_setting_can_be_set_in_every_layer_that_has_it() {
    for setting in SETTINGS {
        let value = match setting.kind {
            Kind::Word | Kind::Secret => "word",
            Kind::Path => "some/path",
            Kind::Paths => "/a:/b",
            Kind::Listen => "localhost:1",
            Kind::Database => "postgres://h/db",
            Kind::Size => "1 KiB",
            Kind::Span => "1s",
            Kind::Count { .. } => "7",
            Kind::Switch => "true",
            Kind::OneOf(words) => words[1],
            Kind::Filter => "debug,chandler_store=trace",
            Kind::Email => "a@b.example",
        };
        let config = Config::load(&inputs(&[(&setting.env(), value)], &[])).unwrap();
        assert_eq!(*config.source(setting.name), Source::Environment(setting.env()));
        let file = format!("{} = \"{value}\"", setting.name);
        with_file(&file, Inputs::default(), |config, path| {
            assert_eq!(*config.unwrap().source(setting.name), Source::File(path.into()), "{file}");
        });
        assert!(setting.flag.is_none() || !matches!(setting.kind, Kind::Secret), "a secret has no flag");
        assert!(setting.meaning.ends_with('.') && !setting.meaning.contains('|'), "{}", setting.name);
        if let Preset::Is(default) = setting.default {
            assert!(setting.kind.read(&default.into()).is_some(), "{}", setting.name);
        }
    }
}

#[test]
fn names_variables_and_flags_are_unique() {
    let mut names: Vec<_> = SETTINGS.iter().map(|s| s.env()).chain(SETTINGS.iter().map(|s| s.name.into())).collect();
    names.extend(SETTINGS.iter().filter_map(|s| s.flag).map(|flag| format!("--{flag}")));
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn typed_toml_values_are_read_and_lists_replace_each_other() {
    let file =
        "limits.body = 1000\nlimits.timeout = 5\n[worker]\nenabled = false\n[worker.sandbox]\nread = ['/a', '/b']\n";
    with_file(file, Inputs::default(), |config, _| {
        let config = config.unwrap();
        assert_eq!(config.limits.body, Size(1000));
        assert_eq!(config.limits.timeout.0.as_secs(), 5);
        assert!(!config.worker.enabled);
        assert_eq!(config.worker.sandbox.read, [PathBuf::from("/a"), PathBuf::from("/b")]);
    });
    with_file(file, inputs(&[("CHANDLER_WORKER_SANDBOX_READ", "/c")], &[]), |config, _| {
        assert_eq!(config.unwrap().worker.sandbox.read, [PathBuf::from("/c")]);
    });
}

#[test]
fn an_unknown_name_says_what_was_meant() {
    with_file("[listen]\nconsol = 'off'\n", Inputs::default(), |config, path| {
        let wanted = format!(
            "unknown setting `listen.consol` in {path}; did you mean `listen.console`? `chandler config --reference` lists all"
        );
        assert_eq!(config.unwrap_err().to_string(), wanted);
    });
    assert_eq!(
        env_error("CHANDLER_LISTEN_AWS", "off"),
        "unknown environment variable CHANDLER_LISTEN_AWS; did you mean `CHANDLER_LISTEN_AWX`? \
         `chandler config --reference` lists all"
    );
    let far = env_error("CHANDLER_SOMETHING_ELSE", "1");
    assert_eq!(far, "unknown environment variable CHANDLER_SOMETHING_ELSE; `chandler config --reference` lists all");
    assert!(env_error("CHANDLER_DATABASE", "x").contains("did you mean `CHANDLER_DATABASE_URL`?"));
    with_file("[nonsense]\n", Inputs::default(), |config, _| {
        assert!(config.unwrap_err().to_string().starts_with("unknown setting `nonsense` in "));
    });
    with_file("listen = 'off'", Inputs::default(), |config, _| {
        assert!(config.unwrap_err().to_string().contains("`listen` in "));
    });
}

#[test]
fn other_programs_variables_and_empty_ones_are_none_of_ours() {
    let others = [("PATH", "/bin"), ("CHANDLER_TEST_POSTGRES", "x"), ("CHANDLER_CONFIG", "x"), ("CHANDLER_DATA", "")];
    let config = Config::load(&inputs(&others, &[])).unwrap();
    assert_eq!(*config.source("data"), Source::Default);
}

#[test]
fn a_bad_value_is_one_line_with_setting_source_and_form() {
    assert_eq!(
        env_error("CHANDLER_LISTEN_AWX", "7081"),
        "`listen.awx` (environment CHANDLER_LISTEN_AWX): \
         expected `host:port` (port 0 takes a free one) or `off`, not \"7081\""
    );
    assert!(env_error("CHANDLER_WORKER_SLOTS", "0").contains("a whole number from 1 to 10000, not \"0\""));
    assert!(env_error("CHANDLER_WORKER_ENABLED", "yes").contains("`true` or `false`"));
    assert!(env_error("CHANDLER_LOG", "chandler=loud").contains("a level"));
    assert!(env_error("CHANDLER_LOG_FORMAT", "xml").contains("`text` or `json`"));
    assert!(env_error("CHANDLER_WORKER_SANDBOX_READ", "/a:b").contains("absolute paths"));
    assert!(env_error("CHANDLER_ADMIN_EMAIL", "root").contains("an e-mail address"));
    with_file("[worker]\nslots = 1.5", Inputs::default(), |config, path| {
        let wanted = format!("`worker.slots` (file {path}): expected a whole number from 1 to 10000, not 1.5");
        assert_eq!(config.unwrap_err().to_string(), wanted);
    });
    let flag = Config::load(&inputs(&[], &[("listen.awx", "x")])).unwrap_err();
    assert!(flag.is_usage() && flag.to_string().starts_with("`listen.awx` (flag --listen-awx): expected"));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let error = Config::load(&inputs(&[("CHANDLER_DATE", "x"), ("CHANDLER_WORKER_SLOTS", "x")], &[])).unwrap_err();
    let text = error.to_string();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(
        text.starts_with("2 things are wrong in the configuration:\n  unknown environment variable CHANDLER_DATE;")
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let both = inputs(&[("CHANDLER_MASTER_KEY", "secret"), ("CHANDLER_MASTER_KEY_FILE", "/f")], &[]);
    let text = Config::load(&both).unwrap_err().to_string();
    assert!(text.contains("CHANDLER_MASTER_KEY_FILE") && !text.contains("secret"), "{text}");
    let off: Vec<_> = Listener::ALL.iter().map(|l| (Setting::find(&l.setting()).unwrap().env(), "off")).collect();
    let off: Vec<_> = off.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert!(Config::load(&inputs(&off, &[])).unwrap_err().to_string().starts_with("every listener is `off`"));
}

#[test]
fn a_missing_or_broken_file_is_named_and_not_quoted() {
    let missing = Inputs { file: Some("/nowhere/chandler.toml".into()), ..Inputs::default() };
    let text = Config::load(&missing).unwrap_err().to_string();
    assert!(text.starts_with("cannot read the configuration file /nowhere/chandler.toml: "), "{text}");
    with_file("[admin]\npassword = hunter2\n", Inputs::default(), |config, path| {
        let text = config.unwrap_err().to_string();
        assert!(text.starts_with(&format!("{path} is no valid TOML: ")) && text.contains("line 2"), "{text}");
        assert!(!text.contains("hunter2") && text.lines().count() == 1, "{text}");
    });
}

#[test]
fn no_secret_is_printed_anywhere() {
    let secrets = [
        ("CHANDLER_ADMIN_PASSWORD", "hunter2"),
        ("CHANDLER_MASTER_KEY", "hunter2"),
        ("CHANDLER_DATABASE_URL", "postgres://u:hunter2@h/db"),
    ];
    let config = Config::load(&inputs(&secrets, &[])).unwrap();
    assert_eq!(config.admin.password.as_ref().unwrap().expose(), "hunter2");
    let (effective, debug) = (config.effective(), format!("{config:?}"));
    assert!(!effective.contains("hunter2") && !debug.contains("hunter2"), "{effective}\n{debug}");
    assert!(effective.contains("# password = \"hidden\""), "{effective}");
    assert!(effective.contains("# database_url = \"postgres://u:hidden@h/db\""), "{effective}");
    for (name, value) in [("CHANDLER_DATABASE_URL", "mysql://u:hunter2@h/db"), ("CHANDLER_MASTER_KEY", "hunter2\0")] {
        assert!(!env_error(name, value).contains("hunter2"));
    }
}

#[test]
fn what_is_printed_can_be_read_back() {
    let first = Config::load(&inputs(
        &[
            ("CHANDLER_DATA", "/a \"b\"\\c\u{7}"),
            ("CHANDLER_WORKER_SANDBOX_READ", "/x:/y"),
            ("CHANDLER_ADMIN_PASSWORD", "p"),
        ],
        &[("listen.awx", "off")],
    ))
    .unwrap();
    let printed = first.effective();
    assert!(printed.contains("awx = \"off\"") && printed.contains("# flag --listen-awx"), "{printed}");
    assert!(printed.contains("# environment CHANDLER_WORKER_SANDBOX_READ"), "{printed}");
    with_file(&printed, Inputs::default(), |second, _| {
        let second = second.unwrap();
        assert_eq!(second.data, first.data);
        assert_eq!(second.worker.sandbox.read, first.worker.sandbox.read);
        assert!(second.admin.password.is_none(), "a hidden secret is not read back");
    });
}

#[test]
fn the_reference_page_is_what_the_program_prints() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/configuration.md");
    let page = fs::read_to_string(path).unwrap_or_default();
    assert!(page == reference(), "write it anew: cargo run -- config --reference > docs/reference/configuration.md");
}
