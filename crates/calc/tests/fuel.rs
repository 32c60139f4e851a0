//! What fuel is charged for: no function works without its price, fuel grows as the work does, and what people compute
//! fits. Nothing here takes a time: `make bench-fuel` does.

// A failing test is to panic.
#![allow(clippy::unwrap_used, clippy::panic, clippy::arithmetic_side_effects)]

use calc::{Budget, Columns, Value, Variables, evaluate, evaluate_columns, functions, limits};

fn value(text: &str) -> Value {
    evaluate(text, &Variables::new(), &mut Budget::full()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn limbs(value: &Value) -> u64 {
    match value {
        Value::Int(value) => value.bits().div_ceil(64),
        Value::List(items) | Value::Tuple(items) => items.iter().map(limbs).sum(),
        Value::Float(_) | Value::Bool(_) | Value::Complex(..) => 0,
    }
}

/// The result, if there is one, and the fuel that was spent.
fn spend(text: &str, variables: &Variables) -> (Option<Value>, u64) {
    let mut budget = Budget::full();
    let result = evaluate(text, variables, &mut budget).ok();
    (result, limits::FULL_FUEL - budget.fuel())
}

/// The fuel of evaluating a part, apart from reading and writing it: the other side of `or` is read and not evaluated.
fn spend_on(part: &str, variables: &Variables) -> u64 {
    let (_, evaluated) = spend(&format!("0 or ({part} and 0)"), variables);
    let (_, read) = spend(&format!("1 or ({part} and 0)"), variables);
    evaluated.saturating_sub(read)
}

/// Each function is called with whatever it takes, of several sizes: what it costs beyond its arguments is at least
/// a quarter of a unit for each limb of them and of its result. Who adds a function adds a call that it takes.
#[test]
fn every_function_pays_for_the_size_of_its_arguments_and_result() {
    let kinds = ["2.5", "(1 << 1000) - 3", "3 ** 9000", "3 ** 40000", "7", "0.5"].map(value);
    for function in functions() {
        let name = function.name;
        let mut calls = 0;
        for a in &kinds {
            for b in &kinds {
                let mut variables = Variables::new();
                variables.insert("a", a.clone()).unwrap();
                variables.insert("b", b.clone()).unwrap();
                let pushed = ["a", "b", "a"].map(|name| spend_on(name, &variables));
                for (arguments, given) in
                    [("a", 1), ("a, b", 2), ("[a, b, a]", 3), ("[a], [b]", 2), ("a, b, a", 3)]
                {
                    let call = format!("{name}({arguments})");
                    let Some(result) = spend(&call, &variables).0 else { continue };
                    calls += 1;
                    let own = spend_on(&call, &variables).saturating_sub(pushed.iter().take(given).sum());
                    let size = [a, b, a].into_iter().take(given).map(limbs).sum::<u64>() + limbs(&result);
                    assert!(own > size / 4, "{call} of {size} limbs costs {own}");
                }
            }
        }
        assert!(calls > 0, "{name} was never called with what it takes");
    }
}

fn cost(text: &str) -> u64 {
    let (result, fuel) = spend(text, &Variables::new());
    assert!(result.is_some(), "{text} has no value");
    fuel
}

/// That the second text, which does more of the same, costs so many tenths of what the first does.
#[track_caller]
fn check_growth(less: &str, more: &str, least_tenths: u64) {
    let (of_less, of_more) = (cost(less), cost(more));
    assert!(of_more * 10 >= of_less * least_tenths, "{less} costs {of_less}, {more} {of_more}");
}

/// The known complexity of each algorithm: an operand is twice as long.
#[test]
fn fuel_grows_as_the_work_does() {
    // By Karatsuba's way a product of twice the length is three of the length.
    check_growth("0 < 3**10000 * 5**6900", "0 < 3**20000 * 5**13800", 25);
    check_growth("0 < 3**20000 // 5**6900", "0 < 3**40000 // 5**13800", 25);
    check_growth("0 < 3**20000 % 5**6900", "0 < 3**40000 % 5**13800", 25);
    check_growth("bool(divmod(3**20000, 5**6900))", "bool(divmod(3**40000, 5**13800))", 25);
    check_growth("0 < 3**20000", "0 < 3**40000", 25);
    check_growth("0 < isqrt(3**20000)", "0 < isqrt(3**40000)", 25);
    check_growth("0 < factorial(2000)", "0 < factorial(4000)", 22);
    check_growth("0 < round(3**20000, -4000)", "0 < round(3**40000, -8000)", 25);
    // The rest grows with the square of the length.
    check_growth("gcd(3**20000, 5**13800)", "gcd(3**40000, 5**27600)", 29);
    check_growth("0 < lcm(3**10000, 5**6900)", "0 < lcm(3**20000, 5**13800)", 27);
    check_growth("0 < pow(7, -1, 3**20000)", "0 < pow(7, -1, 3**40000)", 29);
    check_growth("3**4500", "3**9000", 28);
    check_growth("0 < comb(20000, 10000)", "0 < comb(40000, 20000)", 27);
    // A modular power grows with its exponent, and with its modulus as a product does.
    check_growth("0 < pow(7, 1 << 500, 3**1000)", "0 < pow(7, 1 << 1000, 3**1000)", 19);
    check_growth("0 < pow(7, 1 << 500, 3**1000)", "0 < pow(7, 1 << 500, 3**2000)", 25);
    check_growth("0 < pow(7, 1 << 50000, 9)", "0 < pow(7, 1 << 100000, 9)", 18);
    check_growth("0 < perm(10**9, 500)", "0 < perm(10**9, 1000)", 19);
    check_growth("3**20000 / 5**13800 and 0", "3**40000 / 5**27600 and 0", 19);
    // The remainder of floats takes a step for each bit of the quotient.
    check_growth("1e100 % 1e-100", "1e300 % 1e-300", 15);
    check_growth("fmod(1e100, 1e-100)", "fmod(1e300, 1e-300)", 15);
    // Lists cost as much as they have items.
    for function in functions() {
        let name = function.name;
        let list = |count: usize| format!("{name}([{}1])", "1,".repeat(count));
        let arguments = |count: usize| format!("{name}({}1)", "1,".repeat(count));
        let points = |count: usize| format!("{name}([{0}], [{0}])", "1,".repeat(count));
        for text in [&list as &dyn Fn(usize) -> String, &arguments, &points] {
            if spend(&text(1_000), &Variables::new()).0.is_some() {
                check_growth(&text(1_000), &text(2_000), 19);
            }
        }
    }
    // What is read costs as much as it is long.
    for part in ["1+", "pi+0*", "1 or ", "0.12345678901234567890123+", "max(a=1,b=2)+", "~"] {
        let text = |count: usize| spend(&format!("{}1", part.repeat(count)), &Variables::new()).1;
        assert!(text(2_000) * 10 >= text(1_000) * 19, "{part}");
    }
}

/// What people compute is far from the end of the fuel.
#[test]
fn large_computations_fit_the_full_budget() {
    for text in [
        "factorial(5000) % 1000007",
        "factorial(10000) % 1000007",
        "2 ** 100000 % 7",
        "2 ** 14000",
        "3 ** 80000 % 10 ** 9",
        "comb(10000, 5000) % 7",
        "comb(50000, 25000) % 7",
        "perm(10000, 5000) % 7",
        "pow(3, 2 ** 2048 - 1, 2 ** 2048 - 159)",
        "pow(65537, -1, 2 ** 4096 - 17)",
        "gcd(3 ** 80000, 5 ** 50000)",
        "isqrt(10 ** 39000) % 7",
        "(1 << 131071) // (3 ** 40000) % 7",
    ] {
        let fuel = cost(text);
        assert!(fuel < limits::FULL_FUEL / 2, "{text} costs {fuel}");
    }
    // The private half of RSA with 4,096 bits takes nearly all of it.
    cost("pow(3, 2 ** 4096 - 1, 2 ** 4096 - 17)");
    let numbers: Vec<String> = (0..4_000).map(|number| format!("{number}.5")).collect();
    for name in ["sum", "mean", "stdev", "median", "max", "fsum"] {
        cost(&format!("{name}([{}])", numbers.join(", ")));
    }
}

/// Nor does the server's loop hand the everyday on to a worker.
#[test]
fn everyday_computations_fit_the_small_budget() {
    for text in [
        "(6 + 4) * 8",
        "sqrt(2) * sin(pi / 3) + log(10) ** 2 - round(2.675, 2)",
        "2 ** 1000",
        "factorial(100)",
        "comb(100, 50)",
        "pow(7, 65537, 10 ** 18 + 9)",
        "pow(7, -1, 10 ** 18 + 9)",
        "gcd(123456789, 987654321) + lcm(12, 18)",
        "mean([1, 2.5, 3, 4, 5]) + stdev([1, 2.5, 3, 4, 5]) + median([1, 2, 3])",
        "0.1000000000000000055511151231257827 + 3.14159265358979323846",
    ] {
        let result = evaluate(text, &Variables::new(), &mut Budget::small());
        assert!(result.is_ok(), "{text}: {result:?}");
    }
}

/// All pay for the slowest elements, and still what is common fits the greatest number of rows.
#[test]
fn common_columns_of_the_greatest_length_fit() {
    let x = vec![1.5; limits::ROWS];
    let mut columns = Columns::new();
    columns.insert("x", &x).unwrap();
    for text in [
        "2.5*x**2 - 1.25*x + 0.75",
        "sin(x)**2 + cos(x)**2",
        "exp(-x*x/2) / sqrt(2*pi)",
        "x**3 / 3",
        "1 if x > 1 else 0",
    ] {
        let result = evaluate_columns(text, &Variables::new(), &columns, &mut Budget::columns());
        assert!(result.is_ok(), "{text}");
    }
}
