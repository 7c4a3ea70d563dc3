//! Every error of the core and every code of a field, as this API says it.

use std::collections::BTreeSet;
use std::fmt::Write;

use chandler_model::Word;
use chandler_model::errors::Path;

use super::*;

/// The place of a kind in a list of all. A new kind does not compile until it has one, and then [`kinds`] misses it.
fn place(kind: &ErrorKind) -> usize {
    match kind {
        ErrorKind::Malformed { .. } => 0,
        ErrorKind::Invalid(_) => 1,
        ErrorKind::Unauthenticated { .. } => 2,
        ErrorKind::Denied { .. } => 3,
        ErrorKind::Precondition => 4,
        ErrorKind::Conflict { .. } => 5,
        ErrorKind::WrongState { .. } => 6,
        ErrorKind::InUse { .. } => 7,
        ErrorKind::Protected { .. } => 8,
        ErrorKind::TooLarge { .. } => 9,
        ErrorKind::UnsupportedMedia { .. } => 10,
        ErrorKind::MethodNotAllowed => 11,
        ErrorKind::NoSuchRoute => 12,
        ErrorKind::RateLimited { .. } => 13,
        ErrorKind::Unavailable { .. } => 14,
        ErrorKind::Timeout => 15,
        ErrorKind::Internal => 16,
        ErrorKind::Attached { .. } => 17,
    }
}

fn code_place(code: &Code) -> usize {
    match code {
        Code::Required => 0,
        Code::Blank => 1,
        Code::TooLong { .. } => 2,
        Code::TooShort { .. } => 3,
        Code::Range { .. } => 4,
        Code::WrongType { .. } => 5,
        Code::Format { .. } => 6,
        Code::NotUnique => 7,
        Code::Unknown { .. } => 8,
        Code::NotOneOf { .. } => 9,
        Code::UnknownField => 10,
        Code::ReadOnly => 11,
        Code::NotTogether { .. } => 12,
    }
}

fn kinds() -> Vec<ErrorKind> {
    let (environment, job) = (Kind::Environment, Kind::ScriptJob);
    let attached = |count, names: &[&str]| ErrorKind::Attached {
        resource: Kind::RegistryCredential,
        to: environment,
        count,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let mut all = vec![
        ErrorKind::Malformed { at: None },
        ErrorKind::Malformed { at: Some("line 3".to_owned()) },
        ErrorKind::Unauthenticated { why: Unauthenticated::Missing },
        ErrorKind::Unauthenticated { why: Unauthenticated::Wrong },
        ErrorKind::Denied { why: Denied::Absent, action: Action::Read, resource: environment },
        ErrorKind::Denied { why: Denied::Hidden, action: Action::Read, resource: environment },
        ErrorKind::Precondition,
        ErrorKind::Conflict { resource: Kind::ScriptTemplate, field: "name" },
        ErrorKind::WrongState { resource: job, state: "succeeded" },
        ErrorKind::InUse { resource: Kind::Organization, by: vec![(environment, 1), (job, 3)] },
        attached(2, &["python", "base"]),
        attached(9, &["python", "base"]),
        attached(1, &[]),
        ErrorKind::Protected { resource: environment },
        ErrorKind::TooLarge { limit: 1 << 20 },
        ErrorKind::UnsupportedMedia { want: "application/json" },
        ErrorKind::MethodNotAllowed,
        ErrorKind::NoSuchRoute,
        ErrorKind::RateLimited { retry_after_s: 6 },
        ErrorKind::Unavailable { retry_after_s: 1 },
        ErrorKind::Timeout,
        ErrorKind::Internal,
    ];
    let forbidden =
        |action: &Action| ErrorKind::Denied { why: Denied::Forbidden, action: *action, resource: environment };
    all.extend(actions().iter().map(forbidden));
    all.extend(codes().into_iter().map(|code| ErrorKind::Invalid(vec![FieldError::new("spec.env.0", code)])));
    all
}

/// All of them: the word list of the model.
fn actions() -> &'static [Action] {
    fn all<W: Word>() -> &'static [W] {
        W::VARIANTS
    }
    all()
}

fn codes() -> Vec<Code> {
    vec![
        Code::Required,
        Code::Blank,
        Code::TooLong { max: 512 },
        Code::TooShort { min: 8 },
        Code::Range { min: 0, max: 100 },
        Code::WrongType { want: "string" },
        Code::Format { rule: "must be an absolute path" },
        Code::NotUnique,
        Code::Unknown { resource: "organization" },
        Code::NotOneOf { words: vec!["always", "missing", "never"] },
        Code::UnknownField,
        Code::ReadOnly,
        Code::NotTogether { other: "template_id" },
    ]
}

fn unreadables() -> Vec<Unreadable> {
    vec![
        Unreadable::Interrupted,
        Unreadable::Empty,
        Unreadable::Encoding,
        Unreadable::Syntax { line: 2, column: 7 },
        Unreadable::NotAnObject,
        Unreadable::TooDeep { max: 64 },
        Unreadable::DuplicateKey("name".to_owned()),
        Unreadable::Nul { line: 2, column: 7 },
        Unreadable::Query,
        Unreadable::DuplicateParameter("limit".to_owned()),
        Unreadable::Header("If-Match"),
    ]
}

fn shown(problem: &Problem) -> String {
    let mut text = format!("{} {}: {}\n    {}\n", problem.status.as_u16(), problem.kind, problem.title, problem.detail);
    for Field { field, code, message } in &problem.errors {
        let _ = writeln!(text, "    {field} {code}: {message}");
    }
    if let Some((name, value)) = &problem.header {
        let _ = writeln!(text, "    {name}: {}", value.to_str().unwrap_or("?"));
    }
    text
}

#[test]
fn every_error_has_its_words() {
    let places: BTreeSet<usize> = kinds().iter().map(place).collect();
    assert_eq!(places, (0..18).collect());
    let places: BTreeSet<usize> = codes().iter().map(code_place).collect();
    assert_eq!(places, (0..13).collect());

    let mut text = String::new();
    for kind in kinds() {
        let _ = writeln!(text, "{kind:?}\n{}", shown(&of_kind(&kind)));
    }
    for what in unreadables() {
        let _ = writeln!(text, "{what:?}\n{}", shown(&Problem::new(MALFORMED, unreadable(&what))));
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("errors", text);
    });
}

#[test]
fn what_programs_look_at_is_in_the_reference() {
    let page = include_str!("../../../docs/reference/native-api.md");
    for problem in kinds().iter().map(of_kind) {
        let row = format!("| {} | `{}` |", problem.status.as_u16(), problem.kind);
        assert!(page.contains(&row), "{row}");
        for field in problem.errors {
            assert!(page.contains(&format!("`{}`", field.code)), "{}", field.code);
        }
    }
}

#[test]
fn one_wrong_shape_among_wrong_values_makes_a_request_unreadable() {
    let wrong = |code| FieldError::new(Path::from("x"), code);
    assert_eq!(invalid(&[wrong(Code::Blank), wrong(Code::Required)]).status, 422);
    assert_eq!(invalid(&[wrong(Code::Blank), wrong(Code::UnknownField)]).status, 400);
}

#[test]
fn the_log_gets_the_whole_chain_once() {
    let inner = std::io::Error::other("disk full");
    let error = Error::internal(std::io::Error::other(inner));
    assert_eq!(Chain(&error).to_string().matches("disk full").count(), 1);
}
