//! A thread that waits for word from the kernel and wakes somebody, until it is dropped. It costs nothing
//! while there is no word. What the word is about is known to who makes the watch.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Where word comes from: a file that does not block.
pub(crate) trait Source: AsFd + Send + 'static {
    /// Takes everything that has come, so that a burst wakes once. True: something that matters was in it,
    /// or something was lost.
    fn drain(&mut self) -> Result<bool, Errno>;
}

/// Calls a closure when word comes, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    /// Closing it ends the thread.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn start(
        name: &str,
        mut source: impl Source,
        mut wake: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while wait(&source, &stopped) {
                match source.drain() {
                    Ok(false) => {}
                    Ok(true) => wake(),
                    // Nothing more can be heard; the reader's own regular look is what is left.
                    Err(_) => return wake(),
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A wake closure that panicked has ended the thread already.
            let _ = thread.join();
        }
    }
}

/// Waits until the source has something; false: it is time to end.
fn wait(source: &impl AsFd, stopped: &PipeReader) -> bool {
    loop {
        let mut files =
            [PollFd::new(source.as_fd(), PollFlags::POLLIN), PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
        match poll(&mut files, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            Err(_) => return false,
            Ok(_) => return !files[1].any().unwrap_or(true),
        }
    }
}
