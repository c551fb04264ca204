//! Which server to ask and who asks: from options, then from the environment, then the socket of this
//! machine. The only file that reads the environment and the token's file.

use std::ffi::OsString;
use std::path::PathBuf;

use divvy_api::client::{Client, InvalidToken, Token};
use divvy_api::endpoint::{Endpoint, InvalidAddress, usual_socket};

use crate::cli::Global;

/// What is wrong with the settings. All of it is the caller's to mend.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("--socket and --server are both given; give one of them")]
    SocketAndServer,
    #[error("the address of the server cannot be used")]
    Address(#[source] InvalidAddress),
    #[error("DIVVY_SERVER is not text")]
    AddressNotText,
    #[error("cannot read the token file {}", path.display())]
    TokenFile { path: PathBuf, source: std::io::Error },
    #[error("DIVVY_TOKEN is not text")]
    TokenNotText,
    #[error("{origin} cannot be used")]
    Token { origin: String, source: InvalidToken },
    #[error("a token would cross the network readable by everyone on its way to {endpoint}")]
    TokenInClear { endpoint: Endpoint },
}

impl SettingsError {
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::TokenInClear { .. } => {
                "reach that server through a tunnel that ends on this machine, for example ssh -L"
            }
            Self::TokenFile { .. } => "the file holds the token as its only text and is yours to read",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// The environment, as far as it matters here.
#[derive(Debug, Default)]
pub struct Environment {
    pub socket: Option<OsString>,
    pub server: Option<OsString>,
    pub token: Option<OsString>,
}

impl Environment {
    /// Reads this process's environment; a variable that is set to nothing counts as not set.
    pub fn read() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
        Self {
            socket: variable("DIVVY_SOCKET"),
            server: variable("DIVVY_SERVER"),
            token: variable("DIVVY_TOKEN"),
        }
    }
}

/// The client for the server that was meant.
pub fn client(global: &Global, environment: Environment) -> Result<Client, SettingsError> {
    let endpoint = endpoint(global, environment.server, environment.socket)?;
    // Over a socket the server knows who asks from the kernel; a token would say nothing more.
    if matches!(endpoint, Endpoint::Unix(_)) {
        return Ok(Client::new(endpoint));
    }
    match token(global, environment.token)? {
        None => Ok(Client::new(endpoint)),
        Some(_) if !endpoint.is_local() => Err(SettingsError::TokenInClear { endpoint }),
        Some(token) => Ok(Client::new(endpoint).with_token(token)),
    }
}

fn endpoint(
    global: &Global,
    env_server: Option<OsString>,
    env_socket: Option<OsString>,
) -> Result<Endpoint, SettingsError> {
    let http = |text: &str| Endpoint::http(text).map_err(SettingsError::Address);
    match (&global.server, &global.socket) {
        (Some(_), Some(_)) => Err(SettingsError::SocketAndServer),
        (Some(server), None) => http(server),
        (None, Some(socket)) => Ok(Endpoint::Unix(socket.clone())),
        (None, None) => match (env_server, env_socket) {
            (Some(server), _) => http(server.to_str().ok_or(SettingsError::AddressNotText)?),
            (None, Some(socket)) => Ok(Endpoint::Unix(socket.into())),
            (None, None) => Ok(Endpoint::Unix(usual_socket())),
        },
    }
}

fn token(global: &Global, env_token: Option<OsString>) -> Result<Option<Token>, SettingsError> {
    let (origin, text) = match (&global.token_file, env_token) {
        (Some(path), _) => {
            let text = std::fs::read_to_string(path)
                .map_err(|source| SettingsError::TokenFile { path: path.clone(), source })?;
            (format!("the token in {}", path.display()), text)
        }
        (None, Some(text)) => {
            let text = text.into_string().map_err(|_| SettingsError::TokenNotText)?;
            ("the token in DIVVY_TOKEN".to_owned(), text)
        }
        (None, None) => return Ok(None),
    };
    Token::new(&text).map(Some).map_err(|source| SettingsError::Token { origin, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::Format;

    fn global(socket: Option<&str>, server: Option<&str>) -> Global {
        Global {
            socket: socket.map(PathBuf::from),
            server: server.map(str::to_owned),
            token_file: None,
            output: Format::Table,
        }
    }

    fn both() -> Environment {
        Environment { socket: Some("/env.sock".into()), server: Some("http://env:1".into()), token: None }
    }

    fn asked(global: &Global, environment: Environment) -> String {
        client(global, environment).expect("settings are good").endpoint().to_string()
    }

    #[test]
    fn an_option_comes_before_the_environment() {
        assert_eq!(asked(&global(Some("/here.sock"), None), both()), "/here.sock");
        assert_eq!(asked(&global(None, Some("http://here:1")), both()), "http://here:1");
    }

    #[test]
    fn an_address_in_the_environment_comes_before_a_socket_there() {
        assert_eq!(asked(&global(None, None), both()), "http://env:1");
    }

    #[test]
    fn the_socket_of_this_machine_is_the_default() {
        assert_eq!(asked(&global(None, None), Environment::default()), usual_socket().display().to_string());
    }

    #[test]
    fn a_socket_and_an_address_together_are_refused() {
        let wrong = client(&global(Some("/a"), Some("http://b:1")), Environment::default());
        assert!(matches!(wrong, Err(SettingsError::SocketAndServer)));
    }

    #[test]
    fn a_token_does_not_leave_this_machine_in_clear() {
        let environment = Environment { token: Some("s3cret".into()), ..Environment::default() };
        let wrong = client(&global(None, Some("http://192.0.2.1:1")), environment);
        assert!(matches!(wrong, Err(SettingsError::TokenInClear { .. })));
    }

    #[test]
    fn a_token_is_not_looked_at_when_a_socket_is_asked() {
        let environment = Environment { token: Some("two words".into()), ..Environment::default() };
        assert_eq!(asked(&global(Some("/a"), None), environment), "/a");
    }

    #[test]
    fn a_token_file_that_is_not_there_is_named() {
        let mut global = global(None, Some("http://127.0.0.1:1"));
        global.token_file = Some("/nonexistent/token".into());
        let wrong = client(&global, Environment::default()).expect_err("there is no such file");
        assert!(wrong.to_string().contains("/nonexistent/token"), "{wrong}");
    }
}
