//! A program: examined and opened once, when the policy is loaded, and executed by that descriptor ever after. What
//! others may write or exchange, and what has changed since, is refused.
//!
//! Owners are judged here, so this must happen in the keeper: a launcher may be in a user namespace that does not know them.

use std::ffi::CString;
use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The longest first line of a script that the kernel reads (`BINPRM_BUF_SIZE`).
const SCRIPT_LINE_BYTES: usize = 256;

/// Where the path of an ELF file's interpreter is looked for.
const ELF_START_BYTES: usize = 4096;

/// Permission bits (stat(2)).
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;
const EXECUTABLE: u32 = 0o111;

/// Finds the file behind a path and examines it, without opening it: it must be an executable file that only root and this
/// process's user can change or exchange. The reason for a refusal names the file.
///
/// # Errors
/// There is no such file, or somebody else could change or exchange it.
pub fn examine_program(path: &Path) -> Result<PathBuf, String> {
    examine(path).map(|(resolved, _)| resolved)
}

fn examine(path: &Path) -> Result<(PathBuf, FileIdentity), String> {
    let shown = path.display();
    let resolved = path.canonicalize().map_err(|error| format!("{shown} cannot be found: {error}"))?;
    let metadata = resolved.metadata().map_err(|error| format!("{shown} cannot be read: {error}"))?;
    if !metadata.is_file() {
        return Err(format!("{} is not a regular file", resolved.display()));
    }
    if metadata.mode() & EXECUTABLE == 0 {
        return Err(format!("{} is not executable", resolved.display()));
    }
    cannot_be_exchanged(&resolved, &metadata)?;
    for directory in path.ancestors().skip(1).chain(resolved.ancestors().skip(1)) {
        let metadata = directory
            .metadata()
            .map_err(|error| format!("{} cannot be read: {error}", directory.display()))?;
        cannot_be_exchanged(directory, &metadata)?;
    }
    Ok((resolved, FileIdentity::of(&metadata)))
}

fn cannot_be_exchanged(path: &Path, metadata: &Metadata) -> Result<(), String> {
    let path = path.display();
    // In a sticky directory nobody but its owner can exchange the files of others.
    let is_sticky = metadata.is_dir() && metadata.mode() & STICKY != 0;
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 && !is_sticky {
        let mode = metadata.mode() & 0o7777;
        return Err(format!("{path} can be written by others (mode {mode:04o})"));
    }
    owner::check(metadata).map_err(|reason| format!("{path} {reason}"))
}

/// An opened program.
#[derive(Debug)]
pub(crate) struct Program {
    opened: Opened,
    /// The interpreter, for a script, and what stands before the script's own arguments.
    interpreter: Option<(Opened, Vec<CString>)>,
    /// The dynamic loader that the executed file names.
    loader: Option<Opened>,
    path: CString,
}

#[derive(Debug)]
struct Opened {
    file: File,
    path: PathBuf,
    identity: FileIdentity,
}

/// What tells a file from another and from itself after a change (stat(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileIdentity {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Program {
    /// Opens the file and, where it is a script, its interpreter. The reason for a refusal is for the log.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let opened = Opened::open(path)?;
        let name = c_string(path)?;
        let start = opened.start().map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let interpreter = match interpreter(&start) {
            None => None,
            Some(Err(())) => {
                return Err(format!("the first line of {} names no interpreter", path.display()));
            }
            Some(Ok((program, argument))) => {
                let arguments = [Some(c_string(&program)?), argument, Some(name.clone())];
                Some((Opened::open(&program)?, arguments.into_iter().flatten().collect()))
            }
        };
        let loader = match &interpreter {
            None => elf_interpreter(&start),
            Some((opened, _)) => elf_interpreter(&opened.start().unwrap_or_default()),
        };
        // One that is not there makes the kernel refuse the program.
        let loader = loader.filter(|path| path.exists()).map(|path| Opened::open(&path)).transpose()?;
        Ok(Self { opened, interpreter, loader, path: name })
    }

    /// The descriptor to execute, if the file is still the one that was opened.
    pub(crate) fn executable(&self) -> Result<&File, String> {
        self.opened.unchanged()?;
        match &self.interpreter {
            None => Ok(&self.opened.file),
            Some((interpreter, _)) => {
                interpreter.unchanged()?;
                Ok(&interpreter.file)
            }
        }
    }

    /// The argument vector's beginning: the program's path, for a script behind its interpreter.
    pub(crate) fn first_arguments(&self) -> Vec<CString> {
        match &self.interpreter {
            None => vec![self.path.clone()],
            Some((_, arguments)) => arguments.clone(),
        }
    }

    /// The files that executing it opens.
    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        let interpreter = self.interpreter.iter().map(|(opened, _)| opened);
        std::iter::once(&self.opened).chain(interpreter).chain(&self.loader).map(|opened| &opened.file)
    }

    /// The file that its interpreter opens by its path, for a script.
    pub(crate) fn script(&self) -> Option<&Path> {
        self.interpreter.as_ref().map(|_| self.opened.path.as_path())
    }
}

impl Opened {
    fn open(path: &Path) -> Result<Self, String> {
        let (resolved, identity) = examine(path)?;
        let shown = path.display();
        let file = File::open(resolved).map_err(|error| format!("{shown} cannot be opened: {error}"))?;
        let opened = Self { file, path: path.to_owned(), identity };
        opened.unchanged()?;
        Ok(opened)
    }

    fn unchanged(&self) -> Result<(), String> {
        let shown = self.path.display();
        let metadata = self.file.metadata().map_err(|error| format!("{shown} cannot be read: {error}"))?;
        if FileIdentity::of(&metadata) == self.identity && metadata.nlink() > 0 {
            return Ok(());
        }
        Err(format!(
            "{shown} has changed since the policy was loaded; if that is right, reload the policy (SIGHUP)"
        ))
    }

    fn start(&self) -> std::io::Result<Vec<u8>> {
        let mut start = vec![0; ELF_START_BYTES];
        let length = self.file.read_at(&mut start, 0)?;
        start.truncate(length);
        Ok(start)
    }
}

impl FileIdentity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn c_string(path: &Path) -> Result<CString, String> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| format!("{} holds a NUL", path.display()))
}

/// The interpreter and its one argument, as execve(2) reads them from a script's first line.
fn interpreter(start: &[u8]) -> Option<Result<(PathBuf, Option<CString>), ()>> {
    let line = start.strip_prefix(b"#!")?;
    let line = line.get(..SCRIPT_LINE_BYTES).unwrap_or(line).split(|&byte| byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line).trim().to_owned();
    let (program, argument) = match line.split_once([' ', '\t']) {
        Some((program, argument)) => (program.to_owned(), CString::new(argument.trim()).ok()),
        None => (line, None),
    };
    Some(if program.starts_with('/') { Ok((program.into(), argument)) } else { Err(()) })
}

/// The path of the dynamic loader in the program headers of a 64-bit little-endian ELF file (elf(5)).
fn elf_interpreter(start: &[u8]) -> Option<PathBuf> {
    const PT_INTERP: u32 = 3;
    let word = |at: usize| Some(u64::from_le_bytes(*start.get(at..)?.first_chunk()?));
    let half = |at: usize| Some(u16::from_le_bytes(*start.get(at..)?.first_chunk()?));
    let kind = |at: usize| Some(u32::from_le_bytes(*start.get(at..)?.first_chunk()?));
    start.strip_prefix(b"\x7fELF\x02\x01")?;
    let (table, size, count) = (usize::try_from(word(32)?).ok()?, half(54)?, half(56)?);
    for index in 0..count {
        let header = table.checked_add(usize::from(size).checked_mul(usize::from(index))?)?;
        if kind(header)? == PT_INTERP {
            let from = usize::try_from(word(header.checked_add(8)?)?).ok()?;
            let length = usize::try_from(word(header.checked_add(32)?)?).ok()?;
            let text = start.get(from..from.checked_add(length)?)?.split(|&byte| byte == 0).next()?;
            return Some(std::ffi::OsStr::from_bytes(text).into());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Program, interpreter};
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};

    fn program(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("program");
        write(&path, text).expect("written");
        set_permissions(&path, Permissions::from_mode(0o755)).expect("permitted");
        (directory, path)
    }

    #[test]
    fn what_others_may_write_is_refused() {
        let (_directory, path) = program("#!/bin/sh\n");
        assert!(Program::open(&path).is_ok());
        for mode in [0o775, 0o757] {
            set_permissions(&path, Permissions::from_mode(mode)).expect("permitted");
            assert!(Program::open(&path).expect_err("refused").contains("written by others"));
        }
        set_permissions(&path, Permissions::from_mode(0o644)).expect("permitted");
        assert!(Program::open(&path).expect_err("refused").contains("is not executable"));
    }

    /// A script is what its interpreter makes of it.
    #[test]
    fn an_interpreter_is_held_to_the_same_as_a_program() {
        let (_directory, script) = program("#!/bin/sh\n");
        let (_other, interpreter) = program("");
        write(&script, format!("#!{}\n", interpreter.display())).expect("written");
        assert!(Program::open(&script).is_ok());
        set_permissions(&interpreter, Permissions::from_mode(0o757)).expect("permitted");
        assert!(Program::open(&script).expect_err("refused").contains("written by others"));
        set_permissions(&interpreter, Permissions::from_mode(0o755)).expect("permitted");
        if std::os::unix::fs::chown(&interpreter, Some(4243), None).is_err() {
            eprintln!(
                "SKIPPED: an_interpreter_is_held_to_the_same_as_a_program: no file can be given away here"
            );
            return;
        }
        assert!(Program::open(&script).expect_err("refused").contains("belongs to user 4243"));
        std::os::unix::fs::chown(&interpreter, Some(rustix::process::geteuid().as_raw()), None)
            .expect("back");
        assert!(Program::open(&script).is_ok());
    }

    /// In a sticky directory everyone may make files, but only its owner can exchange those of others.
    #[test]
    fn a_sticky_directory_belongs_to_root_or_to_this_user() {
        let (directory, path) = program("");
        set_permissions(directory.path(), Permissions::from_mode(0o1777)).expect("permitted");
        assert!(Program::open(&path).is_ok());
        if std::os::unix::fs::chown(directory.path(), Some(4243), None).is_err() {
            eprintln!(
                "SKIPPED: a_sticky_directory_belongs_to_root_or_to_this_user: no file can be given away here"
            );
            return;
        }
        assert!(Program::open(&path).expect_err("refused").contains("belongs to user 4243"));
    }

    #[test]
    fn what_changed_after_it_was_opened_is_refused() {
        let change: [fn(&Path); 4] = [
            |path| write(path, "#!/bin/sh\nexit 1\n").expect("written"),
            |path| std::fs::remove_file(path).expect("removed"),
            |path| std::fs::rename(path, path.with_extension("old")).expect("moved"),
            |path| set_permissions(path, Permissions::from_mode(0o777)).expect("permitted"),
        ];
        for change in change {
            let (_directory, path) = program("#!/bin/sh\n");
            let program = Program::open(&path).expect("opened");
            assert!(program.executable().is_ok());
            change(&path);
            assert!(program.executable().expect_err("refused").contains("has changed"));
        }
    }

    #[test]
    fn a_script_is_read_as_the_kernel_reads_it() {
        let read = |line: &str| interpreter(line.as_bytes());
        assert_eq!(read("\x7fELF"), None);
        assert_eq!(read("#!/bin/sh\nx"), Some(Ok(("/bin/sh".into(), None))));
        assert_eq!(read("#! /bin/sh -e x \n"), Some(Ok(("/bin/sh".into(), Some(c"-e x".into())))));
        assert_eq!(read("#!sh\n"), Some(Err(())));
    }

    #[test]
    fn the_loader_of_a_dynamic_program_is_found() {
        let program = Program::open(Path::new("/bin/true")).expect("opened");
        assert_eq!(program.files().count(), 2);
        assert!(program.script().is_none());
    }
}
