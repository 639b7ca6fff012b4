//! The numbers of every supported CPython, held against the headers that are here.

use std::collections::BTreeSet;

use pyebpf::language::python::layout::LAYOUTS;
use tests::layouts::{Known, compare, installed_headers};

#[test]
fn every_offset_is_what_the_compiler_computes_from_the_headers() {
    let mut compared = BTreeSet::new();
    for folder in installed_headers() {
        for comparison in compare(&folder).expect("installed headers compile") {
            assert_eq!(
                comparison.differences().count(),
                0,
                "{}: {comparison}",
                folder.display()
            );
            if comparison.known == Known::Yes {
                compared.insert((comparison.version, comparison.free_threaded));
                println!("{}: {comparison}", folder.display());
            }
        }
    }
    let require = std::env::var_os("PYEBPF_REQUIRE_PYTHONS").is_some();
    for entry in LAYOUTS {
        let build = ((entry.major, entry.minor), entry.free_threaded);
        if !compared.contains(&build) {
            println!("!!! NOT TESTED: offsets of {build:?}: no headers here");
            assert!(!require, "no headers of {build:?}");
        }
    }
    assert!(!compared.is_empty() || !require);
}

/// What a new release looks like that moved a field.
#[test]
fn a_number_that_differs_is_named() {
    let Some(folder) = installed_headers().into_iter().next() else {
        println!("!!! NOT TESTED: no headers here");
        return;
    };
    let mut comparison = compare(&folder).expect("installed headers compile").remove(0);
    comparison.known = Known::Yes;
    let (fact, computed) = comparison
        .numbers
        .iter_mut()
        .find(|(fact, _)| fact.name == "thread_state.interp")
        .expect("one of the numbers");
    *computed = Some(fact.expected + 8);
    let text = comparison.to_string();
    assert!(text.contains("thread_state.interp: "), "{text}");
    assert!(
        comparison
            .differences()
            .any(|(fact, _)| fact.name == "thread_state.interp")
    );
}
