//! C++ and Rust names as people write them. Used by [`super::symbol_file`]; bounded, because a mangled name of a hundred
//! bytes can stand for more text than there is memory (substitutions double it again and again).

use std::fmt::{self, Write};

use cpp_demangle::{DemangleOptions, Symbol};

/// Bytes of a demangled name that are shown; a name that is longer is cut off.
const MAX_NAME: usize = 1024;
/// Bytes that are demangled before a name is given up as nonsense: what is hidden (parameters) counts too.
const MAX_WORK: usize = 64 * 1024;
/// Bytes of a mangled name; longer ones are shown as they are, cut off.
const MAX_MANGLED: usize = 16 * 1024;

/// Demangles `name` if it is mangled. Parameters and return types are left out, as in `perf`: `ns::Klass<int>::method`.
pub(super) fn demangle(name: &str) -> String {
    if name.len() <= MAX_MANGLED
        && let Some(demangled) = rust(name).or_else(|| cpp(name))
    {
        return demangled;
    }
    cut(name).to_owned()
}

/// v0 (`_R...`) and legacy (`_ZN...17h<hash>E`) names, without the hash.
fn rust(name: &str) -> Option<String> {
    let demangled = rustc_demangle::try_demangle(name).ok()?;
    let mut text = Bounded::default();
    write!(text, "{demangled:#}").ok()?;
    Some(text.finish())
}

fn cpp(name: &str) -> Option<String> {
    // What the compiler appends to parts and clones of a function is no part of the mangled name.
    let (mangled, clone) = match name.find('.') {
        Some(dot) => name.split_at(dot),
        None => (name, ""),
    };
    if !mangled.starts_with("_Z") {
        return None;
    }
    let symbol = Symbol::new(mangled).ok()?;
    let options = DemangleOptions::new().no_params().no_return_type();
    let mut text = Bounded::default();
    symbol.structured_demangle(&mut text, &options).ok()?;
    text.write_str(clone).ok()?;
    Some(text.finish())
}

/// Text that stops growing.
#[derive(Default)]
struct Bounded {
    text: String,
    work: usize,
}

impl Bounded {
    fn finish(self) -> String {
        self.text
    }
}

impl Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.work += part.len();
        if self.work > MAX_WORK {
            return Err(fmt::Error);
        }
        let room = MAX_NAME.saturating_sub(self.text.len());
        let end = part.floor_char_boundary(room);
        self.text.push_str(&part[..end]);
        Ok(())
    }
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_compiler_read_as_in_the_source() {
        for (mangled, expected) in [
            ("main", "main"),
            ("_PyEval_EvalFrameDefault", "_PyEval_EvalFrameDefault"),
            ("_ZN3foo3barEi", "foo::bar"),
            ("_ZN3foo3Bar6methodIiEEvT_", "foo::Bar::method<int>"),
            ("_ZN3foo3barEi.cold", "foo::bar.cold"),
            ("_ZN3foo3barEi.isra.0.part.1", "foo::bar.isra.0.part.1"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backEOi",
                "std::vector<int, std::allocator<int> >::push_back",
            ),
            (
                "_ZN4core3fmt9Formatter3pad17h0123456789abcdefE",
                "core::fmt::Formatter::pad",
            ),
            ("_RNvC7mycrate3foo", "mycrate::foo"),
            ("_Z", "_Z"),
            ("", ""),
        ] {
            assert_eq!(demangle(mangled), expected, "{mangled}");
        }
    }

    #[test]
    fn a_name_that_doubles_itself_without_end_is_given_up_quickly() {
        // Each template argument pair repeats all that came before it.
        let mut bomb = "_Z1fI1AIiiE".to_owned();
        for depth in 0..60 {
            let digit = char::from_digit(depth % 36, 36)
                .unwrap_or('0')
                .to_ascii_uppercase();
            bomb.push_str(&format!("1AIS{digit}_S{digit}_E"));
        }
        bomb.push_str("EvT_");
        assert!(demangle(&bomb).len() <= MAX_NAME);
        let long = format!("x{}", "é".repeat(MAX_NAME));
        assert!(demangle(&long).len() <= MAX_NAME);
    }
}
