//! Programs that start other programs, or write and read files that their arguments name in ways that no argument rule
//! can hold. To allow one of them is to allow more than its name says, so a rule has to say it: `launcher = true`.

/// By file name, sorted; a version behind the name (`python3.11`) does not count. Beside each, how it gets there.
const LAUNCHERS: &[(&str, &str)] = &[
    ("R", "is an interpreter"),
    ("Rscript", "is an interpreter"),
    ("ansible", "starts what its files name"),
    ("ansible-playbook", "starts what its files name"),
    ("apt", "runs what packages bring"),
    ("apt-get", "runs what packages bring"),
    ("aptitude", "runs what packages bring"),
    ("ash", "is a shell"),
    ("at", "starts programs later or elsewhere"),
    ("awk", "is an interpreter"),
    ("bash", "is a shell"),
    ("batch", "starts programs later or elsewhere"),
    ("bpython", "is an interpreter"),
    ("bun", "is an interpreter"),
    ("busybox", "is many programs in one, a shell among them"),
    ("cargo", "runs what packages bring"),
    ("cc", "starts what its options name"),
    ("chroot", "starts the program that its arguments name"),
    ("chrt", "starts the program that its arguments name"),
    ("clang", "starts what its options name"),
    ("cmake", "starts what its files name"),
    ("crash", "starts a shell"),
    ("crontab", "starts programs later or elsewhere"),
    ("csh", "is a shell"),
    ("daemonize", "starts the program that its arguments name"),
    ("dash", "is a shell"),
    ("deno", "is an interpreter"),
    ("dnf", "runs what packages bring"),
    ("doas", "runs programs as another user"),
    ("docker", "starts whatever an image holds"),
    ("dpkg", "runs what packages bring"),
    ("ed", "is an editor that starts shells"),
    ("emacs", "is an editor that starts shells"),
    ("env", "starts the program that its arguments name"),
    ("erl", "is an interpreter"),
    ("ex", "is an editor that starts shells"),
    ("exim", "starts programs"),
    ("expect", "is an interpreter"),
    ("find", "starts programs with -exec and deletes files"),
    ("fish", "is a shell"),
    ("flock", "starts the program that its arguments name"),
    ("ftp", "has a command that starts a shell"),
    ("g++", "starts what its options name"),
    ("gawk", "is an interpreter"),
    ("gcc", "starts what its options name"),
    ("gdb", "is an interpreter"),
    ("gem", "runs what packages bring"),
    ("ghci", "is an interpreter"),
    ("git", "starts what its configuration and -c name"),
    ("hg", "starts what its configuration names"),
    ("ionice", "starts the program that its arguments name"),
    ("ip", "starts programs with netns exec"),
    ("irb", "is an interpreter"),
    ("java", "is an interpreter"),
    ("jjs", "is an interpreter"),
    ("jrunscript", "is an interpreter"),
    ("julia", "is an interpreter"),
    ("ksh", "is a shell"),
    ("kubectl", "starts whatever an image holds"),
    ("ld", "starts what its options name"),
    ("ld-linux-aarch64", "starts the program that its arguments name"),
    ("ld-linux-x86-64", "starts the program that its arguments name"),
    ("ld.so", "starts the program that its arguments name"),
    ("less", "is a pager that starts shells"),
    ("ltrace", "starts the program that its arguments name"),
    ("lua", "is an interpreter"),
    ("luajit", "is an interpreter"),
    ("lxc", "starts whatever an image holds"),
    ("mail", "starts programs"),
    ("mailx", "starts programs"),
    ("make", "starts what its files name"),
    ("man", "is a pager that starts shells"),
    ("mawk", "is an interpreter"),
    ("mksh", "is a shell"),
    ("more", "is a pager that starts shells"),
    ("most", "is a pager that starts shells"),
    ("mysql", "has a command that starts a shell"),
    ("nano", "is an editor that starts shells"),
    ("nawk", "is an interpreter"),
    ("nc", "joins a program to the network"),
    ("ncat", "joins a program to the network"),
    ("nerdctl", "starts whatever an image holds"),
    ("netcat", "joins a program to the network"),
    ("nice", "starts the program that its arguments name"),
    ("ninja", "starts what its files name"),
    ("nmap", "runs scripts"),
    ("node", "is an interpreter"),
    ("nodejs", "is an interpreter"),
    ("nohup", "starts the program that its arguments name"),
    ("npm", "runs what packages bring"),
    ("nsenter", "starts the program that its arguments name"),
    ("nvim", "is an editor that starts shells"),
    ("octave", "is an interpreter"),
    ("openssl", "loads engines and reads files"),
    ("parallel", "starts the program that its arguments name"),
    ("perl", "is an interpreter"),
    ("pg", "is a pager that starts shells"),
    ("php", "is an interpreter"),
    ("pico", "is an editor that starts shells"),
    ("pip", "runs what packages bring"),
    ("pkexec", "runs programs as another user"),
    ("podman", "starts whatever an image holds"),
    ("psql", "has a command that starts a shell"),
    ("pwsh", "is an interpreter"),
    ("pypy", "is an interpreter"),
    ("python", "is an interpreter"),
    ("rbash", "is a shell"),
    ("rksh", "is a shell"),
    ("rpm", "runs what packages bring"),
    ("rsync", "starts what -o, -e or the other side name"),
    ("ruby", "is an interpreter"),
    ("run-parts", "starts the program that its arguments name"),
    ("runuser", "runs programs as another user"),
    ("rvim", "is an editor that starts shells"),
    ("scp", "starts what -o, -e or the other side name"),
    ("screen", "starts shells"),
    ("script", "starts a shell"),
    ("scriptreplay", "starts a shell"),
    ("sed", "starts programs with its command e and writes files"),
    ("sendmail", "starts programs"),
    ("setarch", "starts the program that its arguments name"),
    ("setpriv", "starts the program that its arguments name"),
    ("setsid", "starts the program that its arguments name"),
    ("sftp", "starts what -o, -e or the other side name"),
    ("sh", "is a shell"),
    ("socat", "joins a program to the network"),
    ("sort", "starts programs with --compress-program"),
    ("split", "starts programs with --filter"),
    ("sqlite3", "has a command that starts a shell"),
    ("ssh", "starts what -o, -e or the other side name"),
    ("start-stop-daemon", "starts the program that its arguments name"),
    ("stdbuf", "starts the program that its arguments name"),
    ("strace", "starts the program that its arguments name"),
    ("su", "runs programs as another user"),
    ("sudo", "runs programs as another user"),
    ("sudoedit", "runs programs as another user"),
    ("svn", "starts what its configuration names"),
    ("systemd-run", "starts programs later or elsewhere"),
    ("tar", "starts programs with --to-command and --checkpoint-action"),
    ("taskset", "starts the program that its arguments name"),
    ("tclsh", "is an interpreter"),
    ("tcpdump", "starts programs with -z"),
    ("tcsh", "is a shell"),
    ("telnet", "has a command that starts a shell"),
    ("time", "starts the program that its arguments name"),
    ("timeout", "starts the program that its arguments name"),
    ("tmux", "starts shells"),
    ("toybox", "is many programs in one, a shell among them"),
    ("unshare", "starts the program that its arguments name"),
    ("vi", "is an editor that starts shells"),
    ("view", "is an editor that starts shells"),
    ("vim", "is an editor that starts shells"),
    ("vimdiff", "is an editor that starts shells"),
    ("watch", "starts the program that its arguments name"),
    ("wish", "is an interpreter"),
    ("xargs", "starts the program that its arguments name"),
    ("yash", "is a shell"),
    ("yum", "runs what packages bring"),
    ("zip", "starts programs with -TT"),
    ("zsh", "is a shell"),
];

/// Why a program with this file name is a launcher, if it is one.
pub(super) fn launcher(file_name: &str) -> Option<&'static str> {
    let find = |name: &str| {
        let index = LAUNCHERS.binary_search_by_key(&name, |(known, _)| known).ok()?;
        LAUNCHERS.get(index).map(|(_, reason)| *reason)
    };
    let unversioned =
        file_name.trim_end_matches(|character: char| matches!(character, '0'..='9' | '.' | '-'));
    let stem = file_name.split('.').next().unwrap_or(file_name);
    find(file_name).or_else(|| find(unversioned)).or_else(|| find(stem))
}

#[cfg(test)]
mod tests {
    use super::{LAUNCHERS, launcher};

    #[test]
    fn the_table_is_sorted_for_the_search() {
        assert!(LAUNCHERS.is_sorted_by(|(one, _), (other, _)| one < other));
    }

    #[test]
    fn launchers_are_known_with_and_without_their_version() {
        for name in ["sh", "bash", "env", "xargs", "find", "sudo", "su", "doas", "busybox", "nice", "nohup"] {
            assert!(launcher(name).is_some(), "{name}");
        }
        for name in ["timeout", "setsid", "stdbuf", "script", "ssh", "python", "python3", "python3.11"] {
            assert!(launcher(name).is_some(), "{name}");
        }
        for name in ["perl5.36.0", "lua5.4", "gawk", "vim.basic", "vim.tiny", "php8.2", "gcc-12", "mawk"] {
            assert!(launcher(name).is_some(), "{name}");
        }
        for name in ["tar", "git", "make", "docker", "systemd-run", "node", "ruby", "sed", "awk"] {
            assert!(launcher(name).is_some(), "{name}");
        }
        for name in ["ping", "df", "free", "date", "uname", "cat", "systemctl", "shred", "ps", "tail", ""] {
            assert_eq!(launcher(name), None, "{name}");
        }
    }
}
