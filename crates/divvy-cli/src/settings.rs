//! Which server to ask and who asks: from options, then from the environment, then the socket of this
//! machine. The only file that reads the environment and the token's file.

use std::ffi::OsString;
use std::path::PathBuf;

use divvy_api::certificate::{Fingerprint, InvalidFingerprint};
use divvy_api::client::{Client, InvalidToken, InvalidTrust, Token, Trust, system_certificates};
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
    #[error("{name} is not text")]
    NotText { name: &'static str },
    #[error("a fingerprint and a file of certificates are both given; give one of them")]
    FingerprintAndCa,
    #[error("the fingerprint cannot be used")]
    Fingerprint(#[source] InvalidFingerprint),
    #[error("cannot read the certificates in {}", path.display())]
    CaFile { path: PathBuf, source: std::io::Error },
    #[error("the certificates in {} cannot be used", path.display())]
    Ca { path: PathBuf, source: InvalidTrust },
    #[error("the fingerprint cannot be trusted")]
    Trust(#[source] InvalidTrust),
    #[error("this machine has no certificates of its own to trust")]
    NoSystemCa,
}

impl SettingsError {
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::TokenInClear { .. } => {
                "use https, or reach that server through a tunnel that ends on this machine, for example ssh -L"
            }
            Self::NoSystemCa => {
                "trust the server's certificate with --ca FILE or --fingerprint; `divvy version` on the server tells the fingerprint"
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
    pub ca: Option<OsString>,
    pub fingerprint: Option<OsString>,
    /// Where this machine keeps whom it trusts, if not in a usual place.
    pub system_ca: Option<OsString>,
}

impl Environment {
    /// Reads this process's environment; a variable that is set to nothing counts as not set.
    pub fn read() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
        Self {
            socket: variable("DIVVY_SOCKET"),
            server: variable("DIVVY_SERVER"),
            token: variable("DIVVY_TOKEN"),
            ca: variable("DIVVY_CA"),
            fingerprint: variable("DIVVY_FINGERPRINT"),
            system_ca: variable("SSL_CERT_FILE"),
        }
    }
}

/// The client for the server that was meant.
pub fn client(global: &Global, environment: Environment) -> Result<Client, SettingsError> {
    let endpoint = endpoint(global, environment.server.clone(), environment.socket.clone())?;
    // Over a socket the server knows who asks from the kernel; a token would say nothing more.
    if matches!(endpoint, Endpoint::Unix(_)) {
        return Ok(Client::new(endpoint));
    }
    let token = token(global, environment.token.clone())?;
    if token.is_some() && !endpoint.is_private() {
        return Err(SettingsError::TokenInClear { endpoint });
    }
    let client = match &endpoint {
        Endpoint::Https(_) => Client::new(endpoint).with_trust(trust(global, &environment)?),
        _ => Client::new(endpoint),
    };
    Ok(match token {
        Some(token) => client.with_token(token),
        None => client,
    })
}

/// Which certificates are believed: the one of the fingerprint, those of the file, or the machine's own.
fn trust(global: &Global, environment: &Environment) -> Result<Trust, SettingsError> {
    let (fingerprint, ca) = match (&global.fingerprint, &global.ca) {
        (Some(_), Some(_)) => return Err(SettingsError::FingerprintAndCa),
        // An option comes before the environment, also before what the environment says of the other.
        (None, None) => (environment.fingerprint.clone(), environment.ca.clone().map(PathBuf::from)),
        (fingerprint, ca) => (fingerprint.clone().map(OsString::from), ca.clone()),
    };
    match (fingerprint, ca) {
        (Some(_), Some(_)) => Err(SettingsError::FingerprintAndCa),
        (Some(text), None) => {
            let text = text.to_str().ok_or(SettingsError::NotText { name: "DIVVY_FINGERPRINT" })?;
            let fingerprint: Fingerprint = text.trim().parse().map_err(SettingsError::Fingerprint)?;
            Trust::fingerprint(fingerprint).map_err(SettingsError::Trust)
        }
        (None, Some(path)) => trust_file(path),
        (None, None) => {
            let named = environment.system_ca.clone().map(PathBuf::from);
            trust_file(named.or_else(system_certificates).ok_or(SettingsError::NoSystemCa)?)
        }
    }
}

fn trust_file(path: PathBuf) -> Result<Trust, SettingsError> {
    match std::fs::read(&path) {
        Ok(pem) => Trust::certificates(&pem).map_err(|source| SettingsError::Ca { path, source }),
        Err(source) => Err(SettingsError::CaFile { path, source }),
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
            ca: None,
            fingerprint: None,
            output: Format::Table,
        }
    }

    fn both() -> Environment {
        Environment {
            socket: Some("/env.sock".into()),
            server: Some("http://env:1".into()),
            ..Environment::default()
        }
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

    fn over_tls(ca: Option<&str>, fingerprint: Option<&str>) -> Global {
        let global = global(None, Some("https://192.0.2.1:1"));
        Global { ca: ca.map(PathBuf::from), fingerprint: fingerprint.map(str::to_owned), ..global }
    }

    #[test]
    fn a_token_may_go_over_tls() {
        let environment = Environment { token: Some("s3cret".into()), ..Environment::default() };
        let print = "ab".repeat(32);
        assert_eq!(asked(&over_tls(None, Some(&print)), environment), "https://192.0.2.1:1");
    }

    #[test]
    fn what_cannot_be_trusted_is_named() {
        let print = "ab".repeat(32);
        let told = |ca, fingerprint, environment| {
            let wrong = client(&over_tls(ca, fingerprint), environment).expect_err("is refused");
            std::iter::successors(Some(&wrong as &dyn std::error::Error), |error| error.source())
                .map(ToString::to_string)
                .collect::<String>()
        };
        let none = Environment::default;
        assert!(told(Some("/a"), Some(&print), none()).contains("both given"));
        assert!(told(None, Some("ab:cd"), none()).contains("ab:cd"));
        assert!(told(Some("/nonexistent/ca.pem"), None, none()).contains("/nonexistent/ca.pem"));
        assert!(told(Some("/dev/null"), None, none()).contains("no certificate"));
        let nowhere = Environment { system_ca: Some("/nonexistent/all.pem".into()), ..none() };
        assert!(told(None, None, nowhere).contains("/nonexistent/all.pem"));
    }

    #[test]
    fn an_option_to_trust_comes_before_the_environment() {
        let environment = || Environment { ca: Some("/nonexistent/ca.pem".into()), ..Environment::default() };
        let print = "ab".repeat(32);
        assert_eq!(asked(&over_tls(None, Some(&print)), environment()), "https://192.0.2.1:1");
        let wrong = client(&over_tls(None, None), environment()).expect_err("is refused");
        assert!(matches!(wrong, SettingsError::CaFile { .. }), "{wrong:?}");
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
