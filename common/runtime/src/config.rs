//! Options as MongoDB users write them: a YAML file (`--config`) below, flags above. The file's keys become flags before the real
//! ones are read, so both have one meaning, one check and one default.

use clap::Args;
use serde_json::Value;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Flags that all three servers share.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// YAML file of options in MongoDB's shape; flags win over it
    #[arg(long, short = 'f', value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Addresses to listen on, separated by commas
    #[arg(long = "bind_ip", value_name = "ADDRESSES", default_value = "127.0.0.1")]
    pub bind_ip: String,
    /// Listen on every address
    #[arg(long = "bind_ip_all")]
    pub bind_ip_all: bool,
    /// Log file, appended to; standard error if absent
    #[arg(long, value_name = "FILE")]
    pub logpath: Option<PathBuf>,
    /// Accepted for MongoDB's sake: the log file is always appended to
    #[arg(long)]
    pub logappend: bool,
    /// Shape of log lines
    #[arg(long = "logFormat", value_name = "FORMAT", default_value = "pretty", value_parser = ["pretty", "json"])]
    pub log_format: String,
    /// More log lines; twice for still more
    #[arg(long, short = 'v', action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Send traces to this OTLP collector, such as http://127.0.0.1:4317
    #[arg(long = "otlpEndpoint", value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// Serve Prometheus metrics on this address, such as 127.0.0.1:9216
    #[arg(long = "metricsAddress", value_name = "HOST:PORT")]
    pub metrics_address: Option<SocketAddr>,
    /// Write the process id to this file
    #[arg(long, value_name = "FILE")]
    pub pidfilepath: Option<PathBuf>,
    /// Most client connections at a time
    #[arg(long = "maxConns", value_name = "COUNT", default_value_t = types::limits::CONNECTION_COUNT_MAX)]
    pub max_connections: usize,
    /// Set a server parameter: name=value
    #[arg(long = "setParameter", value_name = "NAME=VALUE")]
    pub set_parameter: Vec<String>,
    /// Known to MongoDB; logins are not built, so the server refuses to start with it
    #[arg(long = "keyFile", value_name = "FILE", hide = true)]
    pub key_file: Option<PathBuf>,
    /// Known to MongoDB; TLS is not built, so the server refuses to start with anything but `disabled`
    #[arg(long = "tlsMode", value_name = "MODE", hide = true)]
    pub tls_mode: Option<String>,
}

/// Why the options do not stand.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("config file {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("config file {path}: {message}")]
    Parse { path: PathBuf, message: String },
    #[error("config file {path}: unknown option '{key}'{}", nearest.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default())]
    UnknownKey { path: PathBuf, key: String, nearest: Option<&'static str> },
    #[error("config file {path}: option '{key}' cannot be {value}")]
    Value { path: PathBuf, key: String, value: String },
    #[error("{option} is not implemented by this server: {reason}")]
    NotImplemented { option: &'static str, reason: &'static str },
}

/// Keys of the YAML file and the flags they stand for. An empty flag: accepted with the one value that is what we do anyway.
const KEYS: &[(&str, &str)] = &[
    ("net.bindIp", "--bind_ip"),
    ("net.bindIpAll", "--bind_ip_all"),
    ("net.maxIncomingConnections", "--maxConns"),
    ("net.port", "--port"),
    ("net.tls.mode", "--tlsMode"),
    ("processManagement.pidFilePath", "--pidfilepath"),
    ("replication.oplogSizeMB", "--oplogSize"),
    ("replication.replSetName", "--replSet"),
    ("security.keyFile", "--keyFile"),
    ("setParameter", "--setParameter"),
    ("sharding.configDB", "--configdb"),
    ("storage.cacheSizeMB", "--cacheSizeMB"),
    ("storage.dbPath", "--dbpath"),
    ("storage.engine", "--storageEngine"),
    ("storage.oplogMinRetentionHours", "--oplogMinRetentionHours"),
    ("storage.versionsMB", "--versionsMB"),
    ("systemLog.destination", ""),
    ("systemLog.format", "--logFormat"),
    ("systemLog.logAppend", "--logappend"),
    ("systemLog.path", "--logpath"),
    ("systemLog.verbosity", "--verbose"),
    ("telemetry.metricsAddress", "--metricsAddress"),
    ("telemetry.otlpEndpoint", "--otlpEndpoint"),
];

impl Common {
    /// Refuses what is known but not built, rather than running without it.
    ///
    /// # Errors
    /// [`Error::NotImplemented`].
    pub fn check(&self) -> Result<(), Error> {
        if self.key_file.is_some() {
            return Err(Error::NotImplemented { option: "--keyFile", reason: "logins are not built yet" });
        }
        if self.tls_mode.as_deref().is_some_and(|mode| mode != "disabled") {
            return Err(Error::NotImplemented { option: "--tlsMode", reason: "TLS is not built yet" });
        }
        Ok(())
    }

    /// The hosts to listen on.
    pub fn hosts(&self) -> Vec<String> {
        if self.bind_ip_all {
            return vec!["0.0.0.0".to_owned()];
        }
        self.bind_ip.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect()
    }

    /// The name by which others reach this process: the first host that it listens on, or the machine's name where it listens on all.
    pub fn advertised_host(&self) -> String {
        let first = self.hosts().into_iter().next().unwrap_or_default();
        if first == "0.0.0.0" || first.is_empty() {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let name = name.trim();
            if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
        } else {
            first
        }
    }

    /// What `getLog: "startupWarnings"` shows.
    pub fn startup_warnings(&self) -> Vec<String> {
        let open = self.hosts().iter().any(|host| host != "localhost" && !host.starts_with("127."));
        if open {
            vec!["This server listens on other than loopback addresses and has no logins: whoever reaches it can read and change everything.".to_owned()]
        } else {
            Vec::new()
        }
    }

    /// Writes the process id where `--pidfilepath` says.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_pid_file(&self) -> std::io::Result<()> {
        match &self.pidfilepath {
            Some(path) => std::fs::write(path, format!("{}\n", std::process::id())),
            None => Ok(()),
        }
    }

    /// How to log and trace.
    pub fn telemetry(&self, service: &'static str) -> crate::telemetry::Options {
        crate::telemetry::Options {
            service,
            format: if self.log_format == "json" {
                crate::telemetry::Format::Json
            } else {
                crate::telemetry::Format::Pretty
            },
            verbosity: self.verbose,
            path: self.logpath.clone(),
            otlp_endpoint: self.otlp_endpoint.clone(),
        }
    }
}

/// The program's arguments with those of its `--config` file put in front, so that later flags win
/// (the parser must allow a flag to override itself).
///
/// # Errors
/// If the file cannot be read, is not YAML, or has a key or value that means nothing to us.
pub fn arguments(args: impl IntoIterator<Item = OsString>) -> Result<Vec<OsString>, Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    let Some(path) = config_path(&args) else { return Ok(args) };
    let text = std::fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
    let from_file = flags(&path, &text)?;
    let mut all: Vec<OsString> = args.iter().take(1).cloned().collect();
    all.extend(from_file.into_iter().map(OsString::from));
    all.extend(args.into_iter().skip(1));
    Ok(all)
}

fn config_path(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter().skip(1);
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy();
        if text == "--config" || text == "-f" {
            return args.next().map(PathBuf::from);
        }
        if let Some(path) = text.strip_prefix("--config=") {
            return Some(PathBuf::from(path));
        }
    }
    None
}

fn flags(path: &std::path::Path, text: &str) -> Result<Vec<String>, Error> {
    let tree: Value = serde_saphyr::from_str(text)
        .map_err(|error| Error::Parse { path: path.to_owned(), message: error.to_string() })?;
    let mut out = Vec::new();
    match &tree {
        Value::Null => {}
        Value::Object(_) => walk(path, "", &tree, &mut out)?,
        _ => {
            return Err(Error::Parse {
                path: path.to_owned(),
                message: "expected keys and values".to_owned(),
            });
        }
    }
    Ok(out)
}

fn walk(path: &std::path::Path, prefix: &str, node: &Value, out: &mut Vec<String>) -> Result<(), Error> {
    let Value::Object(fields) = node else { return Ok(()) };
    for (name, value) in fields {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let bad = |value: &Value| Error::Value {
            path: path.to_owned(),
            key: key.clone(),
            value: value.to_string(),
        };
        let known = KEYS.iter().find(|(known, _)| *known == key);
        match (known, value) {
            (Some((_, "--setParameter")), Value::Object(parameters)) => {
                for (name, value) in parameters {
                    let value = scalar(value).ok_or_else(|| bad(value))?;
                    out.extend(["--setParameter".to_owned(), format!("{name}={value}")]);
                }
            }
            (Some((_, "--verbose")), Value::Number(level)) => {
                let level = level.as_u64().ok_or_else(|| bad(value))?;
                out.extend((0..level.min(5)).map(|_| "--verbose".to_owned()));
            }
            (Some((_, "")), Value::String(text)) if text == "file" => {}
            (Some((_, flag)), Value::Bool(on)) if !flag.is_empty() => {
                if *on {
                    out.push((*flag).to_owned());
                }
            }
            (Some((_, flag)), _) if !flag.is_empty() => {
                let value = scalar(value).ok_or_else(|| bad(value))?;
                out.extend([(*flag).to_owned(), value]);
            }
            (Some(_), _) => return Err(bad(value)),
            (None, Value::Object(_))
                if KEYS.iter().any(|(known, _)| known.starts_with(&format!("{key}."))) =>
            {
                walk(path, &key, value, out)?;
            }
            (None, _) => {
                let nearest = KEYS
                    .iter()
                    .map(|(known, _)| (distance(&key, known), *known))
                    .min()
                    .filter(|(distance, known)| *distance <= known.len() / 2)
                    .map(|(_, known)| known);
                return Err(Error::UnknownKey { path: path.to_owned(), key, nearest });
            }
        }
    }
    Ok(())
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(on) => Some(on.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The number of single-letter edits between two names (Levenshtein), without regard to case.
pub fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, a) in left.to_lowercase().chars().enumerate() {
        let mut diagonal = line;
        let mut current = vec![line + 1];
        for (b, above) in right.iter().zip(row.iter().skip(1)) {
            let best = (diagonal + usize::from(a != *b))
                .min(above + 1)
                .min(current.last().map_or(0, |last| last + 1));
            diagonal = *above;
            current.push(best);
        }
        row = current;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(flags(std::path::Path::new("x.yaml"), text).unwrap(), expected, "{text}");
    }

    fn refused(text: &str, wanted: &str) {
        let error = flags(std::path::Path::new("x.yaml"), text).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }

    #[test]
    fn files_become_flags() {
        check("", &[]);
        check("net:\n  port: 27018\n  bindIp: localhost\n", &["--port", "27018", "--bind_ip", "localhost"]);
        check("replication:\n  replSetName: rs0\n", &["--replSet", "rs0"]);
        check(
            "systemLog:\n  destination: file\n  path: /tmp/x.log\n  verbosity: 2\n",
            &["--logpath", "/tmp/x.log", "--verbose", "--verbose"],
        );
        check("setParameter:\n  a: 1\n  b: true\n", &["--setParameter", "a=1", "--setParameter", "b=true"]);
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        refused("net:\n  prot: 1\n", "did you mean 'net.port'?");
        refused("sharding:\n  configdb: x\n", "did you mean 'sharding.configDB'?");
        refused("storage:\n  dbPath: [1]\n", "'storage.dbPath' cannot be");
        refused("- 1\n", "expected keys and values");
    }

    #[test]
    fn flags_come_after_the_file() {
        let dir = std::env::temp_dir().join(format!("shoal-config-{}", std::process::id()));
        std::fs::write(&dir, "net:\n  port: 1\n").unwrap();
        let args =
            ["mongos".into(), "--config".into(), dir.clone().into_os_string(), "--port".into(), "2".into()];
        let all = arguments(args).unwrap();
        let text: Vec<_> = all.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        assert_eq!(text[1..3], ["--port", "1"]);
        assert_eq!(text[text.len() - 2..], ["--port", "2"]);
        std::fs::remove_file(dir).unwrap();
    }
}
