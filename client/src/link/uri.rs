//! Connection strings: `mongodb://host:port,host:port/database?option=value`.
//! An option that this client does not know is refused by name, never ignored.

use clap::Args;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use types::W;
use wire::Compressor;

/// MongoDB's port.
const DEFAULT_PORT: u16 = 27017;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A reply may take this long unless `socketTimeoutMS` says otherwise.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(120);

/// Which server a subcommand talks to.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// Connection string of a router (or of any MongoDB-compatible server)
    #[arg(long, default_value = "mongodb://127.0.0.1:27017/", value_name = "URI")]
    pub(crate) uri: Uri,
}

/// A parsed connection string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uri {
    pub(crate) hosts: Vec<String>,
    pub(crate) database: Option<String>,
    pub(crate) options: UriOptions,
}

/// The options of a connection string that we follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UriOptions {
    pub(crate) app_name: String,
    pub(crate) compressors: Vec<Compressor>,
    pub(crate) connect_timeout: Duration,
    pub(crate) socket_timeout: Duration,
    pub(crate) replica_set: Option<String>,
    pub(crate) retry_writes: bool,
    pub(crate) w: Option<W>,
    pub(crate) journal: Option<bool>,
}

impl Default for UriOptions {
    fn default() -> UriOptions {
        UriOptions {
            app_name: "shoal".to_owned(),
            compressors: Vec::new(),
            connect_timeout: CONNECT_TIMEOUT,
            socket_timeout: SOCKET_TIMEOUT,
            replica_set: None,
            retry_writes: true,
            w: None,
            journal: None,
        }
    }
}

impl Uri {
    /// A server on this machine.
    pub(crate) fn local(port: u16) -> Uri {
        Uri { hosts: vec![format!("127.0.0.1:{port}")], database: None, options: UriOptions::default() }
    }

    /// The `nth` host, counted around.
    pub(crate) fn address(&self, nth: usize) -> String {
        self.hosts.get(nth % self.hosts.len().max(1)).cloned().unwrap_or_default()
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "mongodb://{}/{}", self.hosts.join(","), self.database.as_deref().unwrap_or(""))
    }
}

/// Why a connection string is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UriError {
    #[error("a connection string begins with mongodb:// (for example mongodb://127.0.0.1:27017/)")]
    Scheme,
    #[error("mongodb+srv:// is not supported; name the routers as mongodb://host:port,host:port/")]
    Srv,
    #[error("user names and passwords are not supported yet; leave out the part before '@'")]
    Credentials,
    #[error("{0:?} is not host:port")]
    Host(String),
    #[error("unix sockets are not supported: {0:?}")]
    Socket(String),
    #[error("{0:?} is not a database name")]
    Database(String),
    #[error("unknown option {0:?}; known are {KNOWN}")]
    Option(String),
    #[error("option {name} does not take the value {value:?}: {wanted}")]
    Value { name: String, value: String, wanted: &'static str },
}

const KNOWN: &str = "appName, compressors, connectTimeoutMS, directConnection, journal, readPreference, replicaSet, \
                     retryReads, retryWrites, serverSelectionTimeoutMS, socketTimeoutMS, tls, w";

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Uri, UriError> {
        if text.starts_with("mongodb+srv://") {
            return Err(UriError::Srv);
        }
        let rest = text.strip_prefix("mongodb://").ok_or(UriError::Scheme)?;
        let (front, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, database) = match front.split_once('/') {
            Some((hosts, database)) => (hosts, database),
            None => (front, ""),
        };
        if hosts.contains('@') {
            return Err(UriError::Credentials);
        }
        let hosts = hosts.split(',').map(host).collect::<Result<Vec<_>, _>>()?;
        let database = match database {
            "" => None,
            name => {
                let bad = || UriError::Database(name.to_owned());
                let name = percent_decode(name).ok_or_else(bad)?;
                types::Namespace::check_db(&name).map_err(|_| bad())?;
                Some(name)
            }
        };
        let mut options = UriOptions::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode(value).ok_or_else(|| refuse(name, value, "bad % escape"))?;
            options.set(name, &value)?;
        }
        Ok(Uri { hosts, database, options })
    }
}

impl UriOptions {
    fn set(&mut self, name: &str, value: &str) -> Result<(), UriError> {
        match name.to_ascii_lowercase().as_str() {
            "appname" => self.app_name = value.to_owned(),
            "compressors" => {
                self.compressors = value
                    .split(',')
                    .filter(|one| !one.is_empty())
                    .map(|one| {
                        Compressor::from_name(one).ok_or_else(|| refuse(name, one, "snappy, zlib or zstd"))
                    })
                    .collect::<Result<_, _>>()?;
            }
            "connecttimeoutms" | "serverselectiontimeoutms" => self.connect_timeout = millis(name, value)?,
            "sockettimeoutms" => self.socket_timeout = millis(name, value)?,
            "replicaset" => self.replica_set = Some(value.to_owned()),
            "retrywrites" => self.retry_writes = boolean(name, value)?,
            "journal" => self.journal = Some(boolean(name, value)?),
            "w" => self.w = Some(parse_w(value).ok_or_else(|| refuse(name, value, "a number or majority"))?),
            // We speak to the named hosts only and never repeat a read on our own, so both values hold.
            "directconnection" | "retryreads" => {
                boolean(name, value)?;
            }
            "readpreference" if value != "primary" => {
                return Err(refuse(name, value, "only primary is supported"));
            }
            "readpreference" => {}
            "tls" | "ssl" => {
                if boolean(name, value)? {
                    return Err(refuse(name, value, "encrypted connections are not supported yet"));
                }
            }
            _ => return Err(UriError::Option(name.to_owned())),
        }
        Ok(())
    }
}

/// `w` as connection strings and flags spell it: a number of members, `majority`, or a mode's name.
pub(crate) fn parse_w(value: &str) -> Option<W> {
    match value {
        "" => None,
        "majority" => Some(W::Majority),
        number if number.starts_with(|first: char| first.is_ascii_digit() || first == '-') => {
            number.parse().ok().filter(|count| *count <= 50).map(W::Count)
        }
        mode => Some(W::Mode(mode.to_owned())),
    }
}

fn host(text: &str) -> Result<String, UriError> {
    if text.contains("%2F") || text.contains("%2f") || text.ends_with(".sock") {
        return Err(UriError::Socket(text.to_owned()));
    }
    let bad = || UriError::Host(text.to_owned());
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']').ok_or_else(bad)?;
            inside.parse::<std::net::Ipv6Addr>().map_err(|_| bad())?;
            (
                format!("[{inside}]"),
                after.strip_prefix(':').or((after.is_empty()).then_some("")).ok_or_else(bad)?,
            )
        }
        None => match text.split_once(':') {
            Some((_, "")) => return Err(bad()),
            Some((name, port)) => (name.to_owned(), port),
            None => (text.to_owned(), ""),
        },
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(bad());
    }
    let port = match port {
        "" => DEFAULT_PORT,
        number => number.parse().ok().filter(|port| *port != 0).ok_or_else(bad)?,
    };
    Ok(format!("{name}:{port}"))
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn boolean(name: &str, value: &str) -> Result<bool, UriError> {
    value.parse().map_err(|_| refuse(name, value, "true or false"))
}

fn millis(name: &str, value: &str) -> Result<Duration, UriError> {
    match value.parse() {
        Ok(0) | Err(_) => Err(refuse(name, value, "a positive number of milliseconds")),
        Ok(number) => Ok(Duration::from_millis(number)),
    }
}

fn refuse(name: &str, value: &str, wanted: &'static str) -> UriError {
    UriError::Value { name: name.to_owned(), value: value.to_owned(), wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_databases() {
        let rows: [(&str, &[&str], Option<&str>); 7] = [
            ("mongodb://localhost", &["localhost:27017"], None),
            ("mongodb://localhost/", &["localhost:27017"], None),
            ("mongodb://127.0.0.1:5/geo", &["127.0.0.1:5"], Some("geo")),
            ("mongodb://a:1,b:2,c/", &["a:1", "b:2", "c:27017"], None),
            ("mongodb://[::1]:9/x%79", &["[::1]:9"], Some("xy")),
            ("mongodb://[::1]", &["[::1]:27017"], None),
            ("mongodb://a?w=1", &["a:27017"], None),
        ];
        for (text, hosts, database) in rows {
            let uri: Uri = text.parse().unwrap();
            assert_eq!(uri.hosts, hosts, "{text}");
            assert_eq!(uri.database.as_deref(), database, "{text}");
        }
    }

    #[test]
    fn bad_strings_are_refused() {
        for text in [
            "",
            "localhost:27017",
            "http://a",
            "mongodb+srv://a.b/",
            "mongodb://",
            "mongodb://u:p@a/",
            "mongodb://a:/",
            "mongodb://a:0",
            "mongodb://a:99999",
            "mongodb://a:b",
            "mongodb://[::1",
            "mongodb://[x]:1",
            "mongodb://%2Ftmp%2Fmongodb.sock",
            "mongodb://a,,b",
            "mongodb://a/b c",
            "mongodb://a/b%2",
            "mongodb://a b",
            "mongodb://a/?zzz=1",
            "mongodb://a/?tls=true",
            "mongodb://a/?w=-1",
            "mongodb://a/?w=",
            "mongodb://a/?w=51",
            "mongodb://a/?compressors=lz4",
            "mongodb://a/?socketTimeoutMS=0",
            "mongodb://a/?retryWrites=yes",
            "mongodb://a/?readPreference=nearest",
            "mongodb://a/?appName=%zz",
        ] {
            assert!(text.parse::<Uri>().is_err(), "{text}");
        }
        let error = "mongodb://a/?zzz=1".parse::<Uri>().unwrap_err().to_string();
        assert!(error.contains("\"zzz\"") && error.contains("retryWrites"), "{error}");
    }

    #[test]
    fn options_are_followed() {
        let uri: Uri = "mongodb://a/?directConnection=true&serverSelectionTimeoutMS=2000&appName=my%20app\
                        &compressors=zstd,snappy&retryWrites=false&w=majority&journal=true&replicaSet=rs0\
                        &socketTimeoutMS=5&tls=false&readPreference=primary"
            .parse()
            .unwrap();
        let expected = UriOptions {
            app_name: "my app".to_owned(),
            compressors: vec![Compressor::Zstd, Compressor::Snappy],
            connect_timeout: Duration::from_secs(2),
            socket_timeout: Duration::from_millis(5),
            replica_set: Some("rs0".to_owned()),
            retry_writes: false,
            w: Some(W::Majority),
            journal: Some(true),
        };
        assert_eq!(uri.options, expected);
        assert_eq!(uri.to_string(), "mongodb://a:27017/");
        assert_eq!(uri.address(3), "a:27017");
    }
}
