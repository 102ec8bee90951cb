//! Where the peers run: a virtual environment of pinned versions, their price files unpacked, and
//! the calls that `shapes.py` makes of them.

use super::{Peer, prices};
use crate::python;
use crate::step::{self, note};
use anyhow::{Result, bail};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A call that all are asked for the price of.
#[derive(Debug, Deserialize)]
pub struct Call {
    /// What it shows; `recorded` for a recorded response.
    pub shape: String,
    /// Who is asked for it at LiteLLM.
    pub litellm: Named,
    /// Who is asked for it at genai-prices.
    pub genai: Named,
    /// The line that `farebox rate` reads, for the book of each peer.
    pub books: BTreeMap<String, Box<RawValue>>,
    /// The line of the recording.
    pub line: Option<u64>,
    /// The call as `shapes.py` wrote it: what the peers read.
    #[serde(skip)]
    pub text: String,
}

/// Provider and model in a peer's words.
#[derive(Debug, Deserialize)]
pub struct Named {
    /// The provider's id.
    pub provider: String,
    /// The model's name.
    pub model: String,
}

impl Call {
    /// Provider and model in the words of `peer`.
    pub const fn named(&self, peer: Peer) -> &Named {
        match peer {
            Peer::Litellm => &self.litellm,
            Peer::GenaiPrices => &self.genai,
        }
    }
}

/// The environment, set up.
pub struct Environment {
    folder: PathBuf,
    scripts: PathBuf,
}

impl Environment {
    /// Makes the environment below `target/peers`, or finds it as it was made for the same
    /// requirements.
    ///
    /// # Errors
    /// There is no Python with `venv`, or a package cannot be had.
    pub fn set_up(root: &Path) -> Result<Self> {
        let environment = Self {
            folder: root.join("target/peers"),
            scripts: root.join("tests/peers"),
        };
        std::fs::create_dir_all(&environment.folder)?;
        let requirements = environment.scripts.join("requirements.txt");
        python::install(&environment.folder, &requirements, "some minutes, once")?;
        for peer in Peer::ALL {
            prices::unpack(root, peer, &environment.folder)?;
        }
        let responses = root.join("tests/data/responses.jsonl");
        prices::unpack_file(&responses, &environment.responses())?;
        Ok(environment)
    }

    /// A file of this environment.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The price file of a peer, unpacked.
    pub fn prices(&self, peer: Peer) -> PathBuf {
        self.file(peer.prices())
    }

    fn responses(&self) -> PathBuf {
        self.file("responses.jsonl")
    }

    /// One of the scripts of `tests/peers`, by the environment's Python.
    pub fn script(&self, name: &str) -> Command {
        let mut command = Command::new(python::python(&self.folder));
        command
            .arg(self.scripts.join(name))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // What a user's own Python is told is not told to this one.
            .env_remove("PYTHONPATH")
            .env_remove("PYTHONHOME");
        command
    }

    /// Every call, as `shapes.py` makes them of both files and the recording.
    ///
    /// # Errors
    /// The script fails, or writes something else.
    pub fn calls(&self) -> Result<Vec<Call>> {
        let written = step::output(
            self.script("shapes.py")
                .arg(self.prices(Peer::Litellm))
                .arg(self.prices(Peer::GenaiPrices))
                .arg(self.responses()),
        )?;
        let calls: Vec<Call> = written
            .lines()
            .map(|line| {
                let mut call: Call = serde_json::from_str(line)?;
                line.clone_into(&mut call.text);
                Ok(call)
            })
            .collect::<Result<_>>()?;
        if calls.is_empty() {
            bail!("the peers know no model in common");
        }
        let recorded = calls.iter().filter(|call| call.line.is_some()).count();
        note(&format!(
            "{} calls, {recorded} of them recorded",
            calls.len()
        ));
        Ok(calls)
    }
}
