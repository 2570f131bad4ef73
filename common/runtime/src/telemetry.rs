//! Logs (pretty or JSON) and traces (OTLP where an endpoint is given). Spans of operations have the target [`OPERATIONS`] and cost
//! nothing unless traces are exported or that target is logged.

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
pub use opentelemetry_sdk::propagation::TraceContextPropagator;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The target of spans that follow one operation through router and shards.
pub const OPERATIONS: &str = "shoal::op";

/// Lines that `getLog` can show.
const RECENT_LINES_MAX: usize = 1024;

/// The shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Pretty,
    Json,
}

/// How to log and trace.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `service.name` of traces: mongos, shardsvr, configsvr.
    pub service: &'static str,
    pub format: Format,
    /// 0 is INFO; each step more is DEBUG, then TRACE.
    pub verbosity: u8,
    /// Log file, appended to; standard error if absent.
    pub path: Option<PathBuf>,
    /// `http://host:4317` of an OTLP collector; no traces if absent.
    pub otlp_endpoint: Option<String>,
}

/// Why logs or traces could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("log file {path}: {source}")]
    LogFile { path: PathBuf, source: std::io::Error },
    #[error("OTLP exporter: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    #[error("telemetry was initialised twice: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// The running telemetry; flushes traces when stopped.
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
    recent: Recent,
}

impl Telemetry {
    /// The last log lines, as JSON: what `getLog` shows.
    pub fn recent(&self) -> Recent {
        self.recent.clone()
    }

    /// Exports what is left.
    pub fn stop(self) {
        if let Some(provider) = self.provider
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "traces were not all exported");
        }
    }
}

/// The last log lines of the process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl Recent {
    /// The lines, oldest first, each one JSON object.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().iter().cloned().collect()
    }
}

/// One line on its way into [`Recent`].
pub struct RecentLine {
    recent: Recent,
    bytes: Vec<u8>,
}

impl Write for RecentLine {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for RecentLine {
    fn drop(&mut self) {
        let mut lines = self.recent.lines.lock();
        if lines.len() == RECENT_LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(String::from_utf8_lossy(&self.bytes).trim_end().to_owned());
    }
}

impl<'a> MakeWriter<'a> for Recent {
    type Writer = RecentLine;

    fn make_writer(&'a self) -> RecentLine {
        RecentLine { recent: self.clone(), bytes: Vec::new() }
    }
}

/// Sets up logs and traces for the whole process.
///
/// # Errors
/// If the log file cannot be opened, the exporter cannot be built, or this was called before.
pub fn init(options: &Options) -> Result<Telemetry, Error> {
    let level = match options.verbosity {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    // The libraries below us chat at DEBUG; their warnings are enough.
    let quiet = [
        "h2",
        "hyper",
        "hyper_util",
        "tonic",
        "tower",
        "sled",
        "opentelemetry",
        "opentelemetry_sdk",
        "opentelemetry-otlp",
    ];
    let filter = || {
        quiet.iter().fold(Targets::new().with_default(level), |filter, name| {
            filter.with_target(*name, LevelFilter::WARN)
        })
    };
    let recent = Recent::default();
    let keep = tracing_subscriber::fmt::layer().json().with_writer(recent.clone()).with_filter(filter());
    let writer = Output::open(options.path.as_deref())?;
    let lines = match options.format {
        Format::Json => {
            tracing_subscriber::fmt::layer().json().with_writer(writer).with_filter(filter()).boxed()
        }
        Format::Pretty => {
            let ansi = options.path.is_none() && std::io::IsTerminal::is_terminal(&std::io::stderr());
            tracing_subscriber::fmt::layer().with_ansi(ansi).with_writer(writer).with_filter(filter()).boxed()
        }
    };
    let provider =
        options.otlp_endpoint.as_deref().map(|endpoint| tracer(options.service, endpoint)).transpose()?;
    let traces = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("shoal"))
            .with_filter(Targets::new().with_target(OPERATIONS, LevelFilter::DEBUG))
    });
    tracing_subscriber::registry().with(lines).with(keep).with(traces).try_init()?;
    Ok(Telemetry { provider, recent })
}

fn tracer(service: &'static str, endpoint: &str) -> Result<SdkTracerProvider, Error> {
    let exporter =
        opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_resource(Resource::builder().with_service_name(service).build())
        .build())
}

/// Where log lines go.
#[derive(Debug, Clone)]
enum Output {
    Stderr,
    File(Arc<std::fs::File>),
}

impl Output {
    fn open(path: Option<&Path>) -> Result<Output, Error> {
        let Some(path) = path else { return Ok(Output::Stderr) };
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.map(|file| Output::File(Arc::new(file)))
            .map_err(|source| Error::LogFile { path: path.to_owned(), source })
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Output::Stderr => std::io::stderr().write(bytes),
            Output::File(file) => (&**file).write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Output;

    fn make_writer(&'a self) -> Output {
        self.clone()
    }
}
