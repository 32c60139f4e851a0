//! The files of a log: the one that is written, and those that it was rotated into, by this server or by logrotate(8).
//! They are told apart and put in order by what they hold, not by what they are called.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use serde::Deserialize;
use std::os::unix::fs::OpenOptionsExt as _;

use super::MODE;
use crate::limits::MAX_LOG_LINE_BYTES;
use wire::json::{self, Respelled};

/// How often a file is looked for that may have another name than a moment ago, before it counts as missing.
pub(super) const ATTEMPTS: u32 = 5;

const COMPRESSED: &str = ".gz";
const UNFINISHED: &str = ".tmp";

/// A file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// The number of its first record.
    pub(super) first: u64,
}

/// The files of the log at `path`, in the order of their records. Files beside it that hold no records are none of
/// them; of two that begin with the same record the one that is not compressed counts.
///
/// # Errors
/// The directory or a file cannot be read.
pub(super) fn log_files(path: &Path) -> io::Result<Vec<LogFile>> {
    let mut files = files_at_a_moment(path)?;
    // A file that gets another name meanwhile can be missed under both.
    for _ in 1..ATTEMPTS {
        let again = files_at_a_moment(path)?;
        if again == files {
            break;
        }
        files = again;
    }
    Ok(files)
}

fn files_at_a_moment(path: &Path) -> io::Result<Vec<LogFile>> {
    let mut files = rotated_files(path)?;
    files.extend(first_sequence(path)?.map(|first| LogFile { path: path.to_owned(), first }));
    files.sort_by_key(|file| (file.first, is_compressed(&file.path)));
    files.dedup_by_key(|file| file.first);
    Ok(files)
}

/// Those that are not written any more.
pub(super) fn rotated_files(path: &Path) -> io::Result<Vec<LogFile>> {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let mut files = Vec::new();
    for entry in fs::read_dir(directory_of(path))? {
        let path = entry?.path();
        let other = path.file_name().unwrap_or_default().as_encoded_bytes();
        let is_rotated = other.strip_prefix(name).is_some_and(|rest| rest.starts_with(b"."))
            && !other.ends_with(UNFINISHED.as_bytes());
        if is_rotated && path.is_file() {
            files.extend(first_sequence(&path)?.map(|first| LogFile { path, first }));
        }
    }
    files.sort_by_key(|file| (file.first, is_compressed(&file.path)));
    Ok(files)
}

/// Where a file lies.
pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The directory where a file lies, to be synced; none where it cannot be read.
pub(super) fn open_directory_of(path: &Path) -> Vec<Arc<File>> {
    File::open(directory_of(path)).map(Arc::new).into_iter().collect()
}

/// What a file is called from when it is rotated on: its first record stands in its name.
pub(super) fn rotated_name(path: &Path, first: u64) -> PathBuf {
    with_suffix(path, &format!(".{first:012}"))
}

/// Reads a file of a log line by line, compressed or not.
///
/// # Errors
/// It cannot be read.
pub(super) fn open_lines(path: &Path) -> io::Result<Lines> {
    let file = BufReader::with_capacity(256 * 1024, File::open(path)?);
    Ok(Lines(if is_compressed(path) {
        Box::new(BufReader::new(GzDecoder::new(file)))
    } else {
        Box::new(file)
    }))
}

/// The lines of a file.
pub(super) struct Lines(Box<dyn BufRead>);

impl Lines {
    /// Reads the next line into `line`, with its newline if it has one; an empty one is the end.
    ///
    /// # Errors
    /// The file cannot be read, or the line is longer than any record.
    pub(super) fn read(&mut self, line: &mut Vec<u8>) -> io::Result<()> {
        line.clear();
        self.read_on(line)
    }

    /// Reads what a line lacks whose end was not there yet.
    ///
    /// # Errors
    /// The file cannot be read, or the line is longer than any record.
    pub(super) fn read_on(&mut self, line: &mut Vec<u8>) -> io::Result<()> {
        let room = MAX_LOG_LINE_BYTES.saturating_sub(line.len() as u64);
        (&mut self.0).take(room).read_until(b'\n', line)?;
        if line.len() as u64 == MAX_LOG_LINE_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is longer than any record"));
        }
        Ok(())
    }
}

/// Puts a compressed file in the place of one that is not written any more. Until the new one is whole and on the disk
/// the old one stays.
pub(super) fn compress(path: &Path) -> io::Result<()> {
    let (unfinished, compressed) = (with_suffix(path, ".gz.tmp"), with_suffix(path, COMPRESSED));
    let file = File::options().write(true).create(true).truncate(true).mode(MODE).open(&unfinished)?;
    let mut encoder = GzEncoder::new(BufWriter::new(file), Compression::default());
    io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&unfinished, &compressed)?;
    fs::remove_file(path)
}

pub(super) fn is_compressed(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("gz"))
}

/// The number of a record, if the line is one.
pub(super) fn sequence_of(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Record {
        seq: u64,
    }
    json::read(line, &mut Respelled::default()).ok().map(|record: Record| record.seq)
}

/// The number of the first record of a file, if there is one.
fn first_sequence(path: &Path) -> io::Result<Option<u64>> {
    let mut line = Vec::new();
    let read = open_lines(path).and_then(|mut lines| lines.read(&mut line));
    match read {
        Ok(()) => Ok(sequence_of(&line)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // Something else that happens to lie there, or a file that was cut off.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
