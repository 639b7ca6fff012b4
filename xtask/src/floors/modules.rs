//! The modules of a crate, and which file's names each file uses.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;

use super::tokens::{self, Said};

/// Names handed on from module to module, at most.
const MAX_STEPS: usize = 16;

/// A name of another file that a file uses.
#[derive(Debug)]
pub(super) struct Use {
    /// The file, relative to the sources.
    pub(super) from: String,
    /// The file that defines it.
    pub(super) to: String,
    /// As it is written.
    pub(super) path: String,
    /// It is only handed on.
    pub(super) is_re_export: bool,
}

/// All modules that are not for tests, by path from the root.
#[derive(Debug, Default)]
pub(super) struct Modules {
    by_path: BTreeMap<Vec<String>, Module>,
}

#[derive(Debug)]
struct Module {
    file: String,
    said: Said,
}

impl Modules {
    /// Reads the crate whose `lib.rs` is in this folder.
    pub(super) fn read(sources: &Path) -> anyhow::Result<Self> {
        let mut modules = Self::default();
        modules.read_file(sources, "lib.rs", "", Vec::new())?;
        Ok(modules)
    }

    /// `folder` is where the files of its modules are.
    fn read_file(
        &mut self,
        sources: &Path,
        file: &str,
        folder: &str,
        path: Vec<String>,
    ) -> anyhow::Result<()> {
        let text =
            std::fs::read_to_string(sources.join(file)).with_context(|| format!("cannot read {file}"))?;
        let tokens = text.parse().map_err(|error| anyhow::anyhow!("{file}: {error}"))?;
        self.add(sources, file, folder, path, tokens::read(tokens))
    }

    fn add(
        &mut self,
        sources: &Path,
        file: &str,
        folder: &str,
        path: Vec<String>,
        mut said: Said,
    ) -> anyhow::Result<()> {
        let below = |name: &str| {
            let mut below = path.clone();
            below.push(name.to_owned());
            below
        };
        for name in &said.files {
            let (alone, inside) = (format!("{folder}{name}.rs"), format!("{folder}{name}/mod.rs"));
            let child = if sources.join(&alone).is_file() {
                alone
            } else {
                inside
            };
            self.read_file(sources, &child, &format!("{folder}{name}/"), below(name))?;
        }
        for (name, inner) in std::mem::take(&mut said.inner) {
            self.add(sources, file, &format!("{folder}{name}/"), below(&name), inner)?;
        }
        let file = file.to_owned();
        self.by_path.insert(path, Module { file, said });
        Ok(())
    }

    /// Every use of a name of another file, and of names that are handed on.
    pub(super) fn uses(&self) -> Vec<Use> {
        let mut uses = Vec::new();
        for (path, module) in &self.by_path {
            let mut note = |written: &[String], is_re_export| {
                if let Some(to) = self.resolve(path, written, false, MAX_STEPS)
                    && to != module.file
                {
                    uses.push(Use {
                        from: module.file.clone(),
                        to: to.to_owned(),
                        path: written.join("::"),
                        is_re_export,
                    });
                }
            };
            for import in &module.said.imports {
                note(&import.path, import.is_re_export);
            }
            for written in &module.said.paths {
                note(written, false);
            }
        }
        uses
    }

    /// The file that defines what `written` names in the module at `from`; `None` for other crates, and for modules
    /// themselves. With `is_certain` also for what its module does not seem to define: a macro may.
    fn resolve(&self, from: &[String], written: &[String], is_certain: bool, steps: usize) -> Option<&str> {
        let steps = steps.checked_sub(1)?;
        let mut at = from.to_vec();
        let mut names = written.iter().map(String::as_str).peekable();
        match names.peek().copied()? {
            "crate" => {
                at.clear();
                names.next();
            }
            "self" => drop(names.next()),
            "super" => {
                while names.next_if_eq(&"super").is_some() {
                    at.pop()?;
                }
            }
            first => {
                let module = self.by_path.get(from)?;
                let is_here =
                    self.by_path.contains_key(&below(from, first)) || module.imports(first).is_some();
                if !is_here {
                    return None;
                }
            }
        }
        while let Some(name) = names.next() {
            let child = below(&at, name);
            if self.by_path.contains_key(&child) {
                at = child;
                continue;
            }
            let module = self.by_path.get(&at)?;
            if module.said.defined.contains(name) {
                return Some(&module.file);
            }
            if let Some(import) = module.imports(name) {
                let mut further = import.to_vec();
                further.extend(names.map(str::to_owned));
                return self.resolve(&at, &further, is_certain, steps);
            }
            let all = module.said.imports.iter().filter(|import| import.name == "*");
            let mut found = all.filter_map(|import| {
                let mut further = import.path.clone();
                further.push(name.to_owned());
                self.resolve(&at, &further, true, steps)
            });
            return found
                .next()
                .or_else(|| (at != from && !is_certain).then_some(&*module.file));
        }
        None
    }
}

impl Module {
    /// What a name that is imported here stands for.
    fn imports(&self, name: &str) -> Option<&[String]> {
        let import = self.said.imports.iter().find(|import| import.name == name)?;
        Some(&import.path)
    }
}

fn below(path: &[String], name: &str) -> Vec<String> {
    let mut below = path.to_vec();
    below.push(name.to_owned());
    below
}
