//! What a file beside the log holds. Nothing is opened but a regular file, so that no reader waits for a FIFO, and no
//! device or socket is touched; how a file is compressed is told by its first bytes.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use rustix::fs::OFlags;

use crate::limits::MAX_LOG_LINE_BYTES;
use crate::log::link::{End, Link, hash};

/// What every file of a log starts with.
pub(in crate::log) const FIRST_BYTES: &[u8] = b"{\"seq\":";

/// How compressed files begin that bidden does not read, and with which program they are read.
const OTHER_PROGRAMS: [(&[u8], &str); 7] = [
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"LZIP", "lzip"),
    (b"\x1f\x9d", "compress"),
    (b"PK\x03\x04", "zip"),
];

const GZIP: &[u8] = b"\x1f\x8b";

/// Bytes from a file's end in which its last line is looked for first; few are longer.
const TAIL_BYTES: u64 = 64 * 1024;

/// What stands in a file.
pub(super) enum Content {
    /// Records, of which this is the first.
    Records { first: u64, head: [u8; 32], previous: String, is_compressed: bool },
    /// Nothing.
    Empty,
    /// The beginning of a first record.
    Begun,
    /// What this program compressed.
    CompressedBy(&'static str),
    /// A compressed file whose first record cannot be read, and why.
    Damaged(String),
    /// Something else.
    Other,
}

/// Opens a file to read it, if it is a regular one.
///
/// # Errors
/// It cannot be read, or is something that must not be waited for.
pub(in crate::log) fn open_regular(path: &Path) -> io::Result<File> {
    refuse_other_than_file(path.metadata()?.file_type())?;
    // What takes its place meanwhile is not waited for either.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    refuse_other_than_file(file.metadata()?.file_type())?;
    Ok(file)
}

/// Says what a thing is that no log can be.
pub(in crate::log) fn refuse_other_than_file(kind: FileType) -> io::Result<()> {
    let what = match kind {
        _ if kind.is_file() => return Ok(()),
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a FIFO or a pipe",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, and a log is a file")))
}

/// What stands in a file that is open.
///
/// # Errors
/// It cannot be read.
pub(super) fn content(file: File) -> io::Result<Content> {
    let form = Form::of(&file)?;
    match form {
        Form::CompressedBy(program) => return Ok(Content::CompressedBy(program)),
        Form::Plain if file.metadata()?.len() == 0 => return Ok(Content::Empty),
        Form::Plain if !begins_with(&file, FIRST_BYTES)? => return Ok(Content::Other),
        Form::Plain | Form::Gzip => {}
    }
    let is_compressed = matches!(form, Form::Gzip);
    let (mut lines, mut line) = (Lines::of(file, &form), Vec::new());
    match lines.read(&mut line) {
        Ok(()) => {}
        Err(error) if is_damage(&error) && is_compressed => return Ok(Content::Damaged(error.to_string())),
        Err(error) if is_damage(&error) => return Ok(Content::Other),
        Err(error) => return Err(error),
    }
    let Some(whole) = line.strip_suffix(b"\n") else {
        return Ok(if line.starts_with(FIRST_BYTES) { Content::Begun } else { Content::Other });
    };
    Ok(match Link::read(whole) {
        Some(record) => Content::Records {
            first: record.sequence,
            head: hash(whole),
            previous: record.previous.to_owned(),
            is_compressed,
        },
        None => Content::Other,
    })
}

/// The end of what can be read of a file with records.
///
/// # Errors
/// It cannot be read, otherwise than because it is damaged.
pub(super) fn end(path: &Path) -> io::Result<Option<End>> {
    let file = open_regular(path)?;
    let form = Form::of(&file)?;
    if matches!(form, Form::Plain) {
        return Ok(tail(&file)?.last_line.and_then(|line| End::of(&line)));
    }
    let (mut lines, mut line, mut last) = (Lines::of(file, &form), Vec::new(), Vec::new());
    loop {
        match lines.read(&mut line) {
            Err(error) if !is_damage(&error) => return Err(error),
            Ok(()) if line.ends_with(b"\n") => std::mem::swap(&mut line, &mut last),
            Ok(()) | Err(_) => return Ok(End::of(last.strip_suffix(b"\n").unwrap_or_default())),
        }
    }
}

/// Whether an error says that a file was cut off or holds other bytes than it should, rather than that it cannot be read.
pub(in crate::log) fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

enum Form {
    Plain,
    Gzip,
    CompressedBy(&'static str),
}

impl Form {
    fn of(file: &File) -> io::Result<Self> {
        if begins_with(file, GZIP)? {
            return Ok(Self::Gzip);
        }
        for (magic, program) in OTHER_PROGRAMS {
            if begins_with(file, magic)? {
                return Ok(Self::CompressedBy(program));
            }
        }
        Ok(Self::Plain)
    }
}

fn begins_with(file: &File, bytes: &[u8]) -> io::Result<bool> {
    let mut first = vec![0; bytes.len()];
    match file.read_exact_at(&mut first, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| first == bytes),
    }
}

/// Reads a file of a log line by line, compressed or not.
///
/// # Errors
/// It cannot be read.
pub(in crate::log) fn open_lines(path: &Path) -> io::Result<Lines> {
    let file = open_regular(path)?;
    let form = Form::of(&file)?;
    Ok(Lines::of(file, &form))
}

/// The lines of a file.
pub(in crate::log) struct Lines(Box<dyn BufRead>);

impl Lines {
    fn of(file: File, form: &Form) -> Self {
        let file = BufReader::with_capacity(256 * 1024, file);
        Self(match form {
            // gzip(1) reads files that were put behind each other as one.
            Form::Gzip => Box::new(BufReader::new(MultiGzDecoder::new(file))),
            Form::Plain | Form::CompressedBy(_) => Box::new(file),
        })
    }

    /// Reads the next line into `line`, with its newline if it has one; an empty one is the end.
    ///
    /// # Errors
    /// The file cannot be read, or the line is longer than any record.
    pub(in crate::log) fn read(&mut self, line: &mut Vec<u8>) -> io::Result<()> {
        line.clear();
        self.read_on(line)
    }

    /// Reads what a line lacks whose end was not there yet.
    ///
    /// # Errors
    /// The file cannot be read, or the line is longer than any record.
    pub(in crate::log) fn read_on(&mut self, line: &mut Vec<u8>) -> io::Result<()> {
        let room = MAX_LOG_LINE_BYTES.saturating_sub(line.len() as u64);
        (&mut self.0).take(room).read_until(b'\n', line)?;
        if line.len() as u64 == MAX_LOG_LINE_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is longer than any record"));
        }
        Ok(())
    }
}

/// The end of a file that is not compressed.
pub(in crate::log) struct Tail {
    /// The last whole line, without its newline.
    pub(in crate::log) last_line: Option<Vec<u8>>,
    /// What stands after it: a line that was cut short.
    pub(in crate::log) torn_bytes: u64,
}

/// # Errors
/// The file cannot be read.
pub(in crate::log) fn tail(file: &File) -> io::Result<Tail> {
    let length = file.metadata()?.len();
    let newline = |bytes: &[u8]| bytes.iter().rposition(|&byte| byte == b'\n');
    for window in [TAIL_BYTES, MAX_LOG_LINE_BYTES.saturating_mul(2)] {
        let start = length.saturating_sub(window);
        let mut tail = vec![0; usize::try_from(length.saturating_sub(start)).unwrap_or(0)];
        file.read_exact_at(&mut tail, start)?;
        let Some(end) = newline(&tail) else { continue };
        let torn_bytes = tail.len().saturating_sub(end).saturating_sub(1) as u64;
        tail.truncate(end);
        match newline(&tail) {
            None if start > 0 && window == TAIL_BYTES => continue,
            before => tail.drain(..before.map_or(0, |before| before.saturating_add(1))),
        };
        return Ok(Tail { last_line: Some(tail), torn_bytes });
    }
    Ok(Tail { last_line: None, torn_bytes: length })
}
