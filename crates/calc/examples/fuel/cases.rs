//! The texts to measure: every operator and function over sizes and kinds of operands, and what is hard to read.

use super::Case;
use calc::{Budget, Value, Variables, evaluate, functions};
use std::collections::HashMap;

/// Sizes of integers in 64-bit limbs.
const LIMBS: &[u32] = &[1, 2, 3, 4, 16, 31, 64, 160, 223, 512, 1024, 2040];
/// The same for what takes three of them.
const FEW_LIMBS: &[u32] = &[1, 2, 3, 8, 33, 130, 512, 2040];
/// How often an operation is repeated, so that what a text costs anyway does not hide it.
const REPEATED: usize = 40;

const FLOATS: &[&str] = &[
    "0.0",
    "1.0",
    "-2.5",
    "0.1",
    "23.0",
    "-99.5",
    "709.5",
    "-745.0",
    "1e-5",
    "123456.789",
    "4503599627370497.5",
    "1e22",
    "1.7e308",
    "1e-300",
    "2.3e-308",
    "1e-310",
    "5e-324",
    "-5e-324",
    "0.9999999999999999",
    "3.1415926535897931",
    "inf",
    "nan",
    "170.5",
];

fn value(text: &str) -> Value {
    match evaluate(text, &Variables::new(), &mut Budget::full()) {
        Ok(value) => value,
        Err(error) => {
            println!("{text}: {error}");
            Value::Bool(false)
        }
    }
}

/// Integers of so many limbs: of mixed bits, of ones alone, and of one alone.
fn integers(limbs: u32) -> [(&'static str, Value); 4] {
    let bits = limbs.saturating_mul(64).saturating_sub(1);
    let power = |base: f64| f64::from(bits) / base.log2();
    [
        ("mixed", value(&format!("3**{:.0}", power(3.0).floor()))),
        ("other", value(&format!("7**{:.0}*5+2", (power(7.0) - 1.1).floor().max(0.0)))),
        ("ones", value(&format!("(1<<{bits})-1"))),
        ("power", value(&format!("1<<{}", bits.saturating_sub(1)))),
    ]
}

struct Cases<'a> {
    filter: &'a str,
    integers: HashMap<u32, [(&'static str, Value); 4]>,
    take: &'a mut dyn FnMut(Case),
}

impl Cases<'_> {
    fn integers(&mut self, limbs: u32) -> [(&'static str, Value); 4] {
        self.integers.entry(limbs).or_insert_with(|| integers(limbs)).clone()
    }

    /// Measures a text once by itself and once repeated.
    fn add(&mut self, operation: &str, sizes: &str, text: &str, given: &[(&str, &Value)]) {
        if !operation.contains(self.filter) {
            return;
        }
        let mut variables = Variables::new();
        for (name, value) in given {
            if let Err(error) = variables.insert(name, (*value).clone()) {
                println!("{name}: {error}");
            }
        }
        // What does not take these types is refused at once, and is measured with the texts.
        let tried = evaluate(text, &variables, &mut Budget::full());
        if tried.is_err_and(|error| matches!(error.class(), "TypeError" | "NameError")) {
            return;
        }
        let is_tuple = ["divmod", "frexp", "modf", "polar"].iter().any(|name| text.contains(name));
        let item = if is_tuple { format!("bool({text}),") } else { format!("{text},") };
        for (text, times) in
            [(text.to_owned(), "once"), (format!("len([{}])", item.repeat(REPEATED)), "repeated")]
        {
            let shown: String = text.chars().take(40).collect();
            let sizes = format!("{sizes} {times} `{shown}`");
            (self.take)(Case { operation: operation.to_owned(), sizes, text, variables: variables.clone() });
        }
    }

    /// Measures a text that repeats the operation by itself.
    fn whole(&mut self, operation: &str, sizes: &str, text: String, given: &[(&str, &Value)]) {
        if text.len() > calc::limits::TEXT_BYTES {
            return;
        }
        if !operation.contains(self.filter) {
            return;
        }
        let mut variables = Variables::new();
        for (name, value) in given {
            if let Err(error) = variables.insert(name, (*value).clone()) {
                println!("{name}: {error}");
            }
        }
        (self.take)(Case { operation: operation.to_owned(), sizes: sizes.to_owned(), text, variables });
    }

    /// As many variables as there can be, with long names, each used.
    fn many_names(&mut self) {
        if !"names".contains(self.filter) {
            return;
        }
        let mut variables = Variables::new();
        let mut text = String::from("1");
        for number in 0..calc::limits::VARIABLES {
            let name = format!("{}{number:04}", "n".repeat(50));
            if let Err(error) = variables.insert(&name, Value::Float(1.5)) {
                println!("{name}: {error}");
            }
            text.push('+');
            text.push_str(&name);
        }
        (self.take)(Case {
            operation: "names".to_owned(),
            sizes: "1024 long".to_owned(),
            text,
            variables: variables.clone(),
        });
        for name in ["x", "nnnn"] {
            let _ = variables.insert(name, Value::Float(2.5));
            let text = format!("{name}{}", format!("+{name}").repeat(5_000));
            (self.take)(Case {
                operation: "names".to_owned(),
                sizes: name.to_owned(),
                text,
                variables: variables.clone(),
            });
        }
    }

    fn text(&mut self, operation: &str, text: String) {
        if !operation.contains(self.filter) {
            return;
        }
        let shown: String = text.chars().take(40).collect();
        let sizes = format!("{} bytes `{shown}`", text.len());
        (self.take)(Case { operation: operation.to_owned(), sizes, text, variables: Variables::new() });
    }
}

pub(crate) fn all(filter: &str, take: &mut dyn FnMut(Case)) {
    let mut cases = Cases { filter, take, integers: HashMap::new() };
    operators(&mut cases);
    integer_functions(&mut cases);
    modular(&mut cases);
    float_functions(&mut cases);
    sequences(&mut cases);
    texts(&mut cases);
}

fn operators(cases: &mut Cases<'_>) {
    let operators = ["+", "-", "*", "/", "//", "%", "&", "|", "^", "<", "==", "!=", ">=", "and", "or"];
    for left in LIMBS {
        for right in LIMBS {
            let (lefts, rights) = (cases.integers(*left), cases.integers(*right));
            let pairs = [(&lefts[0], &rights[1]), (&lefts[2], &rights[2]), (&lefts[3], &rights[0])];
            for ((kind, a), (other_kind, b)) in pairs {
                let sizes = format!("{left} {kind}, {right} {other_kind}");
                for operator in operators {
                    cases.add(operator, &sizes, &format!("a {operator} b"), &[("a", a), ("b", b)]);
                }
                for name in
                    ["divmod", "gcd", "lcm", "max", "isclose", "fmod", "atan2", "hypot", "complex", "log"]
                {
                    cases.add(name, &sizes, &format!("{name}(a, b)"), &[("a", a), ("b", b)]);
                }
                cases.add("//", &sizes, "-a // b", &[("a", a), ("b", b)]);
            }
        }
        for (kind, a) in &cases.integers(*left) {
            let sizes = format!("{left} {kind}");
            for text in ["a", "-a", "+a", "~a", "not a", "a if a else 1", "a and a"] {
                cases.add(&text.replace('a', ""), &sizes, text, &[("a", a)]);
            }
            for count in [1, 63, 64, 1000, 60_000, 131_000] {
                cases.add("<<", &sizes, &format!("a << {count}"), &[("a", a)]);
                cases.add("<<", &sizes, &format!("1 << {count}"), &[("a", a)]);
                cases.add(">>", &sizes, &format!("a >> {count}"), &[("a", a)]);
                cases.add(">>", &sizes, &format!("-a >> {count}"), &[("a", a)]);
            }
            for exponent in [2, 3, 5, 10, 17, 100, 1000, 10_000, 131_000] {
                cases.add("**", &sizes, &format!("a ** {exponent}"), &[("a", a)]);
            }
            for exponent in ["-1", "-1000"] {
                cases.add("**", &sizes, &format!("a ** {exponent}"), &[("a", a)]);
            }
            for other in ["2.5", "1e308", "5e-324", "1j", "True"] {
                for operator in ["+", "*", "/", "//", "%", "**", "<", "=="] {
                    let operation = format!("{operator} mixed");
                    cases.add(&operation, &sizes, &format!("a {operator} {other}"), &[("a", a)]);
                    cases.add(&operation, &sizes, &format!("{other} {operator} a"), &[("a", a)]);
                }
            }
        }
    }
    for base in ["2", "3", "7", "10", "12345678901", "9223372036854775807"] {
        for exponent in [20, 41, 64, 100, 500, 2_000, 8_000, 30_000, 82_000, 131_000] {
            cases.add("**", "", &format!("{base}**{exponent}"), &[]);
        }
    }
}

fn integer_functions(cases: &mut Cases<'_>) {
    // Whatever takes one argument, and all the others with what they can take.
    for left in LIMBS {
        for (kind, a) in &cases.integers(*left) {
            let sizes = format!("{left} {kind}");
            for function in functions() {
                let name = function.name;
                cases.add(name, &sizes, &format!("{name}(a)"), &[("a", a)]);
                cases.add(name, &sizes, &format!("{name}(-a)"), &[("a", a)]);
                cases.add(name, &sizes, &format!("{name}([a, a, a])"), &[("a", a)]);
            }
            for digits in [-1, -20, -300, -1_000, -4_000, -20_000, -39_000, 5] {
                cases.add("round", &sizes, &format!("round(a, {digits})"), &[("a", a)]);
            }
            for count in [1, 2, 3, 7, 10, 30, 100, 500, 1_000, 3_000] {
                cases.add("comb", &sizes, &format!("comb(a, {count})"), &[("a", a)]);
                cases.add("perm", &sizes, &format!("perm(a, {count})"), &[("a", a)]);
            }
            cases.add("isqrt", &sizes, "isqrt(a * a)", &[("a", a)]);
            cases.add("gcd", &sizes, "gcd(a, a)", &[("a", a)]);
            cases.add("gcd", &sizes, "gcd(a, a + 2, a * 3)", &[("a", a)]);
            cases.add("==", &sizes, "a == a", &[("a", a)]);
        }
    }
    for n in [1, 5, 20, 21, 30, 64, 100, 300, 1_000, 3_000, 5_000, 9_000, 10_500, 12_000] {
        cases.add("factorial", "", &format!("factorial({n})"), &[]);
        cases.add("perm", "", &format!("perm({n})"), &[]);
        for k in [n / 2, n / 3, n / 10, 3] {
            cases.add("comb", "", &format!("comb({n}, {k})"), &[]);
            cases.add("perm", "", &format!("perm({n}, {k})"), &[]);
        }
    }
    for (n, k) in [
        (113_442, 57_805),
        (60_000, 30_000),
        (40_000, 20_000),
        (130_000, 65_000),
        (100_000, 100),
        (1_i64 << 40, 2_000),
        (100_000, 7_000),
    ] {
        cases.add("comb", "", &format!("comb({n}, {k})"), &[]);
        cases.add("perm", "", &format!("perm({n}, {k})"), &[]);
    }
}

fn modular(cases: &mut Cases<'_>) {
    for modulus in FEW_LIMBS {
        for (kind, m) in &cases.integers(*modulus) {
            for base in [1, 4, 64, 1024] {
                let bases = cases.integers(base);
                for exponent in FEW_LIMBS {
                    for ((_, a), (other, b)) in bases.iter().zip(&cases.integers(*exponent)) {
                        let sizes = format!("{base}, {exponent} {other}, {modulus} {kind}");
                        cases.add("pow modulo", &sizes, "pow(a, b, m)", &[("a", a), ("b", b), ("m", m)]);
                    }
                }
                let sizes = format!("{base}, {modulus} {kind}");
                let [_, (_, a), ..] = &bases;
                for exponent in ["-1", "-2", "2", "5", "65537", "-65537"] {
                    for arguments in [format!("a, {exponent}, m"), format!("a, {exponent}, m - 1")] {
                        let text = format!("pow({arguments})");
                        cases.add("pow inverse", &sizes, &text, &[("a", a), ("m", m)]);
                    }
                }
            }
        }
    }
}

fn float_functions(cases: &mut Cases<'_>) {
    for x in FLOATS {
        let a = &value(x);
        for function in functions() {
            let name = function.name;
            cases.add(name, x, &format!("{name}(a)"), &[("a", a)]);
            cases.add(name, x, &format!("{name}([a, a, 1.5])"), &[("a", a)]);
        }
        for operation in ["*3", "*0.5", "*a", "/3", "+3", "-a", "<2", " or 0"] {
            cases.whole(
                "chain",
                &format!("{x}{operation}"),
                format!("a{}", operation.repeat(1_000)),
                &[("a", a)],
            );
        }
        for digits in [-308, -300, -20, -1, 0, 1, 2, 15, 30, 100, 300, 310, 323] {
            cases.add("round", x, &format!("round(a, {digits})"), &[("a", a)]);
        }
        for y in FLOATS.iter().skip(1).step_by(2) {
            let b = &value(y);
            let sizes = format!("{x}, {y}");
            for function in functions() {
                let name = function.name;
                cases.add(name, &sizes, &format!("{name}(a, b)"), &[("a", a), ("b", b)]);
                if name.starts_with("cmath.") || matches!(name, "abs" | "bool" | "complex") {
                    let z = &Value::Complex(float_of(a), float_of(b));
                    cases.add(name, &sizes, &format!("{name}(z)"), &[("z", z)]);
                    cases.add(name, &sizes, &format!("{name}(z, a)"), &[("z", z), ("a", a)]);
                }
            }
            for operator in ["+", "-", "*", "/", "//", "%", "**", "<", "==", ">="] {
                cases.add(
                    &format!("{operator} floats"),
                    &sizes,
                    &format!("a {operator} b"),
                    &[("a", a), ("b", b)],
                );
                let z = &Value::Complex(float_of(a), float_of(b));
                let operation = format!("{operator} complex");
                cases.add(&operation, &sizes, &format!("z {operator} z"), &[("z", z)]);
                cases.add(&operation, &sizes, &format!("z {operator} 37"), &[("z", z)]);
                cases.add(&operation, &sizes, &format!("z {operator} 2.5"), &[("z", z)]);
            }
        }
    }
}

fn float_of(value: &Value) -> f64 {
    if let Value::Float(value) = value { *value } else { 0.0 }
}

fn sequences(cases: &mut Cases<'_>) {
    let lists = functions().filter(|function| {
        ["(items", "(data", "*integers", "*coordinates", "*more", "(p, q"]
            .iter()
            .any(|part| function.signature.contains(part))
    });
    let lists: Vec<&str> = lists.map(|function| function.name).collect();
    let floats: Vec<Value> = FLOATS.iter().map(|text| value(text)).collect();
    let mut given: Vec<(String, Value)> = Vec::new();
    for limbs in [1, 2, 8, 64, 223, 1024] {
        given.extend(
            cases.integers(limbs).into_iter().take(1).map(|(kind, value)| (format!("{limbs} {kind}"), value)),
        );
    }
    for (text, value) in FLOATS.iter().zip(floats).step_by(3) {
        given.push(((*text).to_owned(), value));
    }
    for count in [1, 10, 63, 64, 300, 10_000] {
        for (kind, a) in &given {
            let items = ["a", "a, 1", "1, a", "-a, 2.5", "a, 1e300, 5e-324"];
            for item in items {
                let items = format!("{item},").repeat(count);
                let text = items.trim_end_matches(',');
                let sizes = format!("{count} times {item} of {kind}");
                for name in &lists {
                    let variables = [("a", a)];
                    if *name == "math.dist" {
                        cases.whole(name, &sizes, format!("{name}([{text}], [{text}])"), &variables);
                    } else if name.starts_with("statistics.") {
                        cases.whole(name, &sizes, format!("{name}([{text}])"), &variables);
                        cases.whole(name, &sizes, format!("{name}([{text}], 2)"), &variables);
                        cases.whole(name, &sizes, format!("{name}([{text}], 2.5)"), &variables);
                    } else {
                        cases.whole(name, &sizes, format!("{name}([{text}])"), &variables);
                        cases.whole(name, &sizes, format!("{name}({text})"), &variables);
                    }
                }
                cases.whole("list ==", &sizes, format!("bool([{text}])"), &[("a", a)]);
            }
        }
        // Lists of different items, for the sorts.
        let numbers = |step: usize| (0..count).map(move |i| i.wrapping_mul(step).rem_euclid(9_973));
        let different: [(&str, Vec<String>); 5] = [
            ("ints", numbers(7_919).map(|i| i.to_string()).collect()),
            ("floats", numbers(7_919).map(|i| format!("{i}.5")).collect()),
            ("tiny", numbers(7_919).map(|i| format!("{i}e-320")).collect()),
            ("falling", (0..count).rev().map(|i| i.to_string()).collect()),
            ("big", numbers(7_919).map(|i| format!("a+{i}")).collect()),
        ];
        for (kind, items) in different {
            let text = items.join(",");
            for limbs in [2, 223] {
                let [(_, a), ..] = &cases.integers(limbs);
                for name in lists.iter().filter(|name| **name != "math.dist") {
                    cases.whole(
                        name,
                        &format!("{count} {kind} {limbs}"),
                        format!("{name}([{text}])"),
                        &[("a", a)],
                    );
                }
            }
        }
    }
}

/// What is read: numbers, names, operators and brackets in their hardest forms, in short texts and in long ones.
fn texts(cases: &mut Cases<'_>) {
    // Halfway between two floats, where a decimal number takes longest to read.
    let halfway = [
        "2.4703282292062327208e-324",
        "1.00000000000000011102230246251565404",
        "9007199254740993.00000000000000000000",
        "1.7976931348623158079e308",
        "2.2250738585072011360574e-308",
        "8.9884656743115785407263711865852e307",
        "6.631236846766476900e-316",
        "3.2378839133029012895883524125015321748630094235e-319",
    ];
    let parts = [
        "1",
        "+1",
        "1+",
        "-",
        "~",
        "not ",
        "1 ",
        "12345678901234567890+",
        "1.5+",
        "1e300+",
        "1e-300*",
        "123456789.123456789e-30-",
        "0x1f+",
        "0b1+",
        "1_0+",
        "1 if 1 else ",
        "1 or ",
        "0 and ",
        "1<",
        "1==",
        "pi+",
        "math.pi+",
        "x+",
        "cmath.infj+",
        "max(1,",
        "max([1,",
        "abs(-",
        "(",
        "((",
        "sin(1)+",
        "math.sqrt(2)*",
        "2**",
        "1 # x\n+",
        "#",
        "\\\n",
        " ",
        "\t",
        "(1,)",
        "[1],",
        "round(1,ndigits=1)+",
        "a=",
        "max(a=1,",
        "complex(real=1,imag=2)+",
        "True+",
        "nothing+",
        "_x+",
        "nothing(1)+",
        "1j+",
        "1.5j*",
        "2.5**",
        "@",
        "é",
        "1__0",
        "0x",
        "factorial",
        "yield",
        "1if 1else 1+",
    ];
    for count in [1, 3, 20, 100, 190, 1_000, 6_000, 64_000] {
        for part in parts.iter().chain(&halfway) {
            let body = part.repeat(count);
            let plus = if halfway.contains(part) { format!("{part}+").repeat(count) } else { String::new() };
            for text in [
                format!("{body}1"),
                body.clone(),
                format!("{plus}1"),
                format!("({body}1)"),
                format!("max([{}1])", format!("{part},").repeat(count)),
            ] {
                if text.len() <= calc::limits::TEXT_BYTES.saturating_add(8) {
                    cases.text("text", text);
                }
            }
            let closed = format!("{body}1{}", ")".repeat(count));
            if closed.len() <= calc::limits::TEXT_BYTES {
                cases.text("text", closed);
            }
        }
        for digit in ["9", "1", "7_", "0"] {
            let digits = digit.repeat(count);
            let digits = digits.trim_end_matches('_');
            let forms = [
                digits.to_owned(),
                format!("{digits}.5"),
                format!("0.{digits}"),
                format!("1.{digits}e-300"),
                format!("{digits}e-320"),
                format!("1e{digits}"),
                format!("0x{digits}"),
                format!("0o{}", digits.replace('9', "7")),
                format!("0b{}", digits.replace(['9', '7'], "1")),
                format!("{digits}j"),
                format!("-{digits}"),
                format!("2.470328229206232720{digits}e-324"),
                format!("1.0000000000000001110223024625156540{digits}"),
            ];
            for form in forms {
                if form.len() <= calc::limits::TEXT_BYTES {
                    cases.text("literal", form);
                }
            }
        }
    }
    // The whole expansion of the number halfway between zero and the least float.
    let half_of_least = format!("{:.1075}", f64::from_bits(1));
    let digits = half_of_least.trim_start_matches(['0', '.']);
    for places in [17, 20, 25, 40, 100, 400, 767] {
        if let Some(start) = digits.get(..places) {
            for exponent in [-323, -200, -20, 0, 20, 200, 300] {
                let literal = format!("{start}e{exponent}");
                cases.text("literal", literal.clone());
                cases.text("literal", format!("max({})", format!("{literal},").repeat(40)));
            }
        }
    }
    for exponent in (-1_074..970).step_by(31) {
        // Exactly between two floats, and just beside it.
        let float = 2.0_f64.powi(exponent);
        let exact = format!("{float:.1080}");
        let significant = exact.trim_start_matches(['0', '.']).trim_end_matches('0');
        for places in [20, 30, 60, 200, 760] {
            let start: String = significant.chars().filter(char::is_ascii_digit).take(places).collect();
            let shift = if float < 1.0 {
                exact.find(|c| !matches!(c, '0' | '.')).map_or(0, |zeros| -i32::try_from(zeros).unwrap_or(0))
            } else {
                0
            };
            let literal = format!("0.{start}e{shift}");
            cases.text("literal", format!("max({})", format!("{literal},").repeat(40)));
        }
    }
    let names: Vec<String> = (0..6_000).map(|number| format!("a{number}=1")).collect();
    cases.text("text", format!("max({})", names.join(",")));
    cases.text("text", format!("{}{}{}", "(".repeat(190), "1+".repeat(30_000), "1 if 0 else 2)".repeat(190)));
    cases.text("text", format!("{}1{}", "(1 if 1 else ".repeat(190), ")".repeat(190)));
    cases.text("text", format!("{}1", "max(1,2 if ".repeat(95)));
    cases.many_names();
}
