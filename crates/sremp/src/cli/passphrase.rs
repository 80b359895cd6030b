//! Where the passphrase comes from: `SREMP_PASSPHRASE`, `--passphrase-file`, `passphrase_command`
//! in the home's config, or a prompt, in this order.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal as _, Read as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sremp_client::{
    home::{Home, Passphrase},
    view::{CommandError, ErrorKind},
};
use zeroize::Zeroizing;

/// The variable that holds the passphrase.
pub(crate) const VARIABLE: &str = "SREMP_PASSPHRASE";

/// Longest passphrase in bytes: a file given by mistake is not read into memory.
const MAX_PASSPHRASE: u64 = 4096;

/// How often a person may mistype.
const ATTEMPTS: u32 = 3;

/// The source of the passphrase.
pub(crate) struct Unlock {
    file: Option<PathBuf>,
}

impl Unlock {
    /// The source that the options name.
    pub(crate) fn meant(file: Option<PathBuf>) -> Self {
        Self { file }
    }

    /// Opens a home with its passphrase, asking a person at the terminal if nothing else gives it.
    ///
    /// # Errors
    /// [`ErrorKind::Passphrase`] if no source gives the right one; those of `open`.
    pub(crate) fn open<T>(
        &self,
        home: &Home,
        mut open: impl FnMut(&Passphrase) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        let given = match self.given()? {
            None if home.exists() => by_command(home)?,
            given => given,
        };
        if let Some(passphrase) = given {
            return open(&passphrase);
        }
        // A home without a passphrase opens like this; one that has it says so.
        let mut result = open(&Passphrase::None);
        for attempt in 0..ATTEMPTS {
            match &result {
                Err(error) if error.kind == ErrorKind::Passphrase && can_prompt() => {
                    if attempt > 0 {
                        super::failure::tell(error, false);
                    }
                    result = open(&prompt("Passphrase: ")?);
                }
                _ => break,
            }
        }
        result
    }

    /// The passphrase for a home that is being made; a person types it twice.
    ///
    /// # Errors
    /// [`ErrorKind::Passphrase`] if it is empty, mistyped, or comes from nowhere.
    pub(crate) fn choose(&self) -> Result<Passphrase, CommandError> {
        let chosen = match self.given()? {
            Some(passphrase) => passphrase,
            None if can_prompt() => {
                let first = prompt("New passphrase: ")?;
                if text(&first) != text(&prompt("The same again: ")?) {
                    return Err(no("the two passphrases differ; start again"));
                }
                first
            }
            None => {
                return Err(no(
                    "a passphrase is needed and there is no terminal to ask at; set SREMP_PASSPHRASE, \
                     use --passphrase-file, or choose --no-passphrase",
                ));
            }
        };
        match chosen {
            Passphrase::Given(_) => Ok(chosen),
            Passphrase::None => Err(no(
                "the passphrase is empty, which would leave the keys readable; choose one, or say \
                 --no-passphrase",
            )),
        }
    }

    /// From the environment or the file.
    fn given(&self) -> Result<Option<Passphrase>, CommandError> {
        if let Some(value) = std::env::var_os(VARIABLE) {
            let value = value
                .into_string()
                .map_err(|_| no("SREMP_PASSPHRASE is not UTF-8; set it anew"))?;
            return Ok(Some(passphrase(value)));
        }
        self.file.as_deref().map(from_file).transpose()
    }
}

/// The first line of a file or of standard input.
fn from_file(path: &Path) -> Result<Passphrase, CommandError> {
    let read = if path.as_os_str() == "-" {
        first_line(&mut io::stdin().lock())
    } else {
        File::open(path).and_then(|file| first_line(&mut BufReader::new(file)))
    };
    read.map_err(|error| {
        no(format!(
            "the passphrase file {} cannot be read: {error}; check its path and permissions",
            path.display()
        ))
    })
}

/// What `passphrase_command` of the home's config prints.
fn by_command(home: &Home) -> Result<Option<Passphrase>, CommandError> {
    let Some(command) = home.config()?.passphrase_command else {
        return Ok(None);
    };
    let failed = |why: String| {
        no(format!(
            "passphrase_command failed: {why}; run it by hand, or change it in config.toml"
        ))
    };
    let mut child = Command::new("sh")
        .args(["-c", &command])
        .stdin(Stdio::inherit())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let line = match child.stdout.take() {
        Some(stdout) => {
            let mut stdout = BufReader::new(stdout);
            let line = first_line(&mut stdout);
            // A command that prints more must not fail because nobody reads it.
            line.and_then(|line| io::copy(&mut stdout, &mut io::sink()).map(|_| line))
        }
        None => Err(io::ErrorKind::BrokenPipe.into()),
    };
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    line.map(Some).map_err(|error| failed(error.to_string()))
}

fn first_line(from: &mut impl BufRead) -> io::Result<Passphrase> {
    let mut line = Zeroizing::new(String::with_capacity(256));
    from.take(MAX_PASSPHRASE + 1).read_line(&mut line)?;
    if line.len() as u64 > MAX_PASSPHRASE {
        return Err(io::Error::other("its first line is longer than 4096 bytes"));
    }
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(if line.is_empty() {
        Passphrase::None
    } else {
        Passphrase::Given(line)
    })
}

fn can_prompt() -> bool {
    // rpassword reads from the controlling terminal: it would hang where nobody sees the question.
    io::stderr().is_terminal()
}

fn prompt(question: &str) -> Result<Passphrase, CommandError> {
    rpassword::prompt_password(question)
        .map(passphrase)
        .map_err(|error| no(format!("the passphrase cannot be asked for: {error}; set SREMP_PASSPHRASE or use --passphrase-file")))
}

fn passphrase(text: String) -> Passphrase {
    if text.is_empty() {
        Passphrase::None
    } else {
        Passphrase::Given(Zeroizing::new(text))
    }
}

/// The text of a passphrase; empty for none.
pub(crate) fn text(passphrase: &Passphrase) -> &str {
    match passphrase {
        Passphrase::None => "",
        Passphrase::Given(text) => text,
    }
}

fn no(message: impl Into<String>) -> CommandError {
    CommandError::new(ErrorKind::Passphrase, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_counts_and_its_end_does_not() {
        let read = |bytes: &[u8]| first_line(&mut &*bytes).map(|p| text(&p).to_owned());
        assert_eq!(read(b"open sesame\r\nrest").unwrap(), "open sesame");
        assert_eq!(read(b" spaces stay ").unwrap(), " spaces stay ");
        assert_eq!(read(b"\n").unwrap(), "");
        assert!(read(&[b'x'; 4097]).is_err());
        assert!(read(b"\xff").is_err());
    }
}
