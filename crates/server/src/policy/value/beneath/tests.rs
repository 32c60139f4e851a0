//! Files, links and special files beneath a root, and around it.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{
    Beneath, FileKind, LEADS_OUT, Links, MISSING, NO_LINKS, NOT_BENEATH, OTHER_KIND, Root, TOO_MANY_LINKS,
};

/// A root with files, a directory beside it, and the text of its path.
struct Place {
    directory: tempfile::TempDir,
    rule: Beneath,
    shown: String,
}

fn place() -> Place {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("root");
    std::fs::create_dir_all(root.join("sub")).expect("created");
    for file in ["root/a.log", "root/sub/b.log", "root/with space", "outside", "root-not"] {
        std::fs::write(directory.path().join(file), "").expect("written");
    }
    let shown = root.to_str().expect("UTF-8").to_owned();
    Place { directory, rule: Beneath::new(Root::new(root).expect("a directory")), shown }
}

impl Place {
    fn link(&self, target: impl AsRef<Path>, name: &str) {
        symlink(target, Path::new(&self.shown).join(name)).expect("linked");
    }

    #[track_caller]
    fn passes(&self, text: &str, relative: &str) {
        let whole =
            if relative.is_empty() { self.shown.clone() } else { format!("{}/{relative}", self.shown) };
        assert_eq!(self.rule.resolve(text).as_deref(), Ok(whole.as_str()), "{text}");
        assert_eq!(self.rule.resolve(&whole).as_deref(), Ok(whole.as_str()), "what comes out goes in again");
    }

    #[track_caller]
    fn refused(&self, text: &str, reason: &str) {
        assert_eq!(self.rule.resolve(text), Err(reason), "{text}");
    }
}

#[test]
fn only_what_exists_beneath_the_root_is_a_path() {
    let place = place();
    place.link("../outside", "relative-link");
    place.link(place.directory.path().join("outside"), "absolute-link");
    place.link("a.log", "inner-link");
    place.link("..", "sub/up");
    for text in ["a.log", "sub/b.log", "sub", "with space"] {
        place.passes(text, text);
        place.passes(&format!("{}/{text}", place.shown), text);
    }
    for text in ["missing", "sub/missing"] {
        place.refused(text, MISSING);
    }
    for text in ["relative-link", "absolute-link", "inner-link", "sub/up", "sub/up/outside", "sub/up/a.log"] {
        place.refused(text, NO_LINKS);
    }
    for text in [
        "..",
        "",
        "/",
        "//",
        "../outside",
        "sub/../../outside",
        "sub/../a.log",
        "./a.log",
        "sub//b.log",
        "sub//",
    ] {
        place.refused(text, NOT_BENEATH);
    }
    for text in
        ["/etc/passwd", "/etc/", &format!("{}-not", place.shown), &format!("{}/../outside", place.shown)]
    {
        place.refused(text, NOT_BENEATH);
    }
}

#[test]
fn the_root_and_a_trailing_slash_name_directories() {
    let mut place = place();
    let root = place.shown.clone();
    for (text, relative) in [(".", ""), ("./", ""), (&root, ""), (&format!("{root}/"), ""), ("sub/", "sub")] {
        place.passes(text, relative);
    }
    place.refused("a.log/", OTHER_KIND);
    place.rule.files = FileKind::File;
    for text in [".", &root, "sub", "sub/"] {
        place.refused(text, OTHER_KIND);
    }
    let machine = Beneath::new(Root::new("/".into()).expect("a root"));
    for (text, path) in [("/", "/"), (".", "/"), ("tmp", "/tmp"), ("/tmp", "/tmp"), ("/tmp/", "/tmp")] {
        assert_eq!(machine.resolve(text).as_deref(), Ok(path), "{text}");
    }
}

#[test]
fn links_are_followed_within_the_root_where_the_rule_says_so() {
    let mut place = place();
    let root = place.shown.clone();
    place.rule.links = Links::Followed;
    for (target, name) in [
        ("a.log", "inner"),
        ("../a.log", "sub/parent"),
        (&*format!("{root}/sub/b.log"), "absolute"),
        ("inner", "twice"),
        ("sub", "current"),
        ("../../root/a.log", "sub/out-and-in"),
        ("../outside", "out"),
        ("/etc/passwd", "far-out"),
        (&*format!("{root}-not"), "beside"),
        (&*format!("{root}/../outside"), "absolute-and-up"),
        ("endless", "endless"),
        ("nowhere", "dangling"),
        ("/proc/self/root/etc/passwd", "magic"),
        (&*root, "self"),
    ] {
        place.link(target, name);
    }
    place.passes("inner", "a.log");
    place.passes("sub/parent", "a.log");
    place.passes("absolute", "sub/b.log");
    place.passes("twice", "a.log");
    place.passes("current/b.log", "sub/b.log");
    place.passes("current/", "sub");
    place.passes("self/self/a.log", "a.log");
    place.passes("a.log", "a.log");
    for text in ["out", "far-out", "beside", "absolute-and-up", "sub/out-and-in", "magic"] {
        place.refused(text, LEADS_OUT);
    }
    place.refused("endless", TOO_MANY_LINKS);
    place.link(format!("{}a.log", "sub/../".repeat(400)), "long");
    place.passes("long", "a.log");
    place.link(format!("{}long", "sub/../".repeat(400)), "longer");
    place.refused("longer", TOO_MANY_LINKS);
    place.refused("dangling", MISSING);
    place.refused("current/../a.log", NOT_BENEATH);
    place.refused("inner/", OTHER_KIND);
}

#[test]
fn each_kind_of_file_passes_where_the_rule_names_it() {
    let mut place = place();
    let root = Path::new(&place.shown).to_owned();
    mknodat(CWD, root.join("pipe"), FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
    let _listener = UnixListener::bind(root.join("socket")).expect("a socket");
    for (files, accepted) in [
        (FileKind::FileOrDirectory, &["a.log", "sub"][..]),
        (FileKind::File, &["a.log"]),
        (FileKind::Directory, &["sub"]),
        (FileKind::Any, &["a.log", "sub", "pipe", "socket"]),
    ] {
        place.rule.files = files;
        for text in ["a.log", "sub", "pipe", "socket"] {
            if accepted.contains(&text) {
                place.passes(text, text);
            } else {
                place.refused(text, OTHER_KIND);
            }
        }
    }
    let devices = Beneath::new(Root::new("/dev".into()).expect("a directory"));
    assert_eq!(devices.resolve("null"), Err(OTHER_KIND));
    let devices = Beneath { files: FileKind::Any, ..devices };
    assert_eq!(devices.resolve("null").as_deref(), Ok("/dev/null"));
}

#[test]
fn a_root_is_an_absolute_clean_directory() {
    for path in ["", "tmp", "/tmp/../tmp", "/tmp//", "/tmp/", "/tmp/.", "/nonexistent", "/etc/passwd"] {
        assert!(Root::new(path.into()).is_err(), "{path}");
    }
    assert!(Root::new("/".into()).is_ok() && Root::new("/tmp".into()).is_ok());
}
