//! Files that bidden has rotated are compressed, and the oldest removed where not all are to be kept. What others have
//! rotated, copied or named is left to them.

use std::fs;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::archive::{LogFile, compressed_names, log_files, open_regular, own_rotated_files};
use super::file::create_as;
use super::{Rotation, complain};

/// Compresses the files that are not written any more, and removes the oldest where not all are to be kept. Files stay that
/// hold records from this one on: the next server looks for them.
pub(super) fn tidy(path: &Path, rotation: Rotation, needed_from: u64) {
    // One at a time: the next one does what this one has not seen yet.
    static TIDYING: Mutex<()> = Mutex::new(());
    let _turn = TIDYING.lock().unwrap_or_else(PoisonError::into_inner);
    let tidied = own_rotated_files(path).and_then(|files| {
        for file in files.iter().filter(|file| !file.is_compressed) {
            compress(&file.path)?;
        }
        let files = own_rotated_files(path)?;
        let excess = rotation.keep.map_or(0, |keep| files.len().saturating_sub(keep));
        let of_others = oldest_of_others(path, &files)?;
        let after = files.iter().skip(1).map(|next| next.first);
        let removable = files
            .iter()
            .zip(after)
            .take_while(|(_, next)| *next <= needed_from)
            .take_while(|(file, _)| of_others.is_none_or(|oldest| file.first < oldest))
            .take(excess);
        removable.into_iter().try_for_each(|(file, _)| fs::remove_file(&file.path))
    });
    if let Err(error) = tidied {
        complain(&format!("cannot compress or remove old files of the log {}: {error}", path.display()));
    }
}

/// The first record of the oldest file that others have rotated: what is older may go without leaving a gap.
fn oldest_of_others(path: &Path, own: &[LogFile]) -> io::Result<Option<u64>> {
    let is_own = |file: &LogFile| own.iter().any(|own| own.first == file.first);
    Ok(log_files(path)?.iter().find(|file| !is_own(file)).map(|file| file.first))
}

/// Puts a compressed file in the place of one that is not written any more, for the same readers. Until the new one is
/// whole and on the disk the old one stays.
fn compress(path: &Path) -> io::Result<()> {
    let (unfinished, compressed) = compressed_names(path);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        // What a server left that was killed.
        _ => {}
    }
    let mut plain = open_regular(path)?;
    let file = create_as(&unfinished, &plain)?;
    let mut encoder = GzEncoder::new(BufWriter::new(file), Compression::default());
    io::copy(&mut plain, &mut encoder)?;
    encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&unfinished, &compressed)?;
    fs::remove_file(path)
}
