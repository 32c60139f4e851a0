//! What got through in other evaluators (notes of their advisories and issues): each is answered within 50 ms and
//! without growth of memory, and nothing panics or overflows the stack.

// A failing test is to panic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use calc::{Budget, ErrorKind, Variables, evaluate};
use std::time::{Duration, Instant};

/// The tests are optimised, too: the workspace's profiles see to that.
const MOST_TIME: Duration = Duration::from_millis(50);
const MOST_GROWTH_KIB: u64 = 32 * 1024;

/// The time that this thread had a processor, which nothing else on the machine lengthens.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a kernel with schedstat");
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

fn hostile() -> Vec<String> {
    let many = |part: &str, count: usize| part.repeat(count);
    let mut texts: Vec<String> = [
        "9**9**9**9",
        "9**9**9",
        "1<<10**9",
        "1<<1000000000000000000000",
        "10**10**10",
        "4000000**4000000 % 7",
        "((9**9999)**9999) % 7",
        "((9**9)**9999)**9999",
        "1666**3**366**3**3661666",
        "factorial(10**7)",
        "factorial(10**6)",
        "factorial(10**30)",
        "factorial(13000) % 7",
        "factorial(12000) // factorial(11999)",
        "comb(10**6, 5*10**5)",
        "comb(10**30, 10**15)",
        "comb(131000, 65000)",
        "comb(10**4000, 100)",
        "perm(10**6, 10**5)",
        "perm(10**30)",
        "perm(10**4000, 30)",
        "pow(3, 2**100000, 2**100000-1)",
        "pow(3, 2**130000, 7) + pow(3, -(2**130000), 7)",
        "pow(2**65000+1, -1, 2**65001-1)",
        "pow(2, 10**10)",
        "round(5, -10**18)",
        "round(2**130000, -39000) % 7",
        "(-8)**(1/3)",
        "2**0.5**0.5**0.5",
        "int(1e308) * int(1e308) * int(1e308)",
        "lcm(3**40000, 5**28000, 7**20000)",
        "gcd(3**80000, 5**56000)",
        "isqrt(3**82000) % 7",
        "isqrt(10**39000)",
        "prod([2**60000, 2**60000, 2**60000])",
        "sum([2**131000, 2**131000]) % 7",
        "(2**131071) // 3 % 7",
        "(2**131071) / 3",
        "3**82000 / 3**81999",
        "mean([2**130000, 1.5, 3])",
        "variance([2**130000, 2**129999])",
        "stdev([2**60000, 2**59999, 5e-324])",
        "median([2**130000, 2**129999])",
        "log(2**131071)",
        "fmod(1e308, 5e-324) + 1e308 % 5e-324",
        "ldexp(1.0, 10**1000)",
        "1e1000000000000000000000",
        "1e-1000000000000000000000",
        "0x1p5",
        "__import__('os').system('id')",
        "().__class__.__bases__[0].__subclasses__()",
        "(lambda: 0)()",
        "[x for x in [1]]",
        "f'{1}'",
        "exec(1)",
        "eval(1)",
        "open(1)",
        "max.__call__(1, 2)",
        "cos.constructor('return 1')()",
        "{}.constructor.constructor('return 1')()",
        "'{0.__class__}'.format(1)",
        "x := 1",
        "import('fs')",
        "170!",
        "171!",
        "gamma(171) + float(factorial(170))",
        "float(factorial(171))",
        "(-8)^(1/3)",
        "10^10^10",
        "\0",
        "1 + \u{0}",
        "(((((",
        "]]]]]",
        "if if if",
        "10 ** 4300 * 10 ** 4300 ** 1",
    ]
    .map(str::to_owned)
    .to_vec();
    let keywords: Vec<String> = (0..8_000).rev().map(|number| format!("a{number}=1")).collect();
    texts.push(format!("max({})", keywords.join(",")));
    for part in [
        "(",
        "[",
        "-",
        "~",
        "not ",
        "+",
        "!",
        "1+",
        "1**",
        "2**",
        "1 if 1 else ",
        "a?b:",
        "max(",
        "max([",
        "abs(-",
        "1 or ",
        "1<",
        "1,",
        "0x",
        "_",
        "#",
        "\\\n",
        "a.",
        "a=",
        "é",
        "\u{202e}",
    ] {
        for tail in ["", "1"] {
            texts.push(format!("{}{tail}", many(part, 100_000 / part.len())));
            texts.push(format!("{}{tail}", many(part, 65_000 / part.len())));
            texts.push(format!("{}{tail}", many(part, 150)));
        }
    }
    texts.push(many("9", 65_000));
    texts.push(many("9", 1_000_000));
    texts.push(format!("0.{}", many("9", 65_000)));
    texts.push(format!("0x{}", many("f", 65_000)));
    texts.push(format!("1e{}", many("9", 65_000)));
    texts.push(format!("1{}", many("_1", 32_000)));
    texts.push(format!("[{}]", many("1<<131000,", 6_000)));
    texts.push(format!("max([{}])", many("1<<131000,", 6_000)));
    texts.push(format!("max({}1)", many("1<<131000,", 6_000)));
    texts.push(format!("len([{}])", many("1,", 32_000)));
    texts.push(format!("median([{}])", many("1e9,", 10_000)));
    texts.push(format!("stdev([{}])", many("1e300,5e-324,", 4_500)));
    texts.push(format!("mean([{}])", many("1e300,5e-324,", 4_500)));
    texts.push(format!("variance([{}])", many("3**82000,", 6_000)));
    texts.push(format!("1{}", many("*(1<<1000)", 6_000)));
    texts.push(format!("1{}", many("*3**9999//3**9998", 3_500)));
    texts.push(format!("1{}", many(" or 1<<131000", 4_500)));
    texts.push(format!("0{}", many("<(1<<131000)", 5_000)));
    texts.push(format!("0{}", many("+sin(1e300)", 5_000)));
    texts.push(format!("0{}", many("+lgamma(1e5)", 5_000)));
    texts.push(format!("0{}", many("+round(1.5,300)", 4_000)));
    texts.push(format!("0{}", many("+fmod(1e308,5e-324)", 3_000)));
    for (part, end) in [
        ("pow(3,2**1500-1,2**160+1)+", "1"),
        ("(1<<131070)//(3<<596)%7+", "1"),
        ("gcd(7**1585,11**1256)+", "1"),
        ("pow(7**1655,-1,11**515)%9+", "1"),
        ("pow(3,2**22460-1,9)+", "1"),
        ("1.7976931348623158079e308+", "1"),
        ("round(1.7e308,0)+round(1e-300,323)+", "1"),
        ("(3**4000==3**4000)+", "1"),
    ] {
        texts.push(format!("{}{end}", many(part, 65_000 / part.len())));
    }
    texts.push("pow(3,2**82947-1,2**1059+1)%7".to_owned());
    texts.push("comb(113442,57805)%7".to_owned());
    let multiples: Vec<String> = (1..300).map(|number| (number * 7_919).to_string()).collect();
    texts.push(format!("lcm({})", multiples.join(",")));
    texts.push(format!("{}1{}", many("(1 if 1 else ", 190), many(")", 190)));
    texts.push(format!("{}{}{}", many("(", 190), many("1+", 30_000), many("1 if 0 else 2)", 190)));
    texts
}

#[test]
fn hostile_texts_are_answered_at_once_and_in_little_memory() {
    let texts = hostile();
    assert!(texts.len() > 200);
    let before = resident_kib();
    for text in &texts {
        let shown: String = text.chars().take(60).collect();
        let start = processor_time();
        if let Ok(value) = evaluate(text, &Variables::new(), &mut Budget::full()) {
            let _ = value.write_json(&mut String::new());
            let _ = value.write_strict(&mut String::new());
        }
        let time = processor_time().saturating_sub(start);
        assert!(time < MOST_TIME, "{shown}: {time:?}");
        if std::env::var_os("BIDDEN_SHOW_TIMES").is_some() && time > Duration::from_millis(5) {
            println!("{time:?} {shown}");
        }
    }
    let growth = resident_kib().saturating_sub(before);
    assert!(growth < MOST_GROWTH_KIB, "memory grew by {growth} KiB");
}

#[test]
fn a_small_stack_suffices() {
    let thread = std::thread::Builder::new().stack_size(128 * 1024).spawn(|| {
        for text in hostile() {
            let _ = evaluate(&text, &Variables::new(), &mut Budget::with_fuel(3_000_000));
        }
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn a_small_budget_returns_soon() {
    for text in hostile() {
        let mut budget = Budget::small();
        let start = Instant::now();
        let error = evaluate(&text, &Variables::new(), &mut budget).err();
        let time = start.elapsed();
        let most = if cfg!(debug_assertions) { Duration::from_millis(50) } else { Duration::from_millis(1) };
        assert!(time < most, "{}: {time:?}", text.get(..60).unwrap_or(&text));
        assert_eq!(budget.is_exhausted(), error.is_some_and(|error| error.kind() == ErrorKind::Fuel));
    }
}

#[test]
fn the_same_expression_takes_the_same_fuel() {
    for text in hostile() {
        let run = || {
            let mut budget = Budget::full();
            let result = evaluate(&text, &Variables::new(), &mut budget);
            (result.map_err(|error| error.kind()).map(|value| format!("{value:?}")), budget.fuel())
        };
        assert_eq!(run(), run());
    }
}
