//! The macro by which the contract's tables are written: one row for code, documentation and text.

/// An enumeration whose rows have a fixed code and a text for people.
macro_rules! table {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $code:literal, $text:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum $name { $($(#[$doc])* #[doc = $text] $variant = $code,)* }

        impl $name {
            /// Every row, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code that travels in records and indexes the counters.
            #[inline(always)]
            #[must_use]
            pub const fn code(self) -> u16 { self as u16 }

            /// The row with this code, if there is one.
            #[must_use]
            pub const fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            /// The sentence shown to people.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

pub(super) use table;
