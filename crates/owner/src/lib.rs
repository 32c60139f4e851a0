//! Judges whom a file belongs to: to root or to this process's user, or to somebody else.
//!
//! Refuses an owner who cannot be told from others: in a user namespace the kernel shows every user whom the namespace
//! does not map as one, the overflow uid (`user_namespaces(7)`). Root's files look so there, and an attacker's too.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::sync::LazyLock;

/// Why a file is not trusted for its owner's sake. Reads on behind the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForeignOwner {
    /// Somebody else, who can change it.
    #[error("belongs to user {0}, who is neither root nor the user of this process")]
    Other(u32),
    /// Nobody knows who.
    #[error(
        "belongs to user {0}, the overflow uid: here it stands for every user whom this user namespace does not map, \
         so the owner is unknown; map the owner into the namespace (/proc/self/uid_map), or run outside of it"
    )]
    Unmapped(u32),
}

/// Refuses a file that belongs neither to root nor to this process's user.
///
/// # Errors
/// It belongs to somebody else, or its owner cannot be told.
pub fn check(metadata: &Metadata) -> Result<(), ForeignOwner> {
    check_id(metadata.uid(), rustix::process::geteuid().as_raw(), unmapped())
}

/// The overflow uid, where it stands for users whom this process's user namespace does not map.
pub fn unmapped() -> Option<u32> {
    *UNMAPPED
}

/// Read once: a server that has confined itself cannot read these files any more.
static UNMAPPED: LazyLock<Option<u32>> = LazyLock::new(|| {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let overflow = std::fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap_or_default();
    (!maps_everyone(&map)).then(|| overflow.trim().parse().unwrap_or(DEFAULT_OVERFLOW_UID))
});

/// The kernel's own choice (`DEFAULT_OVERFLOWUID`).
const DEFAULT_OVERFLOW_UID: u32 = 65_534;

/// How many user ids there are: the last 32-bit number is none.
const ALL_IDS: u64 = u32::MAX as u64;

/// Whether a user namespace has a number for every user. A namespace can only map users whom the one around it maps.
fn maps_everyone(map: &str) -> bool {
    let counts = map.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok());
    counts.fold(0, u64::saturating_add) == ALL_IDS
}

fn check_id(owner: u32, own: u32, unmapped: Option<u32>) -> Result<(), ForeignOwner> {
    // Also where it is the process's own number: a process whose user is not mapped has the overflow uid too.
    if unmapped == Some(owner) {
        return Err(ForeignOwner::Unmapped(owner));
    }
    if owner == 0 || owner == own { Ok(()) } else { Err(ForeignOwner::Other(owner)) }
}

#[cfg(test)]
mod tests {
    use super::ForeignOwner::{Other, Unmapped};
    use super::{check_id, maps_everyone};

    const OVERFLOW: u32 = 65_534;

    #[test]
    fn only_a_map_of_all_ids_maps_everyone() {
        assert!(maps_everyone("         0          0 4294967295\n"));
        assert!(maps_everyone("0 0 65534\n65534 65534 4294901761\n"), "in two pieces");
        for part in ["", "0 0 1\n", "0 1000 1\n1 100000 65536\n", "1000 1000 1\n", "0 0 4294967294\n", "?"] {
            assert!(!maps_everyone(part), "{part}");
        }
    }

    /// Every kind of owner, for every kind of user, where everybody is mapped and where not.
    #[test]
    fn an_owner_is_trusted_only_where_its_number_says_who_it_is() {
        for own in [0, 1000, OVERFLOW] {
            for owner in [0, own] {
                assert_eq!(check_id(owner, own, None), Ok(()), "{owner} for {own}");
            }
            for owner in [1, 1001, OVERFLOW - 1, u32::MAX] {
                assert_eq!(check_id(owner, own, None), Err(Other(owner)), "{owner} for {own}");
                assert_eq!(check_id(owner, own, Some(OVERFLOW)), Err(Other(owner)), "{owner} for {own}");
            }
            assert_eq!(check_id(OVERFLOW, own, Some(OVERFLOW)), Err(Unmapped(OVERFLOW)), "for {own}");
            // The machine may have another overflow uid, even root's.
            assert_eq!(check_id(0, own, Some(0)), Err(Unmapped(0)), "for {own}");
        }
        assert_eq!(check_id(0, 1000, Some(OVERFLOW)), Ok(()), "root who is mapped is root");
        assert_eq!(check_id(1000, 1000, Some(OVERFLOW)), Ok(()));
        assert_eq!(check_id(OVERFLOW, 0, None), Err(Other(OVERFLOW)));
    }
}
