//! The rule by examples, and what holds for any path.

use std::collections::HashSet;

use proptest::prelude::{any, prop_assert, proptest};

use super::{MAX_CACHE_BYTES, SourcePaths, shorten_by_name};

/// Shortens with these directories as the only packages.
fn shorten<'p>(path: &'p str, packages: &[&str]) -> &'p str {
    SourcePaths::default().shorten(path, |directory| Some(packages.contains(&directory)))
}

#[test]
fn a_module_is_named_from_its_outermost_package_on() {
    let lib = ["/usr/lib/python3.11/asyncio", "/srv/app/pkg", "/srv/app/pkg/sub"];
    assert_eq!(
        shorten("/usr/lib/python3.11/asyncio/base_events.py", &lib),
        "asyncio/base_events.py"
    );
    assert_eq!(
        shorten("/usr/lib/python3.11/asyncio/__init__.py", &lib),
        "asyncio/__init__.py"
    );
    assert_eq!(shorten("/usr/lib/python3.11/threading.py", &lib), "threading.py");
    assert_eq!(shorten("/srv/app/pkg/sub/mod.py", &lib), "pkg/sub/mod.py");
    assert_eq!(shorten("/srv/app/main.py", &lib), "main.py");
    assert_eq!(
        shorten("/srv/app/pkg/data/tool.py", &lib),
        "tool.py",
        "a directory without __init__.py ends it"
    );
    assert_eq!(shorten("/main.py", &lib), "main.py");
}

#[test]
fn what_is_installed_is_named_from_there_on_with_packages_that_have_no_init_file() {
    let site = "/v/lib/python3.11/site-packages";
    for (module, packages) in [
        (
            "google/cloud/storage/blob.py",
            &["/v/lib/python3.11/site-packages/google/cloud/storage"][..],
        ),
        (
            "numpy/core/numeric.py",
            &["/v/lib/python3.11/site-packages/numpy"],
        ),
        ("six.py", &[]),
        ("plain/site.py", &[]),
    ] {
        assert_eq!(shorten(&format!("{site}/{module}"), packages), module);
    }
    assert_eq!(
        shorten("/usr/lib/python3/dist-packages/apt/cache.py", &[]),
        "apt/cache.py"
    );
}

#[test]
fn a_module_in_an_archive_is_named_from_there_on() {
    for (path, short) in [
        ("/srv/app.pyz/app/views/__init__.py", "app/views/__init__.py"),
        ("app.pyz/__main__.py", "__main__.py"),
        ("/usr/lib/python311.zip/json/decoder.py", "json/decoder.py"),
        ("/s/site-packages/a-1.0-py3.11.egg/a/b.py", "a/b.py"),
        ("/srv/tool.pex/.deps/a-1.0-py3-none-any.whl/a/b.py", "a/b.py"),
        ("/srv/tool.pex//.deps/site.py", ".deps/site.py"),
    ] {
        assert_eq!(shorten(path, &[]), short);
        assert_eq!(SourcePaths::default().shorten(path, |_| None), short);
    }
    assert_eq!(
        shorten("/home/u/.pex/tool.py", &[]),
        "tool.py",
        "a hidden folder is no archive"
    );
    assert_eq!(shorten("/srv/app.zip", &[]), "app.zip", "the archive itself");
}

#[test]
fn what_is_no_path_is_kept() {
    for path in [
        "<string>",
        "<frozen importlib._bootstrap>",
        "<stdin>",
        "<a/b/c.py>",
        "",
        "/",
        "//",
        "a/",
    ] {
        let shortened = SourcePaths::default().shorten(path, |_| Some(false));
        assert_eq!(shortened, path);
    }
}

#[test]
fn relative_paths_are_asked_about_each_time() {
    assert_eq!(shorten("pkg/mod.py", &["pkg"]), "pkg/mod.py");
    assert_eq!(shorten("proj/pkg/mod.py", &["proj/pkg"]), "pkg/mod.py");
    assert_eq!(shorten("dir/script.py", &[]), "script.py");
    assert_eq!(shorten("script.py", &[]), "script.py");
    assert_eq!(shorten("./script.py", &[]), "script.py");
    let mut paths = SourcePaths::default();
    assert_eq!(paths.shorten("pkg/mod.py", |_| Some(true)), "pkg/mod.py");
    assert_eq!(
        paths.shorten("pkg/mod.py", |_| Some(false)),
        "mod.py",
        "another process, another directory"
    );
}

#[test]
fn dots_and_empty_names_do_not_become_packages() {
    let all = |_: &str| Some(true);
    let mut paths = SourcePaths::default();
    assert_eq!(paths.shorten("/srv/tests/../pkg/mod.py", all), "pkg/mod.py");
    assert_eq!(paths.shorten("../pkg/mod.py", all), "pkg/mod.py");
    assert_eq!(paths.shorten("/srv/./mod.py", all), "mod.py");
    assert_eq!(paths.shorten("//srv//pkg//mod.py", all), "srv//pkg//mod.py");
}

#[test]
fn without_an_answer_the_name_of_the_directory_decides() {
    let mut paths = SourcePaths::default();
    let mut unknown = |path: &'static str| paths.shorten(path, |_| None);
    assert_eq!(
        unknown("/usr/lib/python3.11/asyncio/events.py"),
        "asyncio/events.py"
    );
    assert_eq!(
        unknown("/v/lib/python3.13t/site-packages/numpy/core.py"),
        "numpy/core.py"
    );
    assert_eq!(
        unknown("/usr/lib/python3/dist-packages/apt/cache.py"),
        "apt/cache.py"
    );
    assert_eq!(unknown("/srv/app/pkg/mod.py"), "/srv/app/pkg/mod.py");
    assert_eq!(unknown("/opt/python3.x/mod.py"), "/opt/python3.x/mod.py");
    assert_eq!(unknown("python3.8/mod.py"), "mod.py");
    assert_eq!(unknown("/usr/lib/python3.11/"), "/usr/lib/python3.11/");
}

#[test]
fn paths_that_cannot_be_opened_are_not_asked_about() {
    let long = format!("/{}", "a/".repeat(2500));
    for path in [&*long, "/a/b\0/c.py"] {
        let mut asked = false;
        let shortened = SourcePaths::default().shorten(path, |_| {
            asked = true;
            Some(false)
        });
        assert_eq!((shortened, asked), (path, false));
    }
}

#[test]
fn each_directory_is_asked_about_once() {
    let mut paths = SourcePaths::default();
    let mut asked = Vec::new();
    for file in ["/a/p/q/x.py", "/a/p/q/y.py", "/a/p/z.py", "/a/w.py"] {
        paths.shorten(file, |directory| {
            asked.push(directory.to_owned());
            Some(directory != "/a")
        });
    }
    assert_eq!(asked, ["/a/p/q", "/a/p", "/a"]);
}

#[test]
fn questions_are_bounded_and_so_is_what_is_remembered() {
    let mut paths = SourcePaths::default();
    let deep = format!("/{}x.py", "p/".repeat(2000));
    let mut asked = 0;
    paths.shorten(&deep, |_| {
        asked += 1;
        Some(true)
    });
    assert_eq!(asked, 64);
    for number in 0..100_000 {
        paths.shorten(&format!("/some/directory/{number}/file.py"), |_| Some(false));
        assert!(paths.bytes <= MAX_CACHE_BYTES);
    }
}

#[test]
fn the_rule_is_that_of_a_real_library() {
    let packages: HashSet<&str> = HashSet::from(["/l/python3.11/json", "/l/python3.11/importlib/metadata"]);
    let mut ask = |directory: &str| Some(packages.contains(directory));
    let mut paths = SourcePaths::default();
    assert_eq!(
        paths.shorten("/l/python3.11/json/decoder.py", &mut ask),
        "json/decoder.py"
    );
    let inner = paths.shorten("/l/python3.11/importlib/metadata/_meta.py", &mut ask);
    assert_eq!(
        inner, "metadata/_meta.py",
        "the deepest directory that is no package ends the walk"
    );
}

proptest! {
    #[test]
    fn the_result_is_an_end_of_the_path_and_not_empty(
        path in "(/|<|\\.\\.|\\.|python3\\.1|site-packages|[a-c]|>|é|\0){0,40}",
        answers in any::<u64>(),
    ) {
        let mut paths = SourcePaths::default();
        for question in [0u32, 1] {
            let mut turn = question;
            let short = paths.shorten(&path, |_| {
                turn += 1;
                [None, Some(false), Some(true), Some(true)][((answers >> (turn % 32 * 2)) & 3) as usize]
            });
            prop_assert!(path.ends_with(short));
            prop_assert!(path.is_empty() || !short.is_empty());
        }
        prop_assert!(path.ends_with(shorten_by_name(&path)));
    }
}
