//! Kubernetes' quantities: `10Gi`, `1500M`, `1e3`, `0.5Gi`, `100m`.

use crate::duration::shown;

const ALLOWED: &str = "write a number with one of the suffixes Ki Mi Gi Ti Pi Ei (powers of 1024), k M G T P E \
                       (powers of 1000) or m u n (fractions), or with an exponent; for example `10Gi`, `500M` or `1e9`";

/// More digits than any disk has bytes.
const MOST_DIGITS: usize = 24;
/// Quantities are counted in billionths, as Kubernetes does.
const NANO: u128 = 1_000_000_000;

const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Why a text is not a quantity, and what would be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} is not a quantity: {fault}; {ALLOWED}")]
pub struct QuantityError {
    text: String,
    fault: &'static str,
}

/// What a quantity stands for (bytes, if it is one of storage or memory), rounded up.
pub fn parse(text: &str) -> Result<u64, QuantityError> {
    nanos(text).and_then(|nanos| {
        u64::try_from(nanos.div_ceil(NANO)).map_err(|_| QuantityError { text: shown(text), fault: TOO_LARGE })
    })
}

/// The same in billionths, for comparing small ones (`10m` with `100m`).
pub(crate) fn nanos(text: &str) -> Result<u128, QuantityError> {
    read(text).map_err(|fault| QuantityError { text: shown(text), fault })
}

const TOO_LARGE: &str = "it is too large";
const NO_NUMBER: &str = "it does not begin with a number";

fn read(text: &str) -> Result<u128, &'static str> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.starts_with('-') {
        return Err("it is negative");
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || whole.len() + fraction.len() == 0 {
        return Err(NO_NUMBER);
    }
    let digits = format!("{whole}{fraction}");
    if digits.trim_start_matches('0').len() > MOST_DIGITS || fraction.len() > MOST_DIGITS {
        return Err("it has too many digits");
    }
    let mantissa: u128 = digits.parse().map_err(|_| NO_NUMBER)?;
    if mantissa == 0 {
        return scale(suffix).map(|_| 0);
    }
    // mantissa * factor * 10^exponent billionths
    let (factor, exponent) = scale(suffix)?;
    let places = i32::try_from(fraction.len()).unwrap_or(i32::MAX);
    let exponent = exponent.saturating_sub(places).saturating_add(9);
    let number = mantissa.checked_mul(factor).ok_or(TOO_LARGE)?;
    let power = 10u128.checked_pow(exponent.unsigned_abs());
    if exponent < 0 {
        // Less than the smallest that there is counts as that, as in Kubernetes.
        return Ok(power.map_or(1, |power| number.div_ceil(power)));
    }
    power.and_then(|power| number.checked_mul(power)).ok_or(TOO_LARGE)
}

/// The factor and the power of ten that a suffix stands for.
fn scale(suffix: &str) -> Result<(u128, i32), &'static str> {
    if let Some(power) = (1u32..).zip(BINARY).find(|(_, name)| *name == suffix) {
        return Ok((1 << (10 * power.0), 0));
    }
    let exponent = match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "" => 0,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        _ => {
            let digits =
                suffix.strip_prefix(['e', 'E']).ok_or("its suffix is unknown (upper and lower case differ)")?;
            let sign = |c| c == '+' || c == '-';
            let plain = digits.strip_prefix(sign).unwrap_or(digits);
            if plain.is_empty() || !plain.chars().all(|c| c.is_ascii_digit()) {
                return Err("its exponent is not a number");
            }
            digits.parse().map_err(|_| TOO_LARGE)?
        }
    };
    Ok((1, exponent))
}

/// The exact Kubernetes text of so many bytes: `10Gi`, `1536Mi`, `1000`.
#[must_use]
pub fn text(bytes: u64) -> String {
    let power = if bytes == 0 { 0 } else { bytes.trailing_zeros() / 10 };
    let suffix = suffix(power);
    format!("{}{suffix}", bytes >> (10 * power))
}

/// So many bytes for people, rounded to a tenth: `1.5Gi`, `10Gi`, `999`.
#[must_use]
pub fn human(bytes: u64) -> String {
    let mut power = 0;
    // Rounding may lift a number to the next suffix: 1023.97Mi is 1Gi.
    while power < 6 && tenths(bytes, power) >= 10 * 1024 {
        power += 1;
    }
    let tenths = tenths(bytes, power);
    let (whole, tenth) = (tenths / 10, tenths % 10);
    let point = if tenth == 0 { String::new() } else { format!(".{tenth}") };
    format!("{whole}{point}{}", suffix(power))
}

fn tenths(bytes: u64, power: u32) -> u128 {
    let unit = 1u128 << (10 * power);
    (u128::from(bytes) * 10 + unit / 2) / unit
}

fn suffix(power: u32) -> &'static str {
    let place = usize::try_from(power).unwrap_or(0).checked_sub(1);
    place.and_then(|place| BINARY.get(place)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GI: u64 = 1 << 30;

    #[test]
    fn quantities_read_as_in_kubernetes_and_are_rounded_up() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("10Gi", 10 * GI),
            ("0.5Gi", GI / 2),
            (".5Gi", GI / 2),
            ("1.5Gi", GI + GI / 2),
            ("5.", 5),
            ("+5", 5),
            ("1Ki", 1024),
            ("1Mi", 1 << 20),
            ("1Ti", 1 << 40),
            ("1Pi", 1 << 50),
            ("1Ei", 1 << 60),
            ("1500M", 1_500_000_000),
            ("1k", 1000),
            ("1G", 1_000_000_000),
            ("1T", 1_000_000_000_000),
            ("1P", 1_000_000_000_000_000),
            ("1E", 1_000_000_000_000_000_000),
            ("1e3", 1000),
            ("1E3", 1000),
            ("12e-1", 2),
            ("1.5e3", 1500),
            ("100m", 1),
            ("1001m", 2),
            ("1u", 1),
            ("1n", 1),
            ("1e-30", 1),
            ("0e-30", 0),
            ("0e99", 0),
            ("0.1Ki", 103),
            ("18446744073709551615", u64::MAX),
            ("0000000000000000000000000000001", 1),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_refused_is_shown_with_what_is_allowed() {
        for (text, part) in [
            ("", "it is empty"),
            ("-1Gi", "it is negative"),
            ("Gi", "does not begin with a number"),
            (".", "does not begin with a number"),
            ("1.2.3", "does not begin with a number"),
            ("1 Gi", "its suffix is unknown"),
            ("10GB", "its suffix is unknown"),
            ("10gi", "its suffix is unknown"),
            ("10K", "its suffix is unknown"),
            ("1e", "its exponent is not a number"),
            ("1e+", "its exponent is not a number"),
            ("1ex", "its exponent is not a number"),
            ("1e--3", "its exponent is not a number"),
            ("18446744073709551616", "it is too large"),
            ("16Ei", "it is too large"),
            // In 128 bits this would come to nothing.
            ("576460752303423488Ei", "it is too large"),
            ("1e99", "it is too large"),
            ("1e99999999999", "it is too large"),
            ("1000000000000000000000000000000", "too many digits"),
            ("٣Gi", "does not begin with a number"),
        ] {
            let message = parse(text).expect_err(text).to_string();
            assert!(message.contains(part) && message.contains("`10Gi`"), "{text}: {message}");
        }
    }

    #[test]
    fn small_quantities_can_be_compared() {
        assert!(nanos("10m").unwrap() < nanos("100m").unwrap());
        assert_eq!(nanos("1000m"), nanos("1"));
        assert_eq!(nanos("1u"), Ok(1000));
    }

    #[test]
    fn bytes_are_shown_exactly_and_for_people() {
        for (bytes, exact, people) in [
            (0, "0", "0"),
            (999, "999", "999"),
            (1000, "1000", "1000"),
            (1024, "1Ki", "1Ki"),
            (1536, "1536", "1.5Ki"),
            (10 * GI, "10Gi", "10Gi"),
            (GI + GI / 2, "1536Mi", "1.5Gi"),
            (GI - 1, "1073741823", "1Gi"),
            (1_500_000_000, "1500000000", "1.4Gi"),
            (1 << 60, "1Ei", "1Ei"),
            (u64::MAX, "18446744073709551615", "16Ei"),
        ] {
            assert_eq!((text(bytes).as_str(), human(bytes).as_str()), (exact, people));
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_the_same(bytes in any::<u64>(), power in 0u32..60) {
            for bytes in [bytes, (bytes >> power) << power] {
                prop_assert_eq!(parse(&text(bytes)), Ok(bytes));
            }
        }

        #[test]
        fn no_text_breaks_the_parser(text in "\\PC{0,12}|[0-9.eE+KMGTPimun-]{0,40}") {
            let _ = parse(&text);
            let _ = nanos(&text);
        }
    }
}
