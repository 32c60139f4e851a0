//! The bounds of commands and of what passes between the server and the launcher. `docs/limits.md` lists them with all
//! others.

use std::time::Duration;

/// Time on a processor that a process of a command may take, where its rule does not say.
pub const CPU_TIME: Duration = Duration::from_mins(1);

/// Address space of a process of a command, where its rule does not say.
pub const ADDRESS_SPACE_BYTES: u64 = 1024 * 1024 * 1024;

/// Processes and threads of a command, where its rule does not say.
pub const PROCESSES: u32 = 64;

/// Open descriptors of a process of a command. It is the usual soft limit (getrlimit(2)); programs that scan all
/// descriptors and those that use select(2) expect it.
pub const DESCRIPTORS: u32 = 1024;

/// The limit for core dumps (core(5)), of the server and all that it starts. No core file is that short; and where the
/// system pipes dumps into a program, which 0 does not prevent, the kernel takes 1 for "none".
pub const NO_CORE: u64 = 1;

/// The longest file that a command can write, where its rule does not say.
pub const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// What the init of a jail may take beside its command's memory, where both are in one control group.
pub const INIT_MEMORY_BYTES: u64 = 16 * 1024 * 1024;

/// What a command may write to stdout and stderr together before it is ended, where its rule does not say.
pub const OUTPUT_BYTES: u64 = 64 * 1024 * 1024;

/// What a command can write into its private /tmp.
pub const PRIVATE_TMP_BYTES: u64 = 64 * 1024 * 1024;

/// Files and directories in a private /tmp.
pub const PRIVATE_TMP_FILES: u32 = 4096;

/// Jails that are ready before anyone asks for one.
pub const JAILS_READY: usize = 4;

/// How many of them are made good for at once when a jail is taken; the others when its command has ended.
pub const JAILS_LEFT: usize = 2;

/// Longest message between the server and a jail: a command's name, its secrets and its arguments.
pub const MAX_MESSAGE_BYTES: usize = 128 * 1024;

/// Longest message of any other kind.
pub const MAX_ANSWER_BYTES: usize = 4 * 1024;

/// Arguments of one command.
pub const MAX_ARGUMENTS: usize = 1024;

/// Secrets of one command, each in a variable of its environment.
pub const MAX_SECRETS: usize = 16;

/// Descriptors that pass with one message: stdout, stderr and stdin.
pub const MAX_DESCRIPTORS: usize = 3;

/// Between SIGTERM and SIGKILL, for a command that has to end.
pub const TERMINATION_GRACE: Duration = Duration::from_millis(500);

/// How long the processes of a killed command are waited for. One in an uninterruptible sleep dies later, and nobody
/// waits for it.
pub const REAP_TIME: Duration = Duration::from_secs(1);

/// Most bytes of an output stream that are read at once.
pub const READ_BYTES: usize = 64 * 1024;

/// How long output is still waited for after a command's end, while its processes are gone and a stranger holds the pipe.
pub const DRAIN_TIME: Duration = Duration::from_millis(200);

/// How long a launcher may take to be there again after one has died.
pub const RESTART_TIME: Duration = Duration::from_secs(5);

/// How often the server looks whether its keeper has ended, when it ends itself, and how long between.
pub const KEEPER_END_CHECKS: u32 = 100;
/// See [`KEEPER_END_CHECKS`].
pub const KEEPER_END_PAUSE: Duration = Duration::from_millis(5);

/// Longest document of a policy that the keeper hands to the server: its text, and what it names.
pub const MAX_DOCUMENT_BYTES: u64 = 16 * 1024 * 1024;
