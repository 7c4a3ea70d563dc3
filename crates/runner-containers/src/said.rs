//! What a runtime says when something is wrong, in one line.

use bollard::errors::Error;

/// The message without what the client wraps around it.
pub(crate) fn line(error: &Error) -> String {
    let text = match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        Error::DockerStreamError { error } => error.clone(),
        Error::HyperLegacyError { err } => chain(err),
        other => chain(other),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The innermost causes are what a person can use: "connection refused" rather than "client error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

/// What was asked for is not there, or not in a state in which that could be done to it.
pub(crate) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404 | 409, .. })
}

/// The runtime has no small init process of its own.
pub(crate) fn lacks_init(error: &Error) -> bool {
    let text = line(error);
    ["catatonit", "docker-init", "container-init", "init binary"].iter().any(|name| text.contains(name))
}

/// The program that should be started is not in the image, or cannot be executed.
pub(crate) fn lacks_program(error: &Error) -> bool {
    let text = line(error).to_lowercase();
    ["no such file or directory", "executable file not found", "command that was not found", "exec format error"]
        .iter()
        .any(|words| text.contains(words))
}
