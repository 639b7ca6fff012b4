//! Decoding held against compiled functions of every shape seen, and against the static symbols and tables of
//! the interpreters installed here.

use std::collections::BTreeMap;

use proptest::prelude::any;
use proptest::test_runner::{Config, TestRunner};

use super::machine::{BasedAddress, Function, Machine, Word};
use super::*;
use crate::language::python::layout::LAYOUTS;
use crate::language::python::recognise::analysis::{CPython, Implementation, VersionEvidence, analyze};
use crate::language::python::test_support::{installed, unpacked_files};

/// Assembled by GNU as and printed by objdump; words in file order.
const X86_64: &str = include_str!("testdata/x86_64.txt");
const AARCH64: &str = include_str!("testdata/aarch64.txt");

/// What the listings are linked with.
const RUNTIME: u64 = 0x9500;
const KEY: u64 = 0x9080;
const RUNTIME_KEY: u64 = 0x9920;
const OFFSET_SLOT: u64 = 0x8010;
const DESCRIPTOR: u64 = 0x8020;
const PAIR: u64 = 0x8030;

/// A listing as a file.
struct Listing {
    bytes: BTreeMap<u64, u8>,
    functions: BTreeMap<&'static str, u64>,
}

impl Listing {
    fn new(text: &'static str) -> Self {
        let mut listing = Self {
            bytes: BTreeMap::new(),
            functions: BTreeMap::new(),
        };
        let mut title = None;
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(name) = line.strip_prefix('[') {
                title = Some(name.trim_end_matches(']'));
                continue;
            }
            let mut columns = line.split_whitespace();
            let address = u64::from_str_radix(columns.next().expect("an address"), 16).expect("hexadecimal");
            let code = columns.next().expect("bytes");
            if let Some(title) = title.take() {
                listing.functions.insert(title, address);
            }
            for (at, pair) in (address..).zip(code.as_bytes().chunks(2)) {
                let pair = std::str::from_utf8(pair).expect("ASCII");
                listing
                    .bytes
                    .insert(at, u8::from_str_radix(pair, 16).expect("hexadecimal"));
            }
        }
        listing
    }

    fn follow<M: Machine>(&self, machine: M, name: &str) -> Findings {
        follow(self, machine, self.functions[name])
    }
}

impl Code for Listing {
    fn instructions(&self, address: u64, out: &mut [u8]) -> usize {
        let bytes = (address..).map_while(|at| self.bytes.get(&at));
        out.iter_mut().zip(bytes).map(|(out, byte)| *out = *byte).count()
    }

    fn word(&self, address: u64) -> Word {
        match address {
            0x8000 => Word::Address(RUNTIME),
            0x8008 => Word::Function(Function::GetSpecific),
            0x8018 => Word::Function(Function::TlsGetAddr),
            DESCRIPTOR => Word::Descriptor,
            _ => Word::Variable,
        }
    }

    fn function(&self, _address: u64) -> Option<Function> {
        None
    }
}

fn variable(findings: Findings) -> TlsVariable {
    findings
        .returned
        .and_then(thread_local)
        .expect("a thread-local variable")
}

#[test]
fn x86_64_code_of_every_shape_tells_the_key() {
    let listing = Listing::new(X86_64);
    for (name, key) in [
        ("3.6: the key, through the PLT", KEY),
        (
            "3.12, shared: the runtime from the global offset table, asked first whether there is a key",
            RUNTIME + 0x608 + 4,
        ),
        ("3.14, static: addresses as numbers", RUNTIME_KEY + 4),
        ("3.9, not optimised: variables on the stack", RUNTIME + 0x248 + 4),
        (
            "the way to the key is the branch that is taken",
            RUNTIME + 0x250 + 4,
        ),
    ] {
        let findings = listing.follow(x86_64::X86_64::new(), name);
        assert_eq!(
            findings,
            Findings {
                key: Some(key),
                returned: None
            },
            "{name}"
        );
    }
}

#[test]
fn x86_64_code_of_every_shape_tells_the_thread_local_variable() {
    let listing = Listing::new(X86_64);
    let in_pair = |displacement| TlsVariable::InModule {
        slot: PAIR,
        displacement,
    };
    let described = |displacement| TlsVariable::Descriptor {
        slot: DESCRIPTOR,
        displacement,
    };
    let initial = TlsVariable::OffsetAt {
        slot: OFFSET_SLOT,
        displacement: 0,
    };
    for (name, expected) in [
        ("local-exec", TlsVariable::FromThreadPointer(-40)),
        (
            "local-exec, relaxed from general dynamic",
            TlsVariable::FromThreadPointer(-24),
        ),
        ("initial-exec", initial),
        ("local dynamic", in_pair(40)),
        ("local dynamic, without a PLT", in_pair(8)),
        ("TLS descriptor", described(8)),
        ("TLS descriptor, added to the thread pointer", described(0)),
    ] {
        let findings = listing.follow(x86_64::X86_64::new(), name);
        assert_eq!(variable(findings), expected, "{name}");
        assert_eq!(findings.key, None, "{name}");
    }
}

#[test]
fn aarch64_code_of_every_shape_tells_the_key_or_the_variable() {
    let listing = Listing::new(AARCH64);
    for (name, key) in [
        (
            "3.13, shared: the runtime from the global offset table, asked first whether there is a key",
            RUNTIME + 0x870 + 4,
        ),
        ("3.9, not optimised: variables on the stack", RUNTIME + 0x248 + 4),
    ] {
        let findings = listing.follow(aarch64::Aarch64, name);
        assert_eq!(
            findings,
            Findings {
                key: Some(key),
                returned: None
            },
            "{name}"
        );
    }
    let (slot, displacement) = (OFFSET_SLOT, 0);
    let described = TlsVariable::Descriptor {
        slot: DESCRIPTOR,
        displacement,
    };
    let in_pair = TlsVariable::InModule {
        slot: PAIR,
        displacement: 40,
    };
    for (name, expected) in [
        ("local-exec", TlsVariable::FromThreadPointer(32)),
        ("local-exec, in two additions", TlsVariable::FromThreadPointer(24)),
        ("TLS descriptor", described),
        ("initial-exec", TlsVariable::OffsetAt { slot, displacement }),
        ("local dynamic", in_pair),
    ] {
        assert_eq!(
            variable(listing.follow(aarch64::Aarch64, name)),
            expected,
            "{name}"
        );
    }
    let numbers = listing.follow(aarch64::Aarch64, "an address as two numbers");
    assert_eq!(numbers.returned, Some(BasedAddress::in_file(0x40_9088)));
}

#[test]
fn what_is_no_key_is_not_taken_for_one() {
    let listing = Listing::new(X86_64);
    for name in [
        "2.7: a list instead of a key",
        "the key is changed before it is used",
        "a circle of branches and calls",
    ] {
        assert_eq!(listing.follow(x86_64::X86_64::new(), name).key, None, "{name}");
    }
}

#[test]
fn circles_are_left() {
    let circle = "a circle of branches and calls";
    let nothing = Findings::default();
    assert_eq!(
        Listing::new(X86_64).follow(x86_64::X86_64::new(), circle),
        nothing
    );
    assert_eq!(Listing::new(AARCH64).follow(aarch64::Aarch64, circle), nothing);
}

/// Code of any bytes.
struct Garbage<'a>(&'a [u8]);

impl Code for Garbage<'_> {
    fn instructions(&self, address: u64, out: &mut [u8]) -> usize {
        let rest = self.0.get(address as usize..).unwrap_or_default();
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        count
    }

    fn word(&self, address: u64) -> Word {
        match address % 5 {
            0 => Word::Address(address / 5),
            1 => Word::Function(Function::GetSpecific),
            2 => Word::Function(Function::TlsGetAddr),
            3 => Word::Descriptor,
            _ => Word::Variable,
        }
    }

    fn function(&self, address: u64) -> Option<Function> {
        address.is_multiple_of(7).then_some(Function::TlsGetAddr)
    }
}

#[test]
fn code_of_any_bytes_is_left_in_bounded_time() {
    TestRunner::new(Config::with_cases(2000))
        .run(&proptest::collection::vec(any::<u8>(), 0..256), |bytes| {
            let _ = follow(&Garbage(&bytes), x86_64::X86_64::new(), 0);
            let _ = follow(&Garbage(&bytes), aarch64::Aarch64, 0);
            Ok(())
        })
        .expect("no code makes it panic");
}

/// Interpreters in files, with the name and the version of each.
fn real() -> Vec<(String, Vec<u8>, CPython)> {
    let files = installed().into_iter().map(|python| python.file);
    files
        .chain(unpacked_files())
        .filter_map(|file| {
            let bytes = std::fs::read(&file).ok()?;
            match analyze(&bytes[..]).ok()?.interpreter? {
                Implementation::CPython(found) => Some((file.display().to_string(), bytes, *found)),
                Implementation::PyPy => None,
            }
        })
        .collect()
}

#[test]
fn the_code_of_real_interpreters_says_what_their_static_symbols_say() {
    let mut compared = Vec::new();
    for (file, bytes, found) in real() {
        let elf = ElfFile::open(bytes.into(), 64 << 20).expect("a working interpreter");
        let (decoded, named) = (from_code(&elf), from_symbols(&elf, found.runtime.is_none()));
        if found.runtime.is_none() && named.interpreters_head.is_some() {
            assert_eq!(decoded.interpreters_head, named.interpreters_head, "{file}");
            assert_eq!(decoded.thread_key, named.thread_key, "{file}");
            let is_3_6 = version(&found) == Some((3, 6));
            assert_eq!(decoded.thread_key.is_some(), is_3_6, "{file}");
            assert!(named.current_thread_state.is_some() && named.gc_collecting.is_some());
            match named.gil.expect("it has static symbols") {
                GilVariable::Pointer(lock) => assert_eq!((returned_lock(&elf), is_3_6), (Some(lock), false)),
                GilVariable::At { .. } => assert_eq!((returned_lock(&elf), is_3_6), (None, true)),
            }
            compared.push(file);
        } else if named.gilstate_tls.is_some() {
            assert_eq!(decoded.gilstate_tls, named.gilstate_tls, "{file}");
            compared.push(file);
        }
    }
    println!("compared with static symbols: {compared:#?}");
}

fn version(found: &CPython) -> Option<(u8, u8)> {
    match &found.version {
        VersionEvidence::Known(version) => Some((version.major, version.minor)),
        _ => None,
    }
}

/// The tables are compiled from the headers, so they are a second source.
#[test]
fn the_key_of_real_interpreters_is_where_the_table_of_their_version_has_it() {
    let mut compared = Vec::new();
    for (file, _, found) in real() {
        let (Some(runtime), anchors) = (found.runtime, found.anchors) else {
            assert!(version(&found) < Some((3, 7)), "{file}");
            continue;
        };
        let head = anchors.interpreters_head.expect("exported by every interpreter");
        assert!((runtime..runtime + 4096).contains(&head), "{file}");
        if version(&found) >= Some((3, 15)) {
            assert!(
                anchors.gilstate_tls.is_some() && anchors.thread_key.is_none(),
                "{file}"
            );
            compared.push((file, format!("{:?}", anchors.gilstate_tls)));
            continue;
        }
        let key = anchors.thread_key.map(|key| key - runtime);
        assert!(key.is_some(), "{file}");
        let entry = LAYOUTS
            .iter()
            .find(|entry| Some((entry.major, entry.minor)) == version(&found) && !entry.free_threaded);
        if let Some(entry) = entry {
            assert_eq!(key, Some(u64::from(entry.runtime.thread_key) + 4), "{file}");
        }
        compared.push((file, format!("key at {key:?}")));
    }
    println!("compared: {compared:#?}");
}
