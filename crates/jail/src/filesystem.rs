//! The files of a jail: everything read-only, a /tmp of its own, nothing of /run, a /proc of its own processes, and
//! landlock over what is left. The mounts hold what landlock does not look at, such as a change of permissions.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, Scope,
};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_bind, mount_change,
    move_mount, open_tree,
};

use crate::limits::{PRIVATE_TMP_BYTES, PRIVATE_TMP_FILES};
use crate::machine::highest_process_number;

/// The version of landlock that this was written for; what an older kernel lacks is left out.
const LANDLOCK: ABI = ABI::V6;

/// Directories in which programs leave files for each other, each replaced by an empty one.
const PRIVATE: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// Sockets of services, replaced by an empty directory.
const RUN: &str = "/run";

/// What of [`RUN`] programs need: who is logged in, and how names are resolved.
const KEPT_OF_RUN: [&str; 4] =
    ["/run/utmp", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager/resolv.conf"];

/// What programs, their libraries and their data lie under.
const SYSTEM: [&str; 8] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"];

/// What programs of the system read to start and to name things.
const SETTINGS: [&str; 31] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/networks",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/locale.alias",
    "/etc/locale.conf",
    "/etc/os-release",
    "/etc/lsb-release",
    "/etc/debian_version",
    "/etc/redhat-release",
    "/etc/alternatives",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/terminfo",
    "/sys/devices/system/cpu",
];

const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Where the limit of processes of a namespace is set.
const HIGHEST_PROCESS_NUMBER: &str = "/proc/sys/kernel/pid_max";

/// What every jail lets be read, opened once.
#[derive(Debug)]
pub(crate) struct SystemFiles {
    directories: Vec<OwnedFd>,
    settings: Vec<OwnedFd>,
    devices: Vec<OwnedFd>,
}

impl SystemFiles {
    /// Whatever of it this machine has.
    pub(crate) fn open() -> Self {
        let open = |paths: &[&str]| paths.iter().filter_map(|path| open_path(Path::new(path)).ok()).collect();
        let kept = KEPT_OF_RUN.iter().filter_map(|path| open_path(Path::new(path)).ok());
        let settings: Vec<_> = SETTINGS.iter().filter_map(|path| open_path(Path::new(path)).ok()).collect();
        Self {
            directories: open(&SYSTEM),
            settings: settings.into_iter().chain(kept).collect(),
            devices: open(&DEVICES),
        }
    }
}

/// Whether a path lies where a jail sees a directory of its own.
pub(crate) fn is_hidden(path: &Path) -> bool {
    PRIVATE.iter().chain([&RUN]).any(|hidden| path.starts_with(hidden))
}

/// A path that a jail would not see, or not as it is, kept to be put back where a rule asks for it.
#[derive(Debug)]
pub(crate) struct Kept {
    path: PathBuf,
    mount: OwnedFd,
    is_directory: bool,
}

/// How a path is put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restored {
    ReadOnly,
    AsItWas,
}

impl Kept {
    /// Takes hold of it before it is hidden or made read-only.
    fn keep(path: &Path) -> io::Result<Self> {
        let is_directory = path.metadata()?.is_dir();
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        Ok(Self { path: path.to_owned(), mount: open_tree(CWD, path, flags)?, is_directory })
    }

    /// Puts it where it was. Landlock alone would not keep what lies beneath the jail's own /tmp from being written.
    fn restore(&self, how: Restored) -> io::Result<()> {
        if how == Restored::ReadOnly {
            make_read_only(self.mount.as_fd(), c"", libc::AT_EMPTY_PATH)?;
        }
        match (is_hidden(&self.path), self.is_directory) {
            (true, true) => std::fs::create_dir_all(&self.path)?,
            (true, false) => {
                std::fs::create_dir_all(self.path.parent().unwrap_or(Path::new("/")))?;
                File::create(&self.path)?;
            }
            (false, _) => {}
        }
        move_mount(&self.mount, "", CWD, &self.path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        Ok(())
    }
}

/// Lets mounts of the machine still appear here, and none of ours there.
pub(crate) fn keep_mounts_to_ourselves() -> io::Result<()> {
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    Ok(())
}

/// Makes everything read-only, replaces what commands must not share, and keeps `wanted` as it was for the rules that
/// ask for it.
pub(crate) fn seal(wanted: &[PathBuf]) -> io::Result<Vec<Kept>> {
    let kept: Vec<_> = KEPT_OF_RUN.iter().filter_map(|path| Kept::keep(Path::new(path)).ok()).collect();
    let wanted = wanted.iter().filter_map(|path| Kept::keep(path).ok()).collect();
    make_read_only(CWD, c"/", 0)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let options = format!("mode=1777,size={PRIVATE_TMP_BYTES},nr_inodes={PRIVATE_TMP_FILES}\0");
    let options = CStr::from_bytes_with_nul(options.as_bytes()).map_err(io::Error::other)?;
    mount("tmpfs", PRIVATE[0], "tmpfs", flags, options)?;
    for directory in &PRIVATE[1..] {
        if is_directory(Path::new(directory)) {
            mount_bind(PRIVATE[0], *directory)?;
        }
    }
    if is_directory(Path::new(RUN)) {
        mount("tmpfs", RUN, "tmpfs", flags, c"mode=755,size=1m,nr_inodes=1024")?;
        for path in kept {
            path.restore(Restored::ReadOnly)?;
        }
    }
    Ok(wanted)
}

/// Puts back what a rule asks for. What is not there cannot be put back: its command will find it missing.
pub(crate) fn restore(kept: &[Kept], wanted: &[PathBuf], writable: &[PathBuf]) -> io::Result<()> {
    kept.iter().filter(|kept| wanted.contains(&kept.path)).try_for_each(|kept| {
        kept.restore(if writable.contains(&kept.path) { Restored::AsItWas } else { Restored::ReadOnly })
    })
}

/// A mount and all beneath it: read-only, and without set-user-id programs (`mount_setattr(2)`).
fn make_read_only(directory: BorrowedFd<'_>, path: &CStr, flags: libc::c_int) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    #[expect(unsafe_code, reason = "no safe wrapper of mount_setattr(2) exists")]
    // SAFETY: the descriptor is open, the path is a NUL-terminated string, and the kernel reads as many bytes of the structure as it is told,
    // which are its own.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            directory.as_raw_fd(),
            path.as_ptr(),
            libc::AT_RECURSIVE | flags,
            &raw const attributes,
            size_of_val(&attributes),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A directory itself, not a link to one.
fn is_directory(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// A /proc of this PID namespace, read-only, that shows a process only those that it may look into: under landlock its
/// own.
pub(crate) fn mount_proc() -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    mount("proc", "/proc", "proc", flags, c"hidepid=ptraceable")?;
    Ok(())
}

/// Takes the jail's own /proc away, so that the machine's lies open again.
pub(crate) fn show_machine_proc() -> io::Result<()> {
    rustix::mount::unmount("/proc", rustix::mount::UnmountFlags::DETACH)?;
    Ok(())
}

/// Where the limit of processes of this PID namespace is set: the kernel looks at who asks, so any /proc will do that is
/// not read-only yet.
pub(crate) fn open_process_limit() -> io::Result<File> {
    File::options().write(true).open(HIGHEST_PROCESS_NUMBER)
}

/// Where a PID namespace's last process number is set, which the next process gets the number after.
const LAST_PROCESS_NUMBER: &str = "/proc/sys/kernel/ns_last_pid";

/// Opened like [`open_process_limit`]; nothing where the kernel does not let it be set.
pub(crate) fn open_last_process_number() -> Option<File> {
    File::options().write(true).open(LAST_PROCESS_NUMBER).ok()
}

/// Where this process's preference for being ended for want of memory is set, and what it is. Opened like
/// [`open_process_limit`].
pub(crate) fn open_preference_out_of_memory() -> io::Result<(File, String)> {
    let mut file = File::options().read(true).write(true).open("/proc/self/oom_score_adj")?;
    let mut preference = String::new();
    io::Read::read_to_string(&mut file, &mut preference)?;
    Ok((file, preference))
}

/// The number of this process in the /proc that it sees.
pub(crate) fn own_number_in_proc() -> Option<u32> {
    std::fs::read_link("/proc/self").ok()?.to_str()?.parse().ok()
}

/// Whether each PID namespace has its own highest process number. Before, that is the whole machine's.
pub(crate) fn namespaces_limit_processes() -> bool {
    const FIRST: (u32, u32) = (6, 14);
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(|character: char| !character.is_ascii_digit()).map(str::parse);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= FIRST)
}

/// Limits the processes of this PID namespace, where [`namespaces_limit_processes`].
pub(crate) fn limit_processes(mut limit: &File, processes: u32) -> io::Result<()> {
    limit.write_all(&highest_process_number(processes))
}

/// The kernel's version of landlock; 0 where there is none.
pub(crate) fn landlock_abi() -> u8 {
    const VERSION: libc::c_ulong = 1;
    #[expect(unsafe_code, reason = "the library does not tell the version")]
    // SAFETY: with this flag the call takes no structure: a null pointer and no bytes.
    let abi = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0_usize, VERSION)
    };
    u8::try_from(abi.max(0)).unwrap_or(u8::MAX)
}

/// The files that a process may use, not yet enforced.
#[derive(Debug)]
pub(crate) struct FileRules(RulesetCreated);

impl FileRules {
    /// Nothing.
    pub(crate) fn nothing() -> io::Result<Self> {
        let ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(LANDLOCK))
            .and_then(|ruleset| ruleset.scope(Scope::from_all(LANDLOCK)))
            .and_then(Ruleset::create);
        ruleset.map(Self).map_err(io::Error::other)
    }

    /// No port is bound, and none connected to; files as before.
    pub(crate) fn no_network() -> io::Result<Self> {
        let ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessNet::from_all(LANDLOCK))
            .and_then(Ruleset::create);
        ruleset.map(Self).map_err(io::Error::other)
    }

    /// What every command may use.
    pub(crate) fn system(files: &SystemFiles) -> io::Result<Self> {
        let mut rules = Self::nothing()?;
        for file in files.directories.iter().chain(&files.settings) {
            rules = rules.allow(file, Use::Read)?;
        }
        for device in &files.devices {
            rules = rules.allow(device, Use::ReadAndWriteFile)?;
        }
        rules.allow_path(Path::new("/proc"), Use::Read)
    }

    /// The jail's own /tmp, under all its names.
    pub(crate) fn private_tmp(self) -> io::Result<Self> {
        self.allow_path(Path::new(PRIVATE[0]), Use::ReadAndWrite)
    }

    /// The system's programs may be executed.
    pub(crate) fn exec(mut self, files: &SystemFiles) -> io::Result<Self> {
        for directory in &files.directories {
            self = self.allow(directory, Use::ReadAndExecute)?;
        }
        Ok(self)
    }

    pub(crate) fn allow_path(self, path: &Path, how: Use) -> io::Result<Self> {
        let opened = open_path(path)?;
        self.allow(&opened, how)
    }

    pub(crate) fn allow(self, file: impl AsFd, how: Use) -> io::Result<Self> {
        let is_directory = rustix::fs::fstat(&file)
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir());
        let mut access = how.access();
        if !is_directory {
            access &= AccessFs::from_file(LANDLOCK);
        }
        self.0.add_rule(PathBeneath::new(file, access)).map(Self).map_err(io::Error::other)
    }

    /// The descriptor to enforce; none where the kernel has no landlock.
    pub(crate) fn into_descriptor(self) -> Option<OwnedFd> {
        self.0.into()
    }
}

/// What may be done with a file or with everything beneath a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Read,
    ReadAndExecute,
    ReadAndWriteFile,
    ReadAndWrite,
    /// Regular files directly, and nothing that could lead elsewhere: no links, sockets, FIFOs, devices or directories.
    MakeFiles,
    /// Removes files, and neither makes nor reads any.
    RemoveFile,
}

impl Use {
    fn access(self) -> BitFlags<AccessFs> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        match self {
            Self::Read => read,
            Self::ReadAndExecute => read | AccessFs::Execute,
            Self::ReadAndWriteFile => AccessFs::ReadFile | AccessFs::WriteFile,
            Self::RemoveFile => AccessFs::RemoveFile.into(),
            Self::MakeFiles => {
                read | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg | AccessFs::RemoveFile
            }
            Self::ReadAndWrite => {
                (AccessFs::from_all(LANDLOCK))
                    & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev)
            }
        }
    }
}

/// Opens a file as a place, without reading it.
pub(crate) fn open_path(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}
