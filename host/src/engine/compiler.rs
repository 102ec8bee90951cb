//! The compiler, in a process of its own: what a stranger's component does to it, it does there.
//!
//! A compiler is the largest program that bytes of a stranger meet, and some bytes take it hours or
//! gigabytes. So the program starts itself again with a hidden command, hands the component to it and
//! takes machine code back, over pipes; the child opens no file and may use so much memory, time of
//! the processor and time on the wall as its class says ([`CompileLimits`]). It holds itself to the
//! first two before it reads anything; the third is the parent's. Where a book comes with the
//! component, the child loads it first, and compiles what that makes of it ([`prepared`]).
//!
//! Who embeds the engine in another program has no such command, and compiles in that program
//! ([`Compiler::Here`]): the binary says which program it is, once ([`this_program`]). Must not know
//! what becomes of the code; `compiled` seals, keeps and loads it.

use super::admission::{self, AdmissionError};
use super::limits::{CompileLimits, LimitClass};
use super::prepared;
use super::sandbox::{Code, Settings};
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread;
use wasmtime::Engine;

/// The hidden command by which a program is its own compiler.
pub const COMMAND: &str = "compile-component";

/// First byte of the child's output: machine code follows; before it, of a prepared component, where
/// the policy lies.
const CODE: u8 = b'+';

/// Bytes that say how long the component is, before it and its book.
const LENGTH_BYTES: usize = 8;

/// Bytes that say where a prepared policy lies.
const PLACE_BYTES: usize = 4;

/// First byte of the child's output: what is wrong with the component follows.
const REFUSED: u8 = b'-';

/// What Rust says before it aborts for want of memory.
const OUT_OF_MEMORY: &str = "memory allocation of ";

/// What the system says where it gives no memory to map.
const NO_MEMORY: &str = "Cannot allocate memory";

/// How much the child gives way to the calls of its parent.
const NICENESS: i32 = 10;

/// More of the child's complaints is not read.
const COMPLAINTS_BYTES_MAX: u64 = 64 << 10;

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Says that the running program has the command [`COMMAND`], so that its engines use it.
pub fn this_program() {
    // Linux keeps the file of a running program, also where another one was put in its place.
    let of_linux = PathBuf::from("/proc/self/exe");
    let program = if of_linux.exists() {
        Ok(of_linux)
    } else {
        std::env::current_exe()
    };
    if let Ok(program) = program {
        // Said twice, it is the same program.
        let _ = PROGRAM.set(program);
    }
}

/// Where components are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In this process, without limits.
    Here,
    /// In a process of its own.
    Process {
        /// A program that has the command.
        program: PathBuf,
        /// Absent: those of the component's class.
        limits: Option<CompileLimits>,
    },
}

/// What compiling a component took more of than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// Memory.
    Memory(CompileLimits),
    /// Time of the processor.
    Cpu(CompileLimits),
    /// Time on the wall.
    Time(CompileLimits),
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(limits) => write!(f, "{} bytes of memory", limits.memory_bytes),
            Self::Cpu(limits) => write!(f, "{} seconds of a processor", limits.cpu_seconds),
            Self::Time(limits) => write!(f, "{} milliseconds", limits.time.as_millis()),
        }
    }
}

impl Compiler {
    /// In a process of its own where the running program can be one.
    pub fn of_this_program() -> Self {
        PROGRAM.get().map_or(Self::Here, |program| Self::Process {
            program: program.clone(),
            limits: None,
        })
    }

    /// The machine code of a component.
    ///
    /// # Errors
    /// `Invalid`; `CompileLimit`, `CompilerFailed` and `NoCompiler` of a process.
    pub fn code(&self, settings: Settings, component: &[u8]) -> Result<Vec<u8>, AdmissionError> {
        match self {
            Self::Here => compile(settings, component).map_err(AdmissionError::Invalid),
            Self::Process { program, limits } => {
                in_process(program, *limits, settings, [component, &[]])
            }
        }
    }

    /// The machine code of a component that has its book. Nothing where there is no process for it: a
    /// policy of a stranger does not run here while nobody holds it to any time.
    ///
    /// # Errors
    /// As [`Self::code`]; `Invalid` as well of a component that cannot be prepared.
    pub fn prepared(
        &self,
        settings: Settings,
        component: &[u8],
        book: &[u8],
    ) -> Result<Option<PreparedCode>, AdmissionError> {
        let Self::Process { program, limits } = self else {
            return Ok(None);
        };
        let output = in_process(program, *limits, settings, [component, book])?;
        PreparedCode::read(&output)
            .map(Some)
            .ok_or_else(|| AdmissionError::CompilerFailed("it said too little".to_owned()))
    }
}

/// Machine code of a component that has its book.
pub struct PreparedCode {
    /// Where the policy lies in each instance.
    pub place: u32,
    /// The code.
    pub code: Vec<u8>,
}

impl PreparedCode {
    /// Both in one, as they are passed on and kept.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.place.to_le_bytes().as_slice(), &self.code].concat()
    }

    /// Nothing where it is too short.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (place, code) = bytes.split_first_chunk::<PLACE_BYTES>()?;
        Some(Self {
            place: u32::from_le_bytes(*place),
            code: code.to_vec(),
        })
    }
}

fn words(settings: Settings, limits: CompileLimits) -> [String; 6] {
    [
        COMMAND.to_owned(),
        settings.class.name().to_owned(),
        settings.code.name().to_owned(),
        settings.addresses.to_string(),
        limits.memory_bytes.to_string(),
        limits.cpu_seconds.to_string(),
    ]
}

/// What the command is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    settings: Settings,
    limits: CompileLimits,
}

impl Order {
    /// Reads what follows the command; nothing where it is no order.
    pub fn read(words: &[String]) -> Option<Self> {
        let [class, code, addresses, memory_bytes, cpu_seconds] = words else {
            return None;
        };
        let class = LimitClass::ALL
            .into_iter()
            .find(|known| known.name() == class)?;
        Some(Self {
            settings: Settings {
                class,
                code: Code::ALL.into_iter().find(|known| known.name() == code)?,
                addresses: addresses.parse().ok()?,
            },
            limits: CompileLimits {
                memory_bytes: memory_bytes.parse().ok()?,
                cpu_seconds: cpu_seconds.parse().ok()?,
                ..class.limits().compile
            },
        })
    }

    /// The child's life: limits, component in, machine code out.
    ///
    /// # Errors
    /// A limit cannot be set, or a pipe is closed.
    pub fn run(self, mut input: impl Read, mut output: impl Write) -> io::Result<()> {
        let limit = |resource, most: u64| {
            let most = Rlimit {
                current: Some(most),
                // At the lower one the system says what the limit was, at this one it only kills.
                maximum: Some(most.saturating_add(1)),
            };
            setrlimit(resource, most)
        };
        // Beside calls that are priced meanwhile. Where the system does not let it, it works as they do.
        let _ = rustix::process::nice(NICENESS);
        limit(Resource::As, self.limits.memory_bytes)?;
        limit(Resource::Cpu, self.limits.cpu_seconds)?;
        limit(Resource::Fsize, 0)?;
        limit(Resource::Core, 0)?;
        let mut length = [0; LENGTH_BYTES];
        input.read_exact(&mut length)?;
        let mut component = Vec::new();
        input.read_to_end(&mut component)?;
        let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
        let book = component.split_off(length.min(component.len()));
        let made = if book.is_empty() {
            compile(self.settings, &component)
        } else {
            compile_prepared(self.settings, &component, &book).map(|code| code.to_bytes())
        };
        match made {
            Ok(code) => {
                output.write_all(&[CODE])?;
                output.write_all(&code)?;
            }
            Err(reason) => {
                output.write_all(&[REFUSED])?;
                output.write_all(reason.as_bytes())?;
            }
        }
        output.flush()
    }
}

fn compile(settings: Settings, component: &[u8]) -> Result<Vec<u8>, String> {
    let compiled =
        Engine::new(&settings.config()).and_then(|engine| engine.precompile_component(component));
    compiled.map_err(|error| said(&error))
}

fn compile_prepared(
    settings: Settings,
    component: &[u8],
    book: &[u8],
) -> Result<PreparedCode, String> {
    let prepared = prepared::prepare(settings, component, book).map_err(|error| said(&error))?;
    Ok(PreparedCode {
        place: prepared.place,
        code: compile(settings, &prepared.component)?,
    })
}

fn said(error: &wasmtime::Error) -> String {
    admission::one_line(&format!("{error:#}"))
}

/// What a child left behind.
struct Left {
    /// Absent: it was ended for want of time.
    output: Option<Vec<u8>>,
    complaints: Vec<u8>,
    status: ExitStatus,
}

/// Hands a component, and its book where there is one, to a child, and takes what it makes of them.
fn in_process(
    program: &Path,
    limits: Option<CompileLimits>,
    settings: Settings,
    sources: [&[u8]; 2],
) -> Result<Vec<u8>, AdmissionError> {
    let limits = limits.unwrap_or(settings.class.limits().compile);
    let mut command = Command::new(program);
    command
        .args(words(settings, limits))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // A system that gives no process says nothing of the component.
    let left = command
        .spawn()
        .and_then(|child| attend(child, limits, sources))
        .map_err(|error| AdmissionError::NoCompiler(error.to_string()))?;
    let complaints = String::from_utf8_lossy(&left.complaints);
    let exceeded =
        |what: fn(CompileLimits) -> Exceeded| Err(AdmissionError::CompileLimit(what(limits)));
    let Some(output) = left.output else {
        return exceeded(Exceeded::Time);
    };
    match output.split_first() {
        Some((&CODE, code)) if left.status.success() => Ok(code.to_vec()),
        Some((&REFUSED, reason)) if left.status.success() => {
            let reason = String::from_utf8_lossy(reason);
            if reason.contains(NO_MEMORY) {
                return exceeded(Exceeded::Memory);
            }
            Err(AdmissionError::Invalid(reason.into_owned()))
        }
        _ if left.status.signal() == Some(Signal::XCPU.as_raw()) => exceeded(Exceeded::Cpu),
        _ if complaints.contains(OUT_OF_MEMORY) || complaints.contains(NO_MEMORY) => {
            exceeded(Exceeded::Memory)
        }
        _ => {
            let first = complaints.lines().next().unwrap_or_default();
            let ended = format!("{}: {first}", left.status);
            // Somebody ended it: the system, for want of memory, or an operator.
            let ended_by = left.status.signal();
            let outside = [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP];
            if outside
                .iter()
                .any(|signal| ended_by == Some(signal.as_raw()))
            {
                return Err(AdmissionError::NoCompiler(ended));
            }
            Err(AdmissionError::CompilerFailed(ended))
        }
    }
}

/// Hands everything over, and waits no longer than the limit says.
fn attend(mut child: Child, limits: CompileLimits, sources: [&[u8]; 2]) -> io::Result<Left> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        let beside = || thread::Builder::new();
        beside().spawn_scoped(scope, move || {
            // A child that ended early has said why.
            stdin.map(|stdin| hand_over(stdin, sources))
        })?;
        let complaints = beside().spawn_scoped(scope, move || {
            let mut read = Vec::new();
            let stderr = stderr.map(|stderr| stderr.take(COMPLAINTS_BYTES_MAX));
            let _whatever_came = stderr.map(|mut stderr| stderr.read_to_end(&mut read));
            read
        })?;
        let (done, output) = mpsc::sync_channel(1);
        beside().spawn_scoped(scope, move || {
            let mut read = Vec::new();
            let _whatever_came = stdout.map(|mut stdout| stdout.read_to_end(&mut read));
            // Nobody waits for what comes too late.
            let _ = done.send(read);
        })?;
        let output = output.recv_timeout(limits.time).ok();
        if output.is_none() {
            child.kill()?;
        }
        let status = child.wait()?;
        Ok(Left {
            output,
            complaints: complaints.join().unwrap_or_default(),
            status,
        })
    })
}

fn hand_over(mut to: impl Write, [component, book]: [&[u8]; 2]) -> io::Result<()> {
    to.write_all(&(component.len() as u64).to_le_bytes())?;
    to.write_all(component)?;
    to.write_all(book)
}

#[cfg(test)]
mod tests {
    use super::super::sandbox::Sandboxes;
    use super::*;
    use std::hash::{DefaultHasher, Hash, Hasher};

    #[test]
    fn an_order_is_read_as_it_was_written() {
        for class in LimitClass::ALL {
            let settings = Settings {
                class,
                code: Code::Plain,
                addresses: 4 << 30,
            };
            let limits = class.limits().compile;
            let words = words(settings, limits);
            assert_eq!(words[0], COMMAND);
            assert_eq!(Order::read(&words[1..]), Some(Order { settings, limits }));
        }
        for wrong in [
            &[][..],
            &["native", "fast", "1", "2"],
            &["odd", "fast", "1", "2", "3"],
            &["native", "odd", "1", "2", "3"],
        ] {
            let words: Vec<String> = wrong.iter().map(ToString::to_string).collect();
            assert_eq!(Order::read(&words), None);
        }
    }

    #[test]
    fn the_compiler_makes_what_the_sandbox_runs() {
        let hash = |engine: &Engine| {
            let mut hasher = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        let sandboxes = Sandboxes::new().unwrap();
        for class in LimitClass::ALL {
            let both = [sandboxes.of(class), sandboxes.second(class)];
            for sandbox in both {
                let compiler = Engine::new(&sandbox.settings.config()).unwrap();
                assert_eq!(hash(&compiler), hash(&sandbox.engine));
            }
            let [served, second] = both.map(|sandbox| hash(&sandbox.engine));
            assert_ne!(served, second);
        }
    }
}
