//! A directory whose store does not open makes room for a copy of another member's data: everything that is of this crate is put
//! aside, and nothing is deleted. Facts of others in the control file stay.

use crate::Error;
use crate::control::{Control, sync_dir};
use bson::RawBson;
use std::fs;
use std::path::{Path, PathBuf};

/// What stays where it is.
const STAY: [&str; 3] = ["control", "shoal.lock", "rollback"];
const ASIDE: &str = "damaged-";
/// Facts of the control file that belong to what is put aside.
const OWN_FACTS: &str = "storage.";

/// The control file of a directory that no store has open.
///
/// # Errors
/// If it is not there or cannot be read.
pub fn read_control(dir: &Path) -> Result<Control, Error> {
    Control::open(dir)
}

/// Puts a store that does not open aside, in a directory beside it, and sets `facts` before anything is moved. What a crash leaves
/// half done is put aside the next time.
///
/// # Errors
/// If the disk fails.
pub fn set_aside<'a>(
    dir: &Path,
    facts: impl IntoIterator<Item = (&'a str, RawBson)>,
) -> Result<PathBuf, Error> {
    let control = Control::open(dir)?;
    control.put_all(facts)?;
    let aside = (1..)
        .map(|number: u32| dir.join(format!("{ASIDE}{number}")))
        .find(|path| !path.exists())
        .ok_or_else(|| Error::Damaged("no name for what is put aside".to_owned()))?;
    fs::create_dir(&aside).map_err(Error::io(&aside))?;
    for entry in fs::read_dir(dir).map_err(Error::io(dir))? {
        let entry = entry.map_err(Error::io(dir))?;
        let name = entry.file_name();
        let stays = name.to_str().is_some_and(|name| STAY.contains(&name) || name.starts_with(ASIDE));
        if !stays {
            fs::rename(entry.path(), aside.join(&name)).map_err(Error::io(entry.path()))?;
        }
    }
    sync_dir(&aside)?;
    sync_dir(dir)?;
    let own = control.names();
    let own: Vec<&str> = own.iter().map(String::as_str).filter(|name| name.starts_with(OWN_FACTS)).collect();
    control.change([], &own)?;
    Ok(aside)
}
