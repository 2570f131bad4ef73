//! What a tool can judge of the layout: which crate may use which, which crates are pure, and that tables of names agree
//! with the folders that hold their parts. A new edge is a design change: it needs a change here, on purpose.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::process::{self, root};

/// Crate and what it may use. `types` and `value` are open to all.
const EDGES: &[(&str, &[&str])] = &[
    ("bench", &["wire"]),
    ("client", &["wire"]),
    ("command", &["query"]),
    (
        "configsvr",
        &[
            "command", "engine", "frontend", "member", "proto", "query", "repl", "rpc", "runtime", "session",
            "sharding", "storage",
        ],
    ),
    ("engine", &["command", "query", "runtime", "session", "storage"]),
    ("frontend", &["command", "runtime", "session", "wire"]),
    // What configsvr and shardsvr share as members of a replica set.
    ("member", &["command", "engine", "frontend", "repl", "rpc", "runtime", "session", "storage"]),
    ("mongos", &["command", "frontend", "proto", "query", "rpc", "runtime", "session", "sharding"]),
    ("proto", &[]),
    ("query", &[]),
    ("repl", &["command", "proto", "rpc", "runtime", "storage"]),
    ("rpc", &["command", "proto", "runtime", "sharding"]),
    ("runtime", &[]),
    ("session", &[]),
    ("sharding", &[]),
    (
        "shardsvr",
        &[
            "command", "engine", "frontend", "member", "proto", "query", "repl", "rpc", "runtime", "session",
            "sharding", "storage",
        ],
    ),
    ("storage", &[]),
    ("tests", &["wire"]),
    ("types", &[]),
    ("value", &[]),
    ("wire", &[]),
];

const OPEN_TO_ALL: [&str; 2] = ["types", "value"];

/// No runtime, no sockets, no files, no clock.
const PURE: [&str; 6] = ["types", "value", "wire", "query", "command", "sharding"];
/// What would make a crate impure.
const IMPURE: [&str; 9] =
    ["tokio", "tokio-util", "tokio-stream", "tonic", "hyper-util", "socket2", "sled", "axum", "runtime"];
/// Calls that no pure crate makes.
const IMPURE_CALLS: [&str; 5] =
    ["std::fs", "std::net::Tcp", "SystemTime::now", "Instant::now", "std::thread::spawn"];

fn metadata() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"]);
    serde_json::from_str(&process::run(command.arg(root().join("Cargo.toml")))).unwrap()
}

/// Crate to (dependency, kind), where kind is `normal`, `dev` or `build`.
fn dependencies() -> BTreeMap<String, BTreeSet<(String, String)>> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut all = BTreeMap::new();
    for package in metadata()["packages"].as_array().unwrap() {
        let found = package["dependencies"].as_array().unwrap().iter().map(|dependency| {
            (text(&dependency["name"]), dependency["kind"].as_str().unwrap_or("normal").to_owned())
        });
        all.insert(text(&package["name"]), found.collect());
    }
    all
}

#[test]
fn crates_use_only_what_the_table_allows() {
    let all = dependencies();
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let mut wrong = Vec::new();
    for (name, dependencies) in &all {
        let Some(allowed) = allowed.get(name.as_str()) else {
            wrong.push(format!("{name} is not in the table"));
            continue;
        };
        for (dependency, kind) in dependencies {
            // A crate may ask for itself with a test feature.
            let is_ours = all.contains_key(dependency) && dependency != name;
            let is_allowed =
                allowed.contains(&dependency.as_str()) || OPEN_TO_ALL.contains(&dependency.as_str());
            if is_ours && !is_allowed {
                wrong.push(format!("{name} uses {dependency} ({kind})"));
            }
        }
    }
    for (name, _) in EDGES {
        if !all.contains_key(*name) {
            wrong.push(format!("{name} is in the table but not in the workspace"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(EDGES.is_sorted_by_key(|(name, _)| *name), "the table is not sorted");
}

#[test]
fn pure_crates_are_pure() {
    let all = dependencies();
    let mut wrong = Vec::new();
    for name in PURE {
        for (dependency, kind) in &all[name] {
            if kind == "normal" && IMPURE.contains(&dependency.as_str()) {
                wrong.push(format!("{name} depends on {dependency}"));
            }
        }
        for file in sources(&root().join("common").join(name).join("src")) {
            let text = fs::read_to_string(&file).unwrap();
            // Tests stand at the end of a file, or in files of their own.
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
            let is_test = file.file_stem().is_some_and(|stem| stem == "tests")
                || file.components().any(|part| part.as_os_str() == "tests");
            for call in IMPURE_CALLS {
                if !is_test && code.lines().any(|line| line.contains(call) && !line.trim().starts_with("//"))
                {
                    wrong.push(format!("{} calls {call}", shown(&file)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The files of a folder of tests that its `mod.rs`, or the file beside it, does not name: nobody compiles them.
#[test]
fn no_test_is_left_out() {
    let mut wrong = Vec::new();
    let mut folders = BTreeSet::new();
    for folder in ["bench", "client", "common", "configsvr", "mongos", "proto", "shardsvr"] {
        for file in sources(&root().join(folder)) {
            let mut above = file.ancestors().skip(1).take_while(|path| !path.ends_with("src"));
            let is_inside = file.components().any(|part| part.as_os_str() == "src");
            if is_inside && above.any(|path| path.ends_with("tests")) {
                folders.insert(file.parent().unwrap().to_owned());
            }
        }
    }
    assert!(folders.iter().any(|folder| folder.ends_with("storage/src/tests")));
    for folder in folders {
        let own = folder.join("mod.rs");
        let named = if own.exists() { own } else { folder.with_extension("rs") };
        let text = fs::read_to_string(&named).unwrap_or_else(|error| panic!("{}: {error}", named.display()));
        let names: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| {
                let line = line.trim().trim_start_matches("pub(super) ").trim_start_matches("pub(crate) ");
                line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';')
            })
            .collect();
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let is_code = path.is_dir() || path.extension().is_some_and(|kind| kind == "rs");
            let name = path.file_stem().unwrap().to_str().unwrap();
            if is_code && name != "mod" && !names.contains(name) {
                wrong.push(format!("{} does not name {name}", shown(&named)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    let mut wrong = Vec::new();
    for folder in ["bench", "client", "common", "configsvr", "mongos", "proto", "shardsvr", "tests"] {
        for file in sources(&root().join(folder)) {
            let is_tests = file.file_name().is_some_and(|name| name == "tests.rs");
            if !is_tests && !fs::read_to_string(&file).unwrap().starts_with("//!") {
                wrong.push(shown(&file));
            }
        }
    }
    assert!(wrong.is_empty(), "without a module header:\n{}", wrong.join("\n"));
}

#[test]
fn no_crate_dodges_the_ban_on_unsafe_code() {
    let manifests: Vec<PathBuf> = metadata()["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| PathBuf::from(package["manifest_path"].as_str().unwrap()))
        .collect();
    for manifest in manifests {
        let text = fs::read_to_string(&manifest).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{} sets lints of its own", shown(&manifest));
    }
}

#[test]
fn each_base_engine_is_named_in_its_one_file() {
    let mut naming: Vec<String> = Vec::new();
    for file in sources(&root().join("common/storage/src")) {
        let text = fs::read_to_string(&file).unwrap();
        // `sled::Sled` is our own adapter in our own module.
        let text = text.replace("sled::Sled", "");
        if text.lines().any(|line| line.contains("sled::") && !line.trim().starts_with("//")) {
            naming.push(shown(&file));
        }
    }
    assert_eq!(naming, ["common/storage/src/base/sled.rs"]);
}

/// A folder with a file each, and the file whose text must name every one of them as a module.
const TABLES: &[(&str, &str)] = &[
    ("common/engine/src/commands", "common/engine/src/commands/mod.rs"),
    ("common/frontend/src/commands", "common/frontend/src/commands/mod.rs"),
    ("common/query/src/pipeline/accumulator", "common/query/src/pipeline/accumulator/mod.rs"),
    ("common/query/src/pipeline/stage", "common/query/src/pipeline/stage/mod.rs"),
    ("mongos/src/commands/admin", "mongos/src/commands/admin/mod.rs"),
    ("mongos/src/commands/crud", "mongos/src/commands/crud/mod.rs"),
    ("mongos/src/commands/ddl", "mongos/src/commands/ddl/mod.rs"),
    ("mongos/src/commands/diag", "mongos/src/commands/diag/mod.rs"),
];

#[test]
fn tables_are_sorted_and_complete() {
    let mut wrong = Vec::new();
    for (folder, table) in TABLES {
        let text = fs::read_to_string(root().join(table)).unwrap_or_else(|error| panic!("{table}: {error}"));
        // Those under `#[cfg(test)]` are no part of the table.
        let text = text.replace("#[cfg(test)]\nmod ", "");
        let module = |line: &'_ str| {
            let line = line.strip_suffix(';')?;
            let line = ["pub(crate) ", "pub(super) ", "pub "]
                .iter()
                .find_map(|visible| line.strip_prefix(visible))
                .unwrap_or(line);
            line.strip_prefix("mod ").map(str::to_owned)
        };
        let declared: Vec<String> = text.lines().filter_map(module).collect();
        // Parts of a table may stand apart, each sorted by itself.
        for block in text.split("\n\n") {
            if !block.lines().filter_map(module).is_sorted() {
                wrong.push(format!("{table}: modules are not sorted"));
            }
        }
        for file in sources(&root().join(folder)) {
            let (Some(stem), true) = (
                file.file_stem().and_then(|stem| stem.to_str()),
                file.parent() == Some(&root().join(folder)),
            ) else {
                continue;
            };
            if stem != "mod" && stem != "tests" && !declared.iter().any(|name| name == stem) {
                wrong.push(format!("{table} does not name {stem}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All Rust files under a folder, except what was built.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && name != "node_modules" && name != ".venv" {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
