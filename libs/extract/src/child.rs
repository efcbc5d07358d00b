//! The child's side of the sandbox: limits and walls first, then extraction.

use crate::children::{ChildDocument, Children, Keep};
use crate::confine::{Confinement, confine};
use crate::error::ExtractError;
use crate::formats::{Format, Input, extract_with};
use crate::ocr::Ocr;
use crate::room::Room;
use crate::wire::{self, Answer, Order, Outcome};
use carrel_domain::text::Rendition;
use rustix::process::{Resource, Rlimit, getppid, setrlimit};
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

/// The first argument that makes a program an extraction child.
pub const CHILD_ARGUMENT: &str = "extract-child";

/// The only variable that the child is given besides its locale: an [`Order`] as JSON.
pub(crate) const ORDER_VARIABLE: &str = "CARREL_EXTRACT_ORDER";

/// Stack of every thread that extracts. The readers of formats recurse into what is nested.
pub(crate) const STACK_BYTES: usize = 64 << 20;

/// How often the child looks whether its parent still lives.
const PARENT_CHECK: Duration = Duration::from_millis(500);

/// True when this process was started as an extraction child. Ask before anything else happens in `main`, then
/// return [`child_main`].
pub fn is_child() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == CHILD_ARGUMENT)
}

/// Extracts the file on standard input and writes the answer to standard output, under limits that this process
/// sets on itself first. Never returns to normal work: the process must exit with the returned code.
pub fn child_main() -> ExitCode {
    child_main_with(&[])
}

/// [`child_main`] with further formats, which are asked before the built-in ones.
pub fn child_main_with(extra: &[&dyn Format]) -> ExitCode {
    // Whoever panics may have words of the document in its message.
    std::panic::set_hook(Box::new(|_| {}));
    let mut confinement = Confinement::default();
    let (result, children) = match order().and_then(|order| limit(&order).map(|()| order)) {
        Ok(order) => {
            confinement = confine(order.ocr.program.as_deref());
            leave_with_parent();
            work(&order, extra)
        }
        Err(error) => (Outcome::Failed(error), Vec::new()),
    };
    let Ok(answer) = serde_json::to_vec(&Answer { result, children, confinement }) else { return ExitCode::FAILURE };
    let mut stdout = std::io::stdout().lock();
    let written = wire::write(&mut stdout, wire::ANSWER, &answer).is_ok() && stdout.flush().is_ok();
    if written { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn order() -> Result<Order, ExtractError> {
    let json = std::env::var(ORDER_VARIABLE).map_err(|_| sandbox("the order is missing"))?;
    serde_json::from_str(&json).map_err(|_| sandbox("the order is malformed"))
}

/// Gives up what a reader of documents does not need. What a forked process inherits is limited alike.
fn limit(order: &Order) -> Result<(), ExtractError> {
    let limits = [
        (Resource::As, order.memory_bytes),
        (Resource::Cpu, order.cpu_seconds),
        // Writing to any file but a pipe ends the process.
        (Resource::Fsize, 0),
        (Resource::Nofile, 64),
        (Resource::Core, 0),
    ];
    for (resource, limit) in limits {
        // At the lower limit on CPU time comes a signal that tells; at the upper one the kernel just kills.
        let upper = if resource == Resource::Cpu { limit.saturating_add(2) } else { limit };
        let rlimit = Rlimit { current: Some(limit), maximum: Some(upper) };
        setrlimit(resource, rlimit).map_err(|_| sandbox("a limit cannot be set"))?;
    }
    #[cfg(target_os = "linux")]
    rustix::thread::set_no_new_privs(true).map_err(|_| sandbox("privileges cannot be given up"))?;
    Ok(())
}

/// Ends this process when its parent is gone. The kernel's parent-death signal would fire as soon as the parent's
/// thread that started this process ends, which threads of an async runtime may do at any time.
fn leave_with_parent() {
    let parent = getppid();
    std::thread::spawn(move || {
        while getppid() == parent {
            std::thread::sleep(PARENT_CHECK);
        }
        std::process::exit(1);
    });
}

fn work(order: &Order, extra: &[&dyn Format]) -> (Outcome, Vec<ChildDocument>) {
    let result = std::thread::scope(|scope| {
        let extraction = std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || catch_unwind(AssertUnwindSafe(|| extract(order, extra))));
        match extraction.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(Ok(result))) => result,
            Ok(_) => Err(ExtractError::Crashed { detail: "a reader panicked".into() }),
            Err(_) => Err(sandbox("no thread can be started")),
        }
    });
    match result {
        Ok((rendition, children)) => (Outcome::Done(rendition), children),
        Err(error) => (Outcome::Failed(error), Vec::new()),
    }
}

fn extract(order: &Order, extra: &[&dyn Format]) -> Result<(Rendition, Vec<ChildDocument>), ExtractError> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .take(order.limits.input_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| sandbox("the file cannot be read"))?;
    let mut keep = |bytes: &[u8]| wire::write(&mut std::io::stdout().lock(), wire::CHILD, bytes);
    let keep: Option<Keep<'_>> = if order.keep_children { Some(&mut keep) } else { None };
    let mut room = Room {
        limits: order.limits,
        depth: order.depth,
        children: Children::new(&order.limits, keep),
        ocr: Ocr::new(&order.ocr),
    };
    let rendition = extract_with(&Input::new(&bytes, order.name.as_deref()), &mut room, extra)?;
    Ok((rendition, room.children.into_found()))
}

fn sandbox(detail: &str) -> ExtractError {
    ExtractError::Sandbox { detail: detail.to_owned() }
}
