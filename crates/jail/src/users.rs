//! Users of their own for jails: numbers that own nothing on this machine, each of which belongs to one jail at a time. A
//! locked byte of a file says which are taken, also by other servers of this machine; the kernel unlocks it with the last
//! process that holds the file.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fstat};

/// Where the numbers that are taken are locked, each by the byte of that offset. The file stays empty.
const TAKEN: &str = "/run/bidden-jail-users";

/// Files that give numbers to users and groups (passwd(5), group(5)).
const ACCOUNTS: [&str; 2] = ["/etc/passwd", "/etc/group"];

/// Numbers from the first to the last, of users and of groups alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserRange {
    first: u32,
    last: u32,
}

impl UserRange {
    /// Nothing where it would have root in it, or the number that means "no user", or no number at all.
    pub fn new(first: u32, last: u32) -> Option<Self> {
        (1..=last).contains(&first).then_some(Self { first, last }).filter(|range| range.last < u32::MAX)
    }

    fn count(self) -> u32 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// Whether this process's user namespace knows all of it.
    fn is_mapped(self) -> bool {
        ["/proc/self/uid_map", "/proc/self/gid_map"]
            .iter()
            .all(|map| std::fs::read_to_string(map).is_ok_and(|map| self.is_within(&map)))
    }

    /// Whether one line of a map (`user_namespaces(7)`) has all of it.
    fn is_within(self, map: &str) -> bool {
        map.lines().any(|line| {
            let mut numbers = line.split_whitespace().map(str::parse::<u32>);
            let (Some(Ok(inside)), Some(Ok(_)), Some(Ok(count))) =
                (numbers.next(), numbers.next(), numbers.next())
            else {
                return false;
            };
            inside <= self.first && self.last.checked_sub(inside).is_some_and(|offset| offset < count)
        })
    }
}

/// Numbers that systemd's allocation of users leaves to nobody, and that containers map.
impl Default for UserRange {
    fn default() -> Self {
        Self { first: 60_578, last: 61_183 }
    }
}

impl std::fmt::Display for UserRange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}-{}", self.first, self.last)
    }
}

/// The users of the jails of a launcher that may change users.
#[derive(Debug)]
pub(crate) struct Users {
    range: UserRange,
    /// Numbers of the range that somebody has.
    accounts: BTreeSet<u32>,
}

impl Users {
    /// Nothing where this process's user namespace lacks some of them.
    pub(crate) fn of(range: UserRange) -> Option<Self> {
        let ids = |text: String| -> Vec<u32> {
            text.lines().filter_map(|line| line.split(':').nth(2)?.parse().ok()).collect()
        };
        let texts = ACCOUNTS.iter().filter_map(|file| std::fs::read_to_string(file).ok());
        let accounts = texts.flat_map(ids).collect();
        range.is_mapped().then_some(Self { range, accounts })
    }

    /// One that no other jail has. `number` says where to begin to look, so that a number seldom comes back at once.
    pub(crate) fn take(&self, number: u32) -> io::Result<TakenUser> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(TAKEN, flags, Mode::RUSR | Mode::WUSR)?;
        let stat = fstat(&file)?;
        let is_file = FileType::from_raw_mode(stat.st_mode).is_file();
        if !is_file || stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        let count = self.range.count();
        for offset in 0..count {
            let place = number.wrapping_add(offset).checked_rem(count).unwrap_or(0);
            let user = self.range.first.saturating_add(place);
            if !self.accounts.contains(&user) && lock(&file, user)? {
                return Ok(TakenUser { user, lock: file });
            }
        }
        Err(io::Error::from(rustix::io::Errno::AGAIN))
    }
}

/// A user of a jail, until the last process that holds this ends.
#[derive(Debug)]
pub(crate) struct TakenUser {
    pub(crate) user: u32,
    pub(crate) lock: OwnedFd,
}

/// `F_WRLCK` (fcntl(2)).
const WRITE_LOCK: libc::c_short = 1;

/// Locks the byte of a number; false where another has locked it.
fn lock(file: &OwnedFd, number: u32) -> io::Result<bool> {
    #[expect(unsafe_code, reason = "no safe wrapper of locks that belong to an open file exists")]
    // SAFETY: a zeroed `flock` is valid and counts from the file's start; the kernel reads it during the call alone.
    let result = unsafe {
        let mut lock: libc::flock = std::mem::zeroed();
        lock.l_type = WRITE_LOCK;
        lock.l_start = libc::off_t::from(number);
        lock.l_len = 1;
        libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock)
    };
    match io::Error::last_os_error() {
        _ if result == 0 => Ok(true),
        error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{UserRange, Users};
    use std::collections::BTreeSet;

    #[test]
    fn a_range_has_neither_root_nor_nobody_s_number_in_it() {
        for (first, last, there) in [
            (1, 1, true),
            (60_578, 61_183, true),
            (5, u32::MAX - 1, true),
            (0, 5, false),
            (2, 1, false),
            (5, u32::MAX, false),
        ] {
            assert_eq!(UserRange::new(first, last).is_some(), there, "{first}-{last}");
        }
    }

    #[test]
    fn a_user_namespace_has_all_of_a_range_or_none() {
        let range = UserRange::new(100, 199).expect("a range");
        for (map, within) in [
            ("0 0 4294967295", true),
            ("100 5 100", true),
            ("0 0 1\n50 0 150", true),
            ("0 0 199", false),
            ("101 0 99", false),
            ("0 0 1", false),
            ("", false),
            ("x", false),
        ] {
            assert_eq!(range.is_within(map), within, "{map}");
        }
    }

    #[test]
    fn a_user_belongs_to_one_jail_and_is_given_back_with_it() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: a_user_belongs_to_one_jail_and_is_given_back_with_it: only root takes users");
            return;
        }
        // A range of this test's own, so that no other has some of it.
        let first = 1_700_000_000_u32.saturating_add(std::process::id().saturating_mul(4));
        let range = UserRange::new(first, first + 3).expect("a range");
        let users = Users { range, accounts: BTreeSet::from([first + 1]) };
        let taken: Vec<_> = (0..3).map(|number| users.take(number).expect("free")).collect();
        let numbers: Vec<_> = taken.iter().map(|taken| taken.user).collect();
        assert_eq!(numbers, [first, first + 2, first + 3], "each once, and none that is somebody's");
        assert_eq!(users.take(0).expect_err("none is left").raw_os_error(), Some(libc::EAGAIN));
        drop(taken);
        assert_eq!(users.take(2).expect("given back").user, first + 2);
    }
}
