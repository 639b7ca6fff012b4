//! `int`, `bool`, `float` and `complex`.

use profiler_common::memory::{Memory, RemoteAddr};

use super::{Value, Writer};
use crate::language::python::layout::objects::{DIGIT_BITS, DIGITS, FLAG_LONG, IntegerShape, TAG_BITS};
use crate::language::python::objects::word;

/// Digits of an `int` that are read: about 1150 decimal ones.
const MAX_DIGITS: usize = 128;
/// What decimal digits are written in.
const BASE: u64 = 1_000_000_000;
const BASE_DIGITS: usize = 9;

impl<M: Memory> Writer<'_, '_, M> {
    /// An `int` of any size, or a `bool`.
    pub(super) fn integer(&self, value: Value<'_>) -> Option<String> {
        let memory = self.objects.memory();
        let first = word(memory, self.objects.field(value.address, 0))?;
        let is_bool = value.class.name == "bool";
        let shape = self.objects.fields().integer;
        let (is_negative, count) = match shape {
            // In 2.7 `long` has digits.
            IntegerShape::Machine if !value.class.has(FLAG_LONG) => {
                let number = first.cast_signed();
                return Some(if is_bool {
                    truth(number != 0)
                } else {
                    number.to_string()
                });
            }
            IntegerShape::Machine | IntegerShape::Size => {
                let size = first.cast_signed();
                (size < 0, size.unsigned_abs())
            }
            // Two bits say the sign: 1 of zero, 2 of a negative number.
            IntegerShape::Tag => (first & 3 == 2, if first & 3 == 1 { 0 } else { first >> TAG_BITS }),
        };
        let sign = if is_negative { "-" } else { "" };
        let read = usize::try_from(count).unwrap_or(usize::MAX);
        if read > MAX_DIGITS {
            let bits = count.saturating_mul(DIGIT_BITS.into());
            return Some(format!("<{sign}int of {bits} bits>"));
        }
        let mut bytes = [0; 4 * MAX_DIGITS];
        let digits = self.objects.field(value.address, DIGITS);
        memory.read_bytes(digits, &mut bytes, 4 * read as u32).ok()?;
        let digits = bytes.chunks_exact(4).take(read);
        let digits: Vec<u32> = digits
            .filter_map(|digit| Some(u32::from_le_bytes(digit.try_into().ok()?)))
            .collect();
        if digits.iter().any(|digit| digit >> DIGIT_BITS != 0) {
            return None;
        }
        if is_bool {
            return Some(truth(digits.iter().any(|digit| *digit != 0)));
        }
        Some(format!("{sign}{}", decimal(digits)))
    }

    pub(super) fn float(&self, address: RemoteAddr) -> Option<String> {
        let bits = word(self.objects.memory(), self.objects.field(address, 0))?;
        Some(float(f64::from_bits(bits)))
    }

    pub(super) fn complex(&self, address: RemoteAddr) -> Option<String> {
        let part = |at: u16| {
            let bits = word(self.objects.memory(), self.objects.field(address, at))?;
            Some(f64::from_bits(bits))
        };
        let (real, imaginary) = (part(0)?, part(8)?);
        let short = |number: f64| {
            let text = float(number);
            text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
        };
        let imaginary_text = short(imaginary);
        if real == 0.0 && real.is_sign_positive() {
            return Some(format!("{imaginary_text}j"));
        }
        let plus = if imaginary_text.starts_with('-') { "" } else { "+" };
        Some(format!("({}{plus}{imaginary_text}j)", short(real)))
    }
}

/// As Python writes it.
fn truth(is_true: bool) -> String {
    if is_true { "True" } else { "False" }.to_owned()
}

/// A number of digits of 30 bits, the lowest first, in decimal.
fn decimal(mut digits: Vec<u32>) -> String {
    let mut groups = Vec::new();
    while digits.last() == Some(&0) {
        digits.pop();
    }
    while !digits.is_empty() {
        let mut rest = 0u64;
        for digit in digits.iter_mut().rev() {
            let number = rest << DIGIT_BITS | u64::from(*digit);
            // A quotient has 30 bits, as `rest` is below the base.
            *digit = (number / BASE) as u32;
            rest = number % BASE;
        }
        groups.push(rest);
        while digits.last() == Some(&0) {
            digits.pop();
        }
    }
    let mut groups = groups.into_iter().rev();
    let first = groups.next().unwrap_or(0).to_string();
    groups.fold(first, |text, group| format!("{text}{group:0BASE_DIGITS$}"))
}

/// The shortest text that stands for this number, as `repr()` writes it.
pub(super) fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = number.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::{decimal, float};

    #[test]
    fn floats_are_written_as_python_does() {
        for (number, text) in [
            (2.5125, "2.5125"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e16, "1e+16"),
            (123_456_789_012_345.0, "123456789012345.0"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1.5e300, "1.5e+300"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(float(number), text);
        }
    }

    #[test]
    fn numbers_of_many_digits_are_exact() {
        assert_eq!(decimal(vec![]), "0");
        assert_eq!(decimal(vec![1, 1]), ((1u64 << 30) + 1).to_string());
        let all = (1u128 << 120) - 1;
        assert_eq!(decimal(vec![(1 << 30) - 1; 4]), all.to_string());
        assert_eq!(decimal(vec![0, 0, 0, 1]), (1u128 << 90).to_string());
    }
}
