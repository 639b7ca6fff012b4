//! What a C compiler says of expressions, with the headers of one CPython: their values, or that they do not compile.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// Headers are taken where they are: their names changed from version to version.
const BEFORE: &str = r#"#define Py_BUILD_CORE 1
#include <Python.h>
#include <frameobject.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#if __has_include("internal/pystate.h")
#include "internal/pystate.h"
#endif
#if __has_include("internal/pycore_pystate.h")
#include "internal/pycore_pystate.h"
#endif
#if __has_include("internal/pycore_runtime.h")
#include "internal/pycore_runtime.h"
#endif
#if __has_include("internal/pycore_interp.h")
#include "internal/pycore_interp.h"
#endif
#if __has_include("internal/pycore_frame.h")
#include "internal/pycore_frame.h"
#endif
#if __has_include("internal/pycore_interpframe.h")
#include "internal/pycore_interpframe.h"
#endif
#if __has_include("internal/pycore_code.h")
#include "internal/pycore_code.h"
#endif
#if __has_include("internal/pycore_dict.h")
#include "internal/pycore_dict.h"
#endif
#if __has_include("internal/pycore_object.h")
#include "internal/pycore_object.h"
#endif
#if __has_include("internal/pycore_moduleobject.h")
#include "internal/pycore_moduleobject.h"
#endif
#if __has_include("internal/pycore_long.h")
#include "internal/pycore_long.h"
#endif
#if __has_include("longintrepr.h")
#include "longintrepr.h"
#endif
#define BIT(type, word, field) ({ type s; unsigned bits; memset(&s, 0, sizeof s); s.word.field = 1; \
    memcpy(&bits, (char *)&s + offsetof(type, word), 4); (unsigned long)__builtin_ctz(bits); })
int main(void) {
"#;

/// Rounds of leaving out what does not compile: an error can hide others.
const ROUNDS: usize = 4;

/// The headers of one CPython.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    /// The folder of `Python.h`.
    pub folder: &'a Path,
    /// Compiled as for a build without a GIL, whatever the headers were installed for.
    pub free_threaded: bool,
}

impl Headers<'_> {
    /// The values of C expressions, in their order; `None` for those that do not compile.
    ///
    /// # Errors
    /// When there is no C compiler, or the headers themselves do not compile.
    pub fn values(&self, expressions: &[&str]) -> anyhow::Result<Vec<Option<u64>>> {
        let directory = tempfile::tempdir()?;
        let source = directory.path().join("offsets.c");
        let program = directory.path().join("offsets");
        let mut failing = BTreeSet::new();
        for _ in 0..ROUNDS {
            std::fs::write(&source, text(expressions, &failing))?;
            let output = self
                .compiler(&source, &program)
                .output()
                .context("cannot start the C compiler `cc`")?;
            if output.status.success() {
                return run(&program, expressions.len());
            }
            let messages = String::from_utf8_lossy(&output.stderr);
            let before = failing.len();
            failing.extend(messages.lines().filter_map(failing_expression));
            ensure!(
                failing.len() > before,
                "the headers in {} do not compile:\n{messages}",
                self.folder.display()
            );
        }
        anyhow::bail!(
            "the headers in {} fail in other places every time",
            self.folder.display()
        )
    }

    fn compiler(&self, source: &Path, program: &Path) -> Command {
        let mut command = Command::new("cc");
        command
            .env("LC_ALL", "C")
            .args(["-w", "-std=gnu11", "-fmax-errors=0"])
            .arg("-I")
            .arg(self.folder)
            .arg("-I")
            .arg(self.folder.join("internal"));
        if let Some(parent) = self.folder.parent() {
            // Distributions keep pyconfig.h in a folder per architecture, beside this one.
            command.arg("-idirafter").arg(parent);
        }
        if self.free_threaded {
            command.arg("-DPy_GIL_DISABLED=1");
        }
        command.arg(source).arg("-o").arg(program).stdin(Stdio::null());
        command
    }
}

/// A program that prints the number and the value of each expression.
fn text(expressions: &[&str], failing: &BTreeSet<usize>) -> String {
    let mut text = BEFORE.to_owned();
    for (index, expression) in expressions.iter().enumerate() {
        if !failing.contains(&index) {
            writeln!(text, "#line 1 \"expression-{index}\"").expect("writing to memory");
            writeln!(
                text,
                "printf(\"{index} %llu\\n\", (unsigned long long)({expression}));"
            )
            .expect("writing to memory");
        }
    }
    text.push_str("return 0; }\n");
    text
}

/// The expression in which a message of the compiler finds an error.
fn failing_expression(message: &str) -> Option<usize> {
    let (place, what) = message.split_once(": ")?;
    let index = place.strip_prefix("expression-")?.split(':').next()?;
    // GCC places errors inside a macro at the macro.
    let is_failing = what.contains("error") || what.contains("in expansion of macro");
    is_failing.then(|| index.parse().ok())?
}

fn run(program: &Path, count: usize) -> anyhow::Result<Vec<Option<u64>>> {
    let output = Command::new(program).output()?;
    ensure!(output.status.success(), "the program of offsets fails");
    let mut values = vec![None; count];
    for line in String::from_utf8(output.stdout)?.lines() {
        let (index, value) = line.split_once(' ').context("two columns")?;
        *values.get_mut(index.parse::<usize>()?).context("an expression")? = Some(value.parse()?);
    }
    Ok(values)
}
