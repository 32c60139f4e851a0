//! Expressions by the grammar of the language, weighted to the numbers at which implementations differ.

/// Small, fast and seeded, so that a failure can be repeated: xorshift64*.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(mixed).unwrap() % sides
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.roll(choices.len())]
    }

    fn between(&mut self, least: i64, most: i64) -> i64 {
        least + i64::try_from(self.roll(usize::try_from(most - least + 1).unwrap())).unwrap()
    }

    fn bits(&mut self) -> u64 {
        (0..4).fold(0, |bits, _| bits << 16 | self.roll(1 << 16) as u64)
    }
}

const INTEGERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "7",
    "10",
    "-1",
    "(-2)",
    "(-3)",
    "(-7)",
    "16",
    "53",
    "64",
    "100",
    "1000003",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "(-9007199254740993)",
    "9223372036854775807",
    "9223372036854775808",
    "(-9223372036854775808)",
    "(-9223372036854775809)",
    "18446744073709551616",
    "2**100",
    "(10**25)",
    "(-10**25)",
    "10**308",
    "10**309",
    "(2**1024-2**970)",
    "(2**1024-2**969)",
    "10**400",
    "(-10**400)",
    "(3**200)",
    "0x1F",
    "0b101",
    "0o17",
    "1_000",
    "(1<<200)",
    "4611686018427387904",
    "3037000500",
    "(7**5000)",
    "(-(10**4299))",
];

const FLOATS: &[&str] = &[
    "0.0",
    "(-0.0)",
    "0.5",
    "1.5",
    "2.5",
    "(-0.5)",
    "(-2.5)",
    "0.1",
    "0.3",
    "1.0",
    "(-1.0)",
    "3.0",
    "1e16",
    "1e-5",
    "9007199254740992.0",
    "9007199254740993.0",
    "9223372036854775807.0",
    "9223372036854775808.0",
    "1e308",
    "1.7976931348623157e308",
    "5e-324",
    "(-5e-324)",
    "2.2250738585072014e-308",
    "1e-310",
    "inf",
    "(-inf)",
    "nan",
    "1e22",
    "1e23",
    "1e400",
    "123456.789",
    "0.1e-6",
    "pi",
    "e",
    "tau",
    "2.675",
    "1e15",
    "4.35",
    "1e100",
    "709.5",
    "0.9999999999999999",
    "1.0000000000000002",
    "(-1e-300)",
    "171.5",
    "1e-20",
];

const COMPLEXES: &[&str] = &[
    "1j",
    "0j",
    "(-0.0j)",
    "(1+2j)",
    "(0.5-1.5j)",
    "(-1-0.0j)",
    "1e308j",
    "(inf+1j)",
    "(nan+nanj_)",
    "1e-310j",
    "(3+4j)",
    "(-2+0j)",
    "(2-0j)",
    "5e-324j",
    "(1e200+1e200j)",
];

const BINARY: &[&str] =
    &["+", "-", "*", "/", "//", "%", "**", "+", "-", "*", "/", "//", "%", "&", "|", "^", "<<", ">>"];
const COMPARISONS: &[&str] = &["<", "<=", ">", ">=", "==", "!="];

const REAL_FUNCTIONS: &[&str] = &[
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "degrees",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "fabs",
    "floor",
    "frexp",
    "gamma",
    "isfinite",
    "isinf",
    "isnan",
    "lgamma",
    "log",
    "log10",
    "log1p",
    "log2",
    "modf",
    "radians",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
    "ulp",
    "abs",
    "round",
    "int",
    "float",
    "bool",
    "complex",
    "math.sqrt",
    "math.floor",
];
const TWO_REALS: &[&str] = &[
    "atan2",
    "copysign",
    "fmod",
    "hypot",
    "log",
    "math.pow",
    "nextafter",
    "remainder",
    "isclose",
    "divmod",
    "pow",
    "max",
    "min",
    "complex",
];
const COMPLEX_FUNCTIONS: &[&str] = &[
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "exp", "log", "log10", "phase",
    "polar", "sin", "sinh", "sqrt", "tan", "tanh", "isfinite", "isinf", "isnan",
];
const WHOLE_FUNCTIONS: &[&str] = &["isqrt", "factorial", "math.isqrt", "gcd", "lcm"];
const LIST_FUNCTIONS: &[&str] = &[
    "sum",
    "max",
    "min",
    "fsum",
    "prod",
    "mean",
    "median",
    "stdev",
    "variance",
    "len",
    "statistics.mean",
    "hypot(*",
];

pub(super) struct Generator {
    pub(super) dice: Dice,
}

impl Generator {
    fn number(&mut self) -> String {
        match self.dice.roll(20) {
            0..=5 => self.dice.pick(INTEGERS).to_owned(),
            6..=10 => self.dice.pick(FLOATS).to_owned(),
            11 => self.dice.pick(COMPLEXES).replace("+nanj_", "*1j"),
            12 => self.dice.pick(&["True", "False"]).to_owned(),
            13..=14 => self.dice.between(-1000, 999).to_string(),
            15 => format!("{}", self.dice.bits().cast_signed()),
            16 => self.any_float(),
            17 => format!("{}.{}", self.dice.roll(100), self.dice.roll(1000)),
            18 => format!("{}e{}", self.dice.roll(1000), self.dice.between(-330, 309)),
            _ => self.near_power(),
        }
    }

    /// Any bits that make a finite float.
    fn any_float(&mut self) -> String {
        let float = f64::from_bits(self.dice.bits());
        if float.is_finite() { format!("({float:?})") } else { "0.25".to_owned() }
    }

    fn near_power(&mut self) -> String {
        let exponent =
            self.dice.pick(&["31", "32", "52", "53", "54", "62", "63", "64", "127", "128", "1023", "1024"]);
        let offset = self.dice.pick(&["-1", "", "+1", "-2", "+2"]);
        let sign = self.dice.pick(&["", "-"]);
        format!("({sign}2**{exponent}{offset})")
    }

    fn small(&mut self) -> String {
        self.dice.between(-10, 49).to_string()
    }

    fn list(&mut self, depth: usize) -> String {
        let count = self.dice.roll(5);
        let items: Vec<String> = (0..count).map(|_| self.expression(depth)).collect();
        if self.dice.roll(3) > 0 {
            return format!("[{}]", items.join(", "));
        }
        match items.as_slice() {
            [one] => format!("({one},)"),
            items => format!("({})", items.join(", ")),
        }
    }

    fn call(&mut self, depth: usize) -> String {
        match self.dice.roll(16) {
            0..=4 => format!("{}({})", self.dice.pick(REAL_FUNCTIONS), self.expression(depth)),
            5..=6 => format!(
                "{}({}, {})",
                self.dice.pick(TWO_REALS),
                self.expression(depth),
                self.expression(depth)
            ),
            7..=8 => format!("cmath.{}({})", self.dice.pick(COMPLEX_FUNCTIONS), self.expression(depth)),
            9 => {
                let whole =
                    if self.dice.roll(2) == 0 { self.small() } else { self.dice.pick(INTEGERS).to_owned() };
                let function = self.dice.pick(WHOLE_FUNCTIONS);
                if function == "factorial" {
                    format!("factorial({})", self.small())
                } else {
                    format!("{function}({whole})")
                }
            }
            10..=11 => {
                let function = self.dice.pick(LIST_FUNCTIONS);
                if function == "hypot(*" {
                    format!("hypot({}, {}, {})", self.number(), self.number(), self.number())
                } else {
                    format!("{function}({})", self.list(depth))
                }
            }
            12 => format!("round({}, {})", self.expression(depth), self.dice.between(-20, 19)),
            13 => {
                let function =
                    self.dice.pick(&["comb", "perm", "gcd", "lcm", "ldexp", "cmath.rect", "cmath.log"]);
                format!("{function}({}, {})", self.expression(0), self.small())
            }
            14 => format!("pow({}, {}, {})", self.expression(0), self.small(), self.expression(0)),
            _ => match self.dice.roll(4) {
                0 => format!("dist({}, {})", self.list(0), self.list(0)),
                1 => format!("isclose({}, {}, rel_tol={})", self.number(), self.number(), self.number()),
                2 => format!("sum({}, start={})", self.list(0), self.number()),
                _ => {
                    format!("{}({}, {})", self.dice.pick(&["variance", "stdev"]), self.list(0), self.number())
                }
            },
        }
    }

    fn power(&mut self, depth: usize) -> String {
        let exponent = match self.dice.roll(4) {
            0 => self.dice.pick(FLOATS).to_owned(),
            1 => self.dice.pick(COMPLEXES).replace("+nanj_", "*1j"),
            _ => self.small(),
        };
        format!("({}) ** {exponent}", self.expression(depth))
    }

    fn expression(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.number();
        }
        let depth = depth - 1;
        match self.dice.roll(24) {
            0..=4 => self.number(),
            5..=10 => {
                let operator = self.dice.pick(BINARY);
                match operator {
                    "**" => self.power(depth),
                    "<<" | ">>" => format!("({}) {operator} {}", self.expression(depth), self.small()),
                    _ => format!("{} {operator} {}", self.expression(depth), self.expression(depth)),
                }
            }
            11..=12 => format!("({})", self.expression(depth)),
            13 => format!("{}{}", self.dice.pick(&["-", "+", "~", "not ", "- -"]), self.expression(depth)),
            14 => format!(
                "({} {} {})",
                self.expression(depth),
                self.dice.pick(COMPARISONS),
                self.expression(depth)
            ),
            15 => {
                let (first, second) = (self.dice.pick(COMPARISONS), self.dice.pick(COMPARISONS));
                let (a, b, c) = (self.expression(depth), self.expression(depth), self.expression(depth));
                format!("{a} {first} {b} {second} {c}")
            }
            16 => format!(
                "({} {} {})",
                self.expression(depth),
                self.dice.pick(&["and", "or"]),
                self.expression(depth)
            ),
            17 => {
                let (a, b, c) = (self.expression(depth), self.expression(depth), self.expression(depth));
                format!("({a} if {b} else {c})")
            }
            _ => self.call(depth),
        }
    }

    /// Now and then a text with something struck out or put in, mostly a syntax error.
    pub(super) fn text(&mut self) -> (String, bool) {
        let depth = 1 + self.dice.roll(3);
        let mut text = self.expression(depth);
        let is_mutated = self.dice.roll(12) == 0;
        if is_mutated {
            let mut characters: Vec<char> = text.chars().collect();
            let place = self.dice.roll(characters.len());
            if self.dice.roll(2) == 0 {
                characters.remove(place);
            } else {
                let more = self.dice.pick(&[
                    "(", ")", ",", "1", "_", ".", "e", " ", "=", "not ", "if ", "*", "j", "x", "#", "0",
                ]);
                characters.splice(place..place, more.chars());
            }
            text = characters.into_iter().collect();
        }
        (text, is_mutated)
    }
}

/// Every pair of the special numbers under every operator and two-argument function, and every function of one.
pub(super) fn grid() -> Vec<String> {
    let complexes: Vec<String> = COMPLEXES.iter().map(|text| text.replace("+nanj_", "*1j")).collect();
    let numbers: Vec<&str> =
        INTEGERS.iter().chain(FLOATS).copied().chain(complexes.iter().map(String::as_str)).collect();
    let mut texts = Vec::new();
    for whole in -40..180 {
        for name in REAL_FUNCTIONS {
            texts.push(format!("{name}({whole})"));
            texts.push(format!("{name}({whole}.5 / 8)"));
        }
    }
    for left in &numbers {
        for name in REAL_FUNCTIONS {
            texts.push(format!("{name}({left})"));
        }
        for (index, right) in numbers.iter().enumerate() {
            for operator in ["+", "*", "/", "//", "%", "<", "=="] {
                texts.push(format!("{left} {operator} {right}"));
            }
            let is_small = !right.contains("**") && right.len() < 7 && !right.contains("<<");
            if is_small || index >= INTEGERS.len() {
                texts.push(format!("({left}) ** {right}"));
            }
            for name in ["atan2", "fmod", "hypot", "remainder", "math.pow", "nextafter", "divmod"] {
                texts.push(format!("{name}({left}, {right})"));
            }
        }
    }
    let parts = [
        "0.0",
        "(-0.0)",
        "1.5",
        "(-1.5)",
        "1e308",
        "(-1e-320)",
        "inf",
        "(-inf)",
        "nan",
        "710.0",
        "(-3e200)",
        "708.6",
        "(-708.9)",
    ];
    for real in parts {
        for imaginary in parts {
            for name in COMPLEX_FUNCTIONS {
                texts.push(format!("cmath.{name}(complex({real}, {imaginary}))"));
            }
            texts.push(format!("cmath.rect({real}, {imaginary})"));
            for base in ["2", "0", "1", "1j", "nan", "inf"] {
                texts.push(format!("cmath.log(complex({real}, {imaginary}), {base})"));
            }
            for exponent in
                ["0", "-1", "2", "3", "-100", "101", "0.5", "1j", "(2-3j)", "inf", "nan", "1e308j"]
            {
                texts.push(format!("complex({real}, {imaginary}) ** {exponent}"));
                texts.push(format!("complex({real}, {imaginary}) / {exponent}"));
            }
        }
    }
    texts
}
