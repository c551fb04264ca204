//! Reads and writes that the kernel may not give back. Each file has at most one of each under way; one
//! that missed its deadline stays on record until the kernel lets it go, and until then nobody else is
//! sent into the same trap. Who does the work (a thread, a process) is not known here.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Read,
    Write,
}

/// One access under way; the switch is set when its caller has given up on it.
#[derive(Debug, Clone, Default)]
struct Flight {
    overdue: Arc<AtomicBool>,
}

impl Flight {
    fn is_overdue(&self) -> bool {
        self.overdue.load(Ordering::SeqCst)
    }
}

type Flights = BTreeMap<(Kind, String), Flight>;

#[derive(Debug, Default)]
struct Board {
    flights: Mutex<Flights>,
    landed: Condvar,
}

impl Board {
    /// The map is whole after every single statement under the lock, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn land(&self, key: &(Kind, String)) {
        self.lock().remove(key);
        self.landed.notify_all();
    }
}

/// What is under way in one kernel tree.
#[derive(Debug, Clone, Default)]
pub struct InFlight {
    board: Arc<Board>,
}

impl InFlight {
    /// Writes by `work` in a thread of its own, for at most `deadline`. A second write to the same file
    /// waits for the first: some files are for all devices (`drivers_probe`), and GPUs are worked on side
    /// by side. Behind one that is overdue it is refused.
    pub fn write(
        &self,
        path: &str,
        deadline: Duration,
        work: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let key = (Kind::Write, path.to_owned());
        let flight = Flight::default();
        {
            let is_overdue = |flights: &Flights| flights.get(&key).is_some_and(Flight::is_overdue);
            let waits = |flights: &mut Flights| flights.contains_key(&key) && !is_overdue(flights);
            let (mut flights, _) = self
                .board
                .landed
                .wait_timeout_while(self.board.lock(), deadline, waits)
                .unwrap_or_else(PoisonError::into_inner);
            if flights.contains_key(&key) {
                return Err(timed_out("an earlier write is still in the kernel"));
            }
            flights.insert(key.clone(), flight.clone());
        }
        self.fly(key, &flight, deadline, work)
    }

    /// Reads by `work` in a thread of its own, for at most `deadline`. Waits for a read under way, but
    /// not for one that is overdue, nor behind a write that is.
    pub fn read(
        &self,
        path: &str,
        deadline: Duration,
        work: impl FnOnce() -> io::Result<Vec<u8>> + Send + 'static,
    ) -> io::Result<Vec<u8>> {
        let key = (Kind::Read, path.to_owned());
        let write = (Kind::Write, path.to_owned());
        let flight = Flight::default();
        let is_overdue = |flights: &Flights| {
            [&key, &write].iter().any(|key| flights.get(key).is_some_and(Flight::is_overdue))
        };
        {
            let flights = self.board.lock();
            let waits = |flights: &mut Flights| flights.contains_key(&key) && !is_overdue(flights);
            let (mut flights, _) = self
                .board
                .landed
                .wait_timeout_while(flights, deadline, waits)
                .unwrap_or_else(PoisonError::into_inner);
            if flights.contains_key(&key) || is_overdue(&flights) {
                return Err(timed_out("an earlier access is still in the kernel"));
            }
            flights.insert(key.clone(), flight.clone());
        }
        self.fly(key, &flight, deadline, work)
    }

    fn fly<T: Send + 'static>(
        &self,
        key: (Kind, String),
        flight: &Flight,
        deadline: Duration,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (answer, answered) = mpsc::sync_channel(1);
        let landing = Landing { board: Arc::clone(&self.board), key };
        std::thread::Builder::new().name("divvy-sysfs".to_owned()).spawn(move || {
            let result = work();
            drop(landing);
            // Nobody listens any more after the deadline; the result is then of no use to anybody.
            let _ = answer.send(result);
        })?;
        match answered.recv_timeout(deadline) {
            Ok(result) => result,
            Err(RecvTimeoutError::Disconnected) => {
                Err(io::Error::other("the access ended without an answer"))
            }
            Err(RecvTimeoutError::Timeout) => {
                flight.overdue.store(true, Ordering::SeqCst);
                // Under the lock, so that no reader is between looking and waiting.
                let _flights = self.board.lock();
                self.board.landed.notify_all();
                Err(timed_out("the kernel did not answer in time"))
            }
        }
    }
}

/// Takes the record away when the work ends, also when it panics or its thread never starts.
struct Landing {
    board: Arc<Board>,
    key: (Kind, String),
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.board.land(&self.key);
    }
}

fn timed_out(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A piece of work that ends when the returned sender is dropped.
    fn stuck() -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
        let (release, released) = mpsc::channel::<()>();
        let work = move || {
            let _ = released.recv();
        };
        (release, work)
    }

    fn hang_a_write(in_flight: &InFlight) -> mpsc::Sender<()> {
        let (release, wait) = stuck();
        let result = in_flight.write("f", Duration::ZERO, move || {
            wait();
            Ok(())
        });
        assert_eq!(result.expect_err("hangs").kind(), io::ErrorKind::TimedOut);
        release
    }

    #[test]
    fn a_write_behind_a_hung_one_is_refused_and_never_made() {
        let in_flight = InFlight::default();
        let _release = hang_a_write(&in_flight);
        let second = in_flight.write("f", LONG, || panic!("was made"));
        assert_eq!(second.expect_err("refused").kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_read_behind_a_hung_write_is_refused_at_once() {
        let in_flight = InFlight::default();
        let _release = hang_a_write(&in_flight);
        let read = in_flight.read("f", LONG, || panic!("was made"));
        assert_eq!(read.expect_err("refused").kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn another_file_is_not_held_up_by_a_hung_write() {
        let in_flight = InFlight::default();
        let _release = hang_a_write(&in_flight);
        assert_eq!(in_flight.read("g", LONG, || Ok(vec![7])).expect("reads"), [7]);
    }

    #[test]
    fn a_write_is_possible_again_when_the_hung_one_came_back() {
        let in_flight = InFlight::default();
        let release = hang_a_write(&in_flight);
        drop(release);
        let flights = in_flight.board.lock();
        let (flights, late) = in_flight
            .board
            .landed
            .wait_timeout_while(flights, LONG, |flights| !flights.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!late.timed_out());
        drop(flights);
        in_flight.write("f", LONG, || Ok(())).expect("writes");
    }

    #[test]
    fn a_second_write_to_a_file_of_all_devices_waits_for_one_that_is_in_time() {
        let in_flight = InFlight::default();
        let (release, wait) = stuck();
        let (started, has_started) = mpsc::channel();
        let other = in_flight.clone();
        let first = std::thread::spawn(move || {
            other.write("f", LONG, move || {
                let _ = started.send(());
                wait();
                Ok(())
            })
        });
        has_started.recv().expect("the first write runs");
        let other = in_flight.clone();
        let second = std::thread::spawn(move || other.write("f", LONG, || Ok(())));
        drop(release);
        first.join().expect("joins").expect("writes");
        second.join().expect("joins").expect("writes");
    }

    #[test]
    fn a_second_reader_waits_for_a_read_that_is_in_time() {
        let in_flight = InFlight::default();
        let (release, wait) = stuck();
        let (started, has_started) = mpsc::channel();
        let other = in_flight.clone();
        let first = std::thread::spawn(move || {
            other.read("f", LONG, move || {
                let _ = started.send(());
                wait();
                Ok(vec![1])
            })
        });
        has_started.recv().expect("the first read runs");
        let other = in_flight.clone();
        let second = std::thread::spawn(move || other.read("f", LONG, || Ok(vec![2])));
        drop(release);
        assert_eq!(first.join().expect("joins").expect("reads"), [1]);
        assert_eq!(second.join().expect("joins").expect("reads"), [2]);
    }
}
