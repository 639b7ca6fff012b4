//! A C compiler and the C library's start files: Rust links every program with them.
//!
//! `c++` is the same package; the fuzzer's runtime is written in it.

use std::path::Path;
use std::process::Command;

use super::Need;
use crate::{command, debian};

const PACKAGE: &str = "build-essential";

/// `program` is `cc` or `c++`.
pub(crate) struct CCompiler {
    pub(crate) program: &'static str,
}

impl Need for CCompiler {
    fn name(&self) -> &str {
        PACKAGE
    }

    fn plan(&self) -> anyhow::Result<String> {
        Ok(format!(
            "a C compiler: Debian's package {PACKAGE} (apt-get install)"
        ))
    }

    fn is_present(&self) -> anyhow::Result<bool> {
        if command::find_on_path(self.program).is_none() {
            return Ok(false);
        }
        // A compiler without libc's development files prints the bare name back.
        let start_file = command::output(Command::new(self.program).arg("-print-file-name=crt1.o"))?;
        Ok(Path::new(start_file.trim()).is_absolute())
    }

    fn install(&self) -> anyhow::Result<()> {
        debian::install(&[PACKAGE])
    }
}
