//! What logrotate(8), backups and hands do to the files of a log, and what each reader and the next server say of it: real
//! files of a real log, changed by the programs that change them.

#![allow(clippy::arithmetic_side_effects, reason = "a test may panic")]

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{
    Evidence, Finding, HistoryFilter, HistoryReader, Log, Rotation, Verified, VerifyError, history, verify,
};

const UNBOUNDED: Rotation = Rotation { bytes: u64::MAX, keep: None };

/// However many files come and go: nothing waits for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// The records of each of the rotated files `server.log.1` to `server.log.3`, and of `server.log`.
const IN_EACH: u64 = 4;
const LAST: u64 = 4 * IN_EACH;

fn append(log: &Log) {
    log.append(|line| {
        line.text("event", "answered");
        line.text("user", "ann");
    });
    log.commit().expect("written");
}

/// What `mv` and SIGHUP do.
fn move_away(log: &Log, to: &Path) {
    std::fs::rename(log.path(), to).expect("moved");
    log.reopen();
    log.commit().expect("written");
}

/// A log of sixteen records in four files.
fn written() -> (TempDir, PathBuf, Log) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("server.log");
    let (log, _) = Log::open(&path, UNBOUNDED).expect("opened");
    for file in 1..=4 {
        while log.records() < file * IN_EACH {
            append(&log);
        }
        if file < 4 {
            move_away(&log, &path.with_file_name(format!("server.log.{file}")));
        }
    }
    (directory, path, log)
}

/// A log of others, with this many records in each of two files, the second of which is written.
fn of_others(records: u64) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("other.log");
    let (log, _) = Log::open(&path, UNBOUNDED).expect("opened");
    (0..records).for_each(|_| append(&log));
    move_away(&log, &path.with_file_name("other.log.1"));
    (1..records).for_each(|_| append(&log));
    (directory, path)
}

/// In the log's directory, by the programs that people use.
#[track_caller]
fn shell(path: &Path, script: &str) {
    let done =
        Command::new("sh").args(["-euc", script]).current_dir(path.parent().expect("a directory")).output();
    let done = done.expect("a shell");
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
}

fn says(verified: &Result<Verified, VerifyError>) -> String {
    match verified {
        Ok(_) => String::new(),
        Err(VerifyError::Incomplete { findings, .. }) => {
            findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("; ")
        }
        Err(error) => error.to_string(),
    }
}

fn told_missing(findings: &[Finding]) -> Vec<(u64, u64)> {
    findings.iter().filter_map(Finding::missing).collect()
}

/// The numbers of the rows that there must be: all records but the first of each file, which is no answer.
fn rows_without(gone: &[(u64, u64)], up_to: u64) -> Vec<u64> {
    let is_gone = |record: &u64| gone.iter().any(|(first, last)| (first..=last).contains(&record));
    (1..=up_to)
        .filter(|record| record % IN_EACH != 1 || *record == 1)
        .filter(|record| !is_gone(record))
        .collect()
}

/// What is done to the files, and what is seen of it.
struct Row {
    name: &'static str,
    script: &'static str,
    /// Records that nobody can read any more, and whether that can be seen.
    gone: &'static [(u64, u64)],
    is_told: bool,
    /// A part of what `verify` says; nothing, where all is right.
    says: &'static str,
    /// Why the next server does not start; nothing, where it goes on.
    refuses: &'static str,
}

const RIGHT: Row = Row { name: "", script: "", gone: &[], is_told: true, says: "", refuses: "" };

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { name: "create", script: ":", ..RIGHT },
    Row { name: "dateext", script: "for i in 1 2 3; do mv server.log.$i server.log-2026112$i; done", ..RIGHT },
    Row { name: "dateext with hours and seconds", script: "mv server.log.1 server.log-2026112110; mv server.log.2 server.log-20261122-1764000000", ..RIGHT },
    Row { name: "extension", script: "mv server.log.1 server-20261121.log; mv server.log.2 server.2.log; gzip server.2.log", ..RIGHT },
    Row { name: "names against the order", script: "mv server.log.1 x; mv server.log.3 server.log.1; mv x server.log.3", ..RIGHT },
    Row { name: "compress", script: "gzip server.log.[123]", ..RIGHT },
    Row { name: "dateext and compress", script: "mv server.log.1 server.log-20261121; gzip -9 server.log-20261121", ..RIGHT },
    Row { name: "delaycompress", script: "gzip server.log.1 server.log.2", ..RIGHT },
    Row { name: "two compressed files as one", script: "gzip server.log.1 server.log.2; cat server.log.1.gz server.log.2.gz > server.log-x; rm server.log.?.gz", ..RIGHT },
    Row { name: "compressed without saying so", script: "gzip server.log.2; mv server.log.2.gz server.log.2", ..RIGHT },
    Row { name: "not compressed and saying so", script: "mv server.log.2 server.log.2.gz", ..RIGHT },
    Row { name: "compressed by another program, the oldest", script: "xz server.log.1", gone: &[(1, 4)], says: "server.log.1.xz is not read: it is compressed by xz", ..RIGHT },
    Row { name: "compressed by another program, in the middle", script: "xz server.log.2; mv server.log.2.xz server.log-b", gone: &[(5, 8)], says: "records 5 to 8 are missing, between", ..RIGHT },
    Row { name: "compressed by another program, and still there", script: "xz --keep server.log.2", ..RIGHT },
    Row { name: "removal of the oldest", script: "rm server.log.1", gone: &[(1, 4)], is_told: false, ..RIGHT },
    Row { name: "removal of the middle", script: "rm server.log.2", gone: &[(5, 8)], says: "records 5 to 8 are missing, between", ..RIGHT },
    Row { name: "removal of the middle, compressed", script: "gzip server.log.?; rm server.log.2.gz", gone: &[(5, 8)], says: "records 5 to 8 are missing, between", ..RIGHT },
    Row { name: "removal of two", script: "rm server.log.2 server.log.3", gone: &[(5, 12)], says: "records 5 to 12 are missing", ..RIGHT },
    Row { name: "two gaps", script: "head -n 2 server.log.2 > x; mv x server.log.2; rm server.log.3", gone: &[(7, 12)], says: "records 7 to 12 are missing", ..RIGHT },
    Row { name: "all but one moved elsewhere", script: "rm server.log.?", gone: &[(1, 12)], is_told: false, ..RIGHT },
    Row { name: "empty files", script: ": > server.log.4; : > server.log-20261124.gz; : > server.log.bak", ..RIGHT },
    Row { name: "an old copy beside", script: "cp server.log.2 server.log.bak", ..RIGHT },
    Row { name: "a copy of the present one beside", script: "cp server.log server.log.bak; head -n 2 server.log > server.log~", ..RIGHT },
    Row { name: "an old copy that was cut", script: "tail -n 2 server.log.1 > server.log.tail; head -n 1 server.log.3 > server.log.head", ..RIGHT },
    Row { name: "all in one file beside", script: "cat server.log.1 server.log.2 server.log.3 > server.log-all", ..RIGHT },
    Row { name: "all put into one file", script: "cat server.log.1 server.log.2 server.log.3 > server.log-all; rm server.log.?", ..RIGHT },
    Row { name: "killed while compressing", script: "gzip --keep server.log.1; gzip -c server.log.2 | head -c 60 > server.log.2.gz; echo > server.log.3.gz.tmp", ..RIGHT },
    Row { name: "two compressed copies", script: "gzip server.log.1; cp server.log.1.gz server.log-copy.gz", ..RIGHT },
    Row { name: "compressed, without its last bytes", script: "gzip server.log.2; truncate -s -8 server.log.2.gz", says: "server.log.2.gz cannot be read after record 8", ..RIGHT },
    Row { name: "compressed, and only its beginning", script: "gzip server.log.2; truncate -s 40 server.log.2.gz", gone: &[(5, 8)], says: "server.log.2.gz is not read: it is damaged", ..RIGHT },
    Row { name: "cut off within a line", script: "truncate -s -10 server.log.2", gone: &[(8, 8)], says: "server.log.2 cannot be read after record 7: its last line is cut off; record 8 is missing", ..RIGHT },
    Row { name: "garbage in its place", script: "head -c 2000 /dev/urandom > server.log.2", gone: &[(5, 8)], says: "records 5 to 8 are missing, between", ..RIGHT },
    Row { name: "garbage beside", script: "head -c 2000 /dev/urandom > server.log.4; echo hello > server.log.note; echo '{\"seq\":3}' > server.log.json", ..RIGHT },
    Row { name: "FIFO", script: "mkfifo server.log.4 server.log-20261124.gz", ..RIGHT },
    Row { name: "FIFO in its place", script: "rm server.log.2; mkfifo server.log.2", gone: &[(5, 8)], says: "records 5 to 8 are missing", ..RIGHT },
    Row { name: "directory", script: "mkdir server.log.d server.log-20261124.gz; cp server.log.1 server.log.d/", ..RIGHT },
    Row { name: "symbolic links", script: "mkdir there; mv server.log.2 there/x; ln -s there/x server.log.2; ln -s server.log server.log.current; ln -s /nonexistent server.log.5; ln -s server.log.6 server.log.6", ..RIGHT },
    Row { name: "hard links", script: "ln server.log server.log.h; ln server.log.1 server.log.i", ..RIGHT },
    Row { name: "renamed by the clock", script: "mv server.log.1 server.log.2026-11-21T00:00:00Z; touch -d 2001-01-01 server.log.2", ..RIGHT },
    Row { name: "an older copy in its place", script: "cp server.log.2 server.log", gone: &[(13, 16)], says: "server.log does not have the last records", refuses: "is an older copy", is_told: false },
    Row { name: "an older copy of itself in its place", script: "cp server.log server.log.4; head -n 2 server.log.4 > server.log", says: "server.log does not have the last records", refuses: "is an older copy", ..RIGHT },
    Row { name: "garbage in the place of the log", script: "echo hello > server.log", gone: &[(13, 16)], is_told: false, says: "server.log holds no records of bidden", refuses: "is not a log of bidden" },
    Row { name: "created empty in its place", script: "mv server.log server.log.4; : > server.log", ..RIGHT },
    Row { name: "empty, and the file before is not read", script: "mv server.log server.log.4; xz server.log.4; : > server.log; touch server.log.4.xz", gone: &[(13, 16)], is_told: false, refuses: "server.log.4.xz is not read: it is compressed by xz", ..RIGHT },
];

#[test]
fn what_others_do_to_the_files_is_read_or_told_and_ends() {
    for row in ROWS {
        let (_directory, path, log) = written();
        let mut reader = HistoryReader::open(&path, HistoryFilter::default()).expect("opened");
        assert_eq!(reader.read(usize::MAX).expect("read").rows.len(), rows_without(&[], LAST).len());
        drop(log);
        shell(&path, row.script);
        let began = Instant::now();
        let verified = verify(&path, &Evidence::default());
        let said = says(&verified);
        assert!(said.contains(row.says) && said.is_empty() == row.says.is_empty(), "{}: {said:?}", row.name);
        let found = history(&path, HistoryFilter::default(), usize::MAX).expect("read");
        let rows: Vec<_> = found.rows.iter().map(|row| row.record).collect();
        assert_eq!(rows, rows_without(row.gone, LAST), "{}: {:?}", row.name, found.findings);
        let told = if row.is_told { row.gone } else { &[] };
        assert_eq!(told_missing(&found.findings), told, "{}: {:?}", row.name, found.findings);
        // Who had read it all sees no row again, and what the next server writes.
        assert!(reader.read(usize::MAX).expect("read").rows.is_empty(), "{}", row.name);
        match Log::open(&path, UNBOUNDED) {
            Err(error) => assert!(
                !row.refuses.is_empty() && error.to_string().contains(row.refuses),
                "{}: {error}",
                row.name
            ),
            Ok((log, _)) => {
                assert_eq!((row.refuses, log.records()), ("", LAST), "{}", row.name);
                append(&log);
                let rows = reader.read(usize::MAX).expect("read").rows;
                assert_eq!(rows.iter().map(|row| row.record).collect::<Vec<_>>(), [LAST + 1], "{}", row.name);
            }
        }
        assert!(began.elapsed() < PATIENCE, "{}: {:?}", row.name, began.elapsed());
    }
}

#[test]
fn a_file_of_another_log_is_left_out_or_told() {
    for records in [2, 3, 30] {
        let (_directory, path, log) = written();
        let (_other_directory, other) = of_others(records);
        std::fs::copy(other.with_file_name("other.log.1"), path.with_file_name("server.log.9"))
            .expect("copied");
        for compress in ["", "gzip server.log.[123]", "gzip server.log.9"] {
            shell(&path, compress);
            assert_eq!(says(&verify(&path, &Evidence::default())), "", "{records} {compress}");
            let rows = history(&path, HistoryFilter::default(), usize::MAX).expect("read").rows;
            assert_eq!(rows.len(), rows_without(&[], LAST).len(), "{records}");
        }
        // With numbers within ours it is seen to be another's; with later ones it could be the end of this one.
        std::fs::copy(&other, path.with_file_name("server.log.9")).expect("copied");
        let said = says(&verify(&path, &Evidence::default()));
        assert_eq!(
            records == 30,
            said.contains("server.log.9; so it is an older copy, or that is of another log"),
            "{said}"
        );
        drop(log);
        match Log::open(&path, UNBOUNDED) {
            Ok(_) => assert!(records < 30),
            Err(error) => {
                assert!(records == 30 && error.to_string().contains("Move the wrong one away"), "{error}");
            }
        }
    }
}

#[test]
fn sockets_and_devices_are_not_opened() {
    let (_directory, path, _log) = written();
    let _socket = UnixListener::bind(path.with_file_name("server.log.4")).expect("bound");
    std::os::unix::fs::symlink("/dev/zero", path.with_file_name("server.log.5")).expect("linked");
    std::os::unix::fs::symlink("/dev/stdin", path.with_file_name("server.log.6")).expect("linked");
    assert_eq!(says(&verify(&path, &Evidence::default())), "");
    for (name, what) in [("server.log.4", "it is a socket"), ("server.log.5", "it is a device")] {
        let other = path.with_file_name(name);
        let error = verify(&other, &Evidence::default()).expect_err("no log");
        let source = std::error::Error::source(&error).expect("a reason").to_string();
        assert!(source.contains(what), "{source}");
        assert!(history(&other, HistoryFilter::default(), 1).expect_err("no log").to_string().contains(what));
        let error = Log::open(&other, UNBOUNDED).map(|_| ()).expect_err("no log").to_string();
        assert!(error.contains(what) && error.contains("Name a file with --log"), "{error}");
    }
}

/// What is done to a log while a server writes it.
struct Live {
    name: &'static str,
    script: &'static str,
    gone: &'static [(u64, u64)],
    says: &'static str,
    /// How many files the server says it has lost.
    lost: u64,
}

#[rustfmt::skip]
const LIVE: &[Live] = &[
    Live { name: "removed", script: "rm server.log", gone: &[(13, 16)], says: "records 13 to 16 are missing, between", lost: 1 },
    Live { name: "removed, and why", script: "rm server.log", gone: &[(13, 16)], says: "says that the file with the records 13 to 16 was removed while the server wrote it", lost: 1 },
    Live { name: "all removed", script: "rm server.log*", gone: &[(1, 16)], says: "", lost: 1 },
    Live { name: "moved away", script: "mv server.log server.log.4", gone: &[], says: "", lost: 0 },
    Live { name: "moved away, and another created", script: "mv server.log server.log.4; : > server.log", gone: &[], says: "", lost: 0 },
    Live { name: "moved away, compressed and created", script: "mv server.log server.log.4; gzip server.log.4; : > server.log", gone: &[], says: "", lost: 1 },
    Live { name: "moved away and compressed", script: "mv server.log server.log.4; gzip server.log.4", gone: &[], says: "", lost: 1 },
    Live { name: "copytruncate", script: "cp server.log server.log.4; : > server.log", gone: &[], says: "", lost: 1 },
    Live { name: "copytruncate with compress", script: "cp server.log server.log.4; : > server.log; gzip server.log.4", gone: &[], says: "", lost: 1 },
    Live { name: "emptied", script: ": > server.log", gone: &[(13, 16)], says: "13 to 16 was emptied while", lost: 1 },
    Live { name: "written anew by an editor", script: "cp server.log x; mv x server.log", gone: &[], says: "", lost: 1 },
    Live { name: "altered by an editor", script: "sed -i 's/ann/bob/' server.log", gone: &[], says: "was not written after the line before it", lost: 1 },
    Live { name: "cut by an editor", script: "sed -i '$d' server.log", gone: &[(16, 16)], says: "record 16 is missing", lost: 1 },
    Live { name: "replaced by something else", script: "echo hello > x; mv x server.log", gone: &[(13, 16)], says: "records 13 to 16 are missing", lost: 1 },
    Live { name: "replaced by a directory", script: "rm server.log; mkdir server.log", gone: &[(13, 16)], says: "records 13 to 16 are missing", lost: 1 },
    Live { name: "replaced by a FIFO", script: "rm server.log; mkfifo server.log", gone: &[(13, 16)], says: "records 13 to 16 are missing", lost: 1 },
    Live { name: "cut off", script: "truncate -s -10 server.log", gone: &[(16, 16)], says: "its last line is cut off", lost: 1 },
    Live { name: "another file before the log", script: "cp server.log.1 server.log.0; touch server.log.0", gone: &[], says: "", lost: 0 },
];

#[test]
fn what_others_do_to_a_log_that_is_written_loses_no_record_that_comes_and_is_told() {
    for row in LIVE {
        let (_directory, path, log) = written();
        let mut reader = HistoryReader::open(&path, HistoryFilter::default()).expect("opened");
        reader.read(usize::MAX).expect("read");
        shell(&path, row.script);
        let began = Instant::now();
        // A record comes before the server looks, and another behind it.
        append(&log);
        log.look_after_file();
        log.commit().expect("written");
        append(&log);
        let last = log.records();
        assert_eq!(log.files_lost(), row.lost, "{}", row.name);
        let verified = verify(&path, &Evidence::default());
        let said = says(&verified);
        assert!(said.contains(row.says) && said.is_empty() == row.says.is_empty(), "{}: {said:?}", row.name);
        if let Ok(verified) = verified {
            assert_eq!(verified.last, last, "{}", row.name);
        }
        let rows: Vec<_> = history(&path, HistoryFilter::default(), usize::MAX).expect("read").rows;
        let before: Vec<_> = rows.iter().map(|row| row.record).filter(|record| *record <= LAST).collect();
        assert_eq!(before, rows_without(row.gone, LAST), "{}", row.name);
        let come: Vec<_> = rows.iter().map(|row| row.record).filter(|record| *record > LAST).collect();
        assert_eq!((come.len(), come[0], come[1]), (2, LAST + 1, last), "{}", row.name);
        let followed: Vec<_> =
            reader.read(usize::MAX).expect("read").rows.iter().map(|row| row.record).collect();
        assert_eq!(followed, come, "{}", row.name);
        // The next server finds the end.
        drop(log);
        assert_eq!(Log::open(&path, UNBOUNDED).expect("opened").0.records(), last, "{}", row.name);
        assert!(began.elapsed() < PATIENCE, "{}: {:?}", row.name, began.elapsed());
    }
}

#[test]
fn a_second_server_does_not_go_on_beside_the_first_in_its_moved_file() {
    let (_directory, path, log) = written();
    std::fs::rename(&path, path.with_file_name("server.log.4")).expect("moved");
    let error = Log::open(&path, UNBOUNDED).map(|_| ()).expect_err("in use").to_string();
    assert!(error.contains("server.log.4 is in use by another bidden server"), "{error}");
    append(&log);
    assert_eq!(verify(&path, &Evidence::default()).expect("unbroken").last, LAST + 1);
}

#[test]
fn a_log_whose_directory_is_gone_stops_and_goes_on_when_it_is_there_again() {
    let (directory, path, log) = written();
    std::fs::remove_dir_all(directory.path()).expect("removed");
    log.append(|line| line.text("event", "answered"));
    assert!(log.commit().is_err());
    let problem = log.problem().expect("a problem");
    assert!(problem.contains("server.log was removed, and no other can be begun"), "{problem}");
    std::fs::create_dir(directory.path()).expect("made");
    log.commit().expect("written");
    assert_eq!(verify(&path, &Evidence::default()).expect("unbroken").first, LAST + 1);
}

#[test]
fn files_that_get_other_names_while_they_are_read_are_read_once() {
    let (_directory, path, log) = written();
    let began = Instant::now();
    let renaming = std::thread::spawn({
        let path = path.clone();
        move || {
            let name = |number: u32| path.with_file_name(format!("server.log.{number}"));
            for round in 0..60_u32 {
                // As logrotate(8) shifts them, the oldest first.
                let shift = |number: u32| {
                    std::fs::rename(name(round + number), name(round + number + 1)).expect("moved");
                };
                [3, 2, 1].into_iter().for_each(shift);
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    });
    let mut times = 0;
    while !renaming.is_finished() || times == 0 {
        assert_eq!(says(&verify(&path, &Evidence::default())), "");
        let found = history(&path, HistoryFilter::default(), usize::MAX).expect("read");
        assert_eq!((found.rows.len(), found.findings), (rows_without(&[], LAST).len(), vec![]));
        times += 1;
    }
    renaming.join().expect("renamed");
    drop(log);
    assert!(times > 1 && began.elapsed() < PATIENCE * 3, "{times}");
}
