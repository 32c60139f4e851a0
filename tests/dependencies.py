"""Checks every package that the workspace builds with: a permissive licence, and one version of each crate.

Reads `cargo metadata` for Linux, the only system that bidden runs on; needs nothing but the standard library.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict

PLATFORM = "x86_64-unknown-linux-gnu"
PERMISSIVE = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "MPL-2.0+",
    "PSF-2.0",
    "Python-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}
# A crate that may stand in more than one version, and why.
DUPLICATES = {
    "getrandom": "only what bench/calc compares with uses the old version",
    "syn": "only procedural macros use it, at build time, and not all of them have moved to version 3",
}


def main():
    packages = read_packages()
    problems = [*licence_problems(packages), *duplicate_problems(packages)]
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"dependencies: {len(packages)} packages, {len(problems)} problems")
    return 1 if problems or not packages else 0


def read_packages():
    """All packages of the graph: normal, build and development dependencies."""
    command = ["cargo", "metadata", "--format-version=1", "--locked", "--filter-platform", PLATFORM]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return metadata["packages"]


def licence_problems(packages):
    for package in packages:
        expression = package["license"] or ""
        if not is_permissive(expression):
            yield f"{package['name']} {package['version']}: the licence `{expression}` is not permissive"


def duplicate_problems(packages):
    versions = defaultdict(list)
    for package in packages:
        versions[package["name"]].append(package["version"])
    for name, found in versions.items():
        if len(found) > 1 and name not in DUPLICATES:
            yield f"{name}: stands in the versions {', '.join(found)}"
    for name in DUPLICATES:
        if len(versions[name]) < 2:
            yield f"{name}: is no duplicate any more; strike it from the exceptions"


def is_permissive(expression):
    """Whether an SPDX expression can be met with permissive licences alone. `/` is an old spelling of OR."""
    words = re.findall(r"[()]|[^\s()/]+|/", expression)
    permissive = read_any(words)
    return permissive and not words


def read_any(words):
    permissive = read_all(words)
    while words and words[0] in ("OR", "/"):
        words.pop(0)
        # Read before it is judged: the words must be used up in either case.
        alternative = read_all(words)
        permissive = permissive or alternative
    return permissive


def read_all(words):
    permissive = read_one(words)
    while words and words[0] == "AND":
        words.pop(0)
        requirement = read_one(words)
        permissive = permissive and requirement
    return permissive


def read_one(words):
    if not words:
        return False
    word = words.pop(0)
    if word == "(":
        permissive = read_any(words)
        return bool(words) and words.pop(0) == ")" and permissive
    if words[:1] == ["WITH"]:
        word = " ".join([word, *words[:2]])
        del words[:2]
    return word in PERMISSIVE


def check_the_reader():
    """The expressions on which a wrong reader would go wrong."""
    for expression, expected in {
        "MIT": True,
        "MIT/Apache-2.0": True,
        "GPL-3.0 OR MIT": True,
        "MIT OR GPL-3.0 AND ISC": True,
        "GPL-3.0 AND (MIT OR ISC)": False,
        "(MIT OR Apache-2.0) AND Unicode-3.0": True,
        "(GPL-3.0 OR LGPL-3.0) AND MIT": False,
        "Apache-2.0 WITH LLVM-exception": True,
        "MIT WITH Something-else": False,
        "MIT ISC": False,
        "(MIT": False,
        "": False,
    }.items():
        assert is_permissive(expression) == expected, expression


if __name__ == "__main__":
    check_the_reader()
    sys.exit(main())
