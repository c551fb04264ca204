//! One file per verb. Each asks the server one question or a few and prints the answer; what they share
//! stands here and in [`change`].

pub mod gpu;
pub mod partition;
pub mod vm;

pub mod assign;
pub mod change;
pub mod dda;
pub mod pool;
pub mod unassign;

pub mod check;
pub mod events;
pub mod explain;
pub mod job;
pub mod sim;
pub mod usage;
pub mod webhook;

pub mod completions;
pub mod man;
pub mod version;

use divvy_api::client::Client;

use crate::cli::{Cli, Command};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::print::Printer;
use crate::settings::{self, Environment};
use crate::tell;

/// What a command needs: whom to ask and where to print.
pub struct Context {
    pub client: Client,
    pub print: Printer,
}

/// Runs one command and tells what went wrong, if anything did.
pub fn run(cli: &Cli) -> Exit {
    let format = cli.global.output;
    let outcome = match &cli.command {
        Command::Completions(completions) => completions.run(&mut Printer::new(format)),
        Command::Man(man) => man.run(&mut Printer::new(format)),
        asking => ask(cli, asking),
    };
    outcome.unwrap_or_else(|failure| {
        tell::error(&failure.problem(), format);
        failure.exit()
    })
}

fn ask(cli: &Cli, command: &Command) -> Result<Exit, Failure> {
    let client = settings::client(&cli.global, Environment::read())?;
    // One thread: a command waits for one answer at a time, and starts in a few milliseconds.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
    let mut context = Context { client, print: Printer::new(cli.global.output) };
    let outcome = runtime.block_on(dispatch(command, &mut context));
    // Looking up an address may still be under way on a thread of its own; nobody waits for it.
    runtime.shutdown_background();
    outcome
}

async fn dispatch(command: &Command, cx: &mut Context) -> Result<Exit, Failure> {
    match command {
        Command::Gpu(gpu) => gpu.run(cx).await,
        Command::Partition(partition) => partition.run(cx).await,
        Command::Vm(vm) => vm.run(cx).await,
        Command::Assign(assign) => assign.run(cx).await,
        Command::Unassign(unassign) => unassign.run(cx).await,
        Command::Dda(dda) => dda.run(cx).await,
        Command::Pool(pool) => pool.run(cx).await,
        Command::Check(check) => check.run(cx).await,
        Command::Usage(usage) => usage.run(cx).await,
        Command::Explain(explain) => explain.run(cx).await,
        Command::Events(events) => events.run(cx).await,
        Command::Webhook(webhook) => webhook.run(cx).await,
        Command::Job(job) => job.run(cx).await,
        Command::Sim(sim) => sim.run(cx).await,
        Command::Version(version) => version.run(cx).await,
        Command::Completions(completions) => completions.run(&mut cx.print),
        Command::Man(man) => man.run(&mut cx.print),
    }
}

impl Context {
    /// Prints a list; when it is empty, people are told what to check.
    fn list<T: serde::Serialize>(
        &mut self,
        list: &[T],
        table: impl FnOnce(&[T]) -> String,
        when_empty: &str,
    ) -> Result<Exit, Failure> {
        self.print.document(list, table)?;
        if list.is_empty() && self.print.is_for_people() {
            tell::note(when_empty);
        }
        Ok(Exit::Done)
    }
}
