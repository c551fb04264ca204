//! PAM's C functions, found at run time, behind one safe function: does this password open this account?
//! A missing library or function is an ordinary error. This runs in the helper process only: modules of
//! PAM are other people's code, and the daemon has none of it in its memory.
//!
//! Who may sign in, and what a refusal is told, is not known here.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr;

use zeroize::Zeroizing;

const SUCCESS: c_int = 0;
const OPEN_ERR: c_int = 1;
const SYMBOL_ERR: c_int = 2;
const SERVICE_ERR: c_int = 3;
const SYSTEM_ERR: c_int = 4;
const BUF_ERR: c_int = 5;
const CONV_ERR: c_int = 19;
const ABORT: c_int = 26;
const MODULE_UNKNOWN: c_int = 28;
const BAD_ITEM: c_int = 29;

const ITEM_TTY: c_int = 3;
const ITEM_RHOST: c_int = 4;
const ITEM_FAIL_DELAY: c_int = 10;

const SILENT: c_int = 0x8000;
const DISALLOW_NULL_AUTHTOK: c_int = 0x1;

const PROMPT_ECHO_OFF: c_int = 1;
const ERROR_MSG: c_int = 3;
const TEXT_INFO: c_int = 4;
/// Most messages that modules send at once, by PAM's own header.
const MESSAGES: c_int = 32;

#[repr(C)]
struct Message {
    style: c_int,
    text: *const c_char,
}

#[repr(C)]
struct Response {
    text: *mut c_char,
    code: c_int,
}

type Converse = extern "C" fn(c_int, *mut *const Message, *mut *mut Response, *mut c_void) -> c_int;

#[repr(C)]
struct Conversation {
    converse: Converse,
    data: *mut c_void,
}

/// PAM's own record of one attempt; only PAM looks inside.
#[repr(C)]
struct Handle {
    _private: [u8; 0],
}

unsafe extern "C" {
    fn calloc(count: usize, size: usize) -> *mut c_void;
    fn strdup(text: *const c_char) -> *mut c_char;
    fn free(memory: *mut c_void);
}

/// Who wants in.
pub struct Attempt<'a> {
    /// The name of the file in `/etc/pam.d`.
    pub service: &'a str,
    pub user: &'a str,
    pub password: &'a str,
    /// Where the attempt comes from, for PAM's rules and its log.
    pub source: &'a str,
}

/// What PAM says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    /// The account, or this attempt, is not good: which function said so, and its code.
    Refused {
        call: &'static str,
        code: i32,
    },
}

/// Why PAM cannot say anything.
#[derive(Debug, thiserror::Error)]
pub enum PamError {
    #[error("{name} cannot be loaded")]
    Open { name: String, source: libloading::Error },
    #[error("the library has no {name}")]
    Symbol { name: &'static str, source: libloading::Error },
    #[error("a text holds a zero byte")]
    Zero,
    #[error("{call} answers {code}")]
    Broken { call: &'static str, code: i32 },
}

type StartFn =
    unsafe extern "C" fn(*const c_char, *const c_char, *const Conversation, *mut *mut Handle) -> c_int;
type StepFn = unsafe extern "C" fn(*mut Handle, c_int) -> c_int;
type SetItemFn = unsafe extern "C" fn(*mut Handle, c_int, *const c_void) -> c_int;

/// The functions that are used. The library is never unloaded: the process ends after one attempt.
struct Library {
    start: StartFn,
    end: StepFn,
    authenticate: StepFn,
    account: StepFn,
    set_item: SetItemFn,
}

fn symbol<F: Copy>(library: &libloading::Library, name: &'static str) -> Result<F, PamError> {
    // SAFETY: every use below writes the type that PAM's public header gives to this name.
    let found = unsafe { library.get::<F>(name) };
    found.map(|found| *found).map_err(|source| PamError::Symbol { name, source })
}

impl Library {
    fn load(name: &str) -> Result<Self, PamError> {
        // SAFETY: libpam's initialisers have no preconditions.
        let opened = unsafe { libloading::Library::new(name) };
        let opened = opened.map_err(|source| PamError::Open { name: name.to_owned(), source })?;
        let library = Box::leak(Box::new(opened));
        Ok(Self {
            start: symbol(library, "pam_start")?,
            end: symbol(library, "pam_end")?,
            authenticate: symbol(library, "pam_authenticate")?,
            account: symbol(library, "pam_acct_mgmt")?,
            set_item: symbol(library, "pam_set_item")?,
        })
    }
}

/// The answers that the conversation has to give. The password is given once: a module that asks for
/// more than a password (a second factor, a new password) gets nothing.
struct Answers {
    password: Zeroizing<Vec<u8>>,
    is_given: bool,
}

/// Tries the password. Modules wait after a wrong one; here they do not, because who called us makes every
/// refusal take the same time.
pub fn attempt(library: &str, attempt: &Attempt<'_>) -> Result<Verdict, PamError> {
    let text = |text: &str| CString::new(text).map_err(|_| PamError::Zero);
    let (service, user, source) = (text(attempt.service)?, text(attempt.user)?, text(attempt.source)?);
    let mut password = Zeroizing::new(Vec::with_capacity(attempt.password.len() + 1));
    password.extend_from_slice(attempt.password.as_bytes());
    password.push(0);
    CStr::from_bytes_with_nul(&password).map_err(|_| PamError::Zero)?;
    let mut answers = Answers { password, is_given: false };
    let library = Library::load(library)?;
    let conversation = Conversation { converse, data: ptr::from_mut(&mut answers).cast() };
    let mut handle = ptr::null_mut();
    // SAFETY: the texts and the conversation with its answers outlive the handle, which ends below.
    let code = unsafe { (library.start)(service.as_ptr(), user.as_ptr(), &conversation, &mut handle) };
    if code != SUCCESS {
        return Err(PamError::Broken { call: "pam_start", code });
    }
    let verdict = judge(&library, handle, &source);
    // SAFETY: the handle comes from pam_start and is not used after this.
    unsafe { (library.end)(handle, SUCCESS) };
    verdict
}

fn judge(library: &Library, handle: *mut Handle, source: &CStr) -> Result<Verdict, PamError> {
    let delay: extern "C" fn(c_int, c_uint, *mut c_void) = no_delay;
    let items: [(c_int, *const c_void); 3] = [
        (ITEM_RHOST, source.as_ptr().cast()),
        (ITEM_TTY, c"divvy".as_ptr().cast()),
        (ITEM_FAIL_DELAY, delay as *const c_void),
    ];
    for (item, value) in items {
        // SAFETY: the handle is alive; texts are copied, and a function is there as long as the program.
        let code = unsafe { (library.set_item)(handle, item, value) };
        // Another PAM than Linux's knows no delay to be taken away.
        if code != SUCCESS && !(item == ITEM_FAIL_DELAY && code == BAD_ITEM) {
            return Err(PamError::Broken { call: "pam_set_item", code });
        }
    }
    let steps = [("pam_authenticate", library.authenticate), ("pam_acct_mgmt", library.account)];
    for (call, step) in steps {
        // SAFETY: the handle is alive.
        match unsafe { step(handle, SILENT | DISALLOW_NULL_AUTHTOK) } {
            SUCCESS => {}
            // PAM itself is not as it should be; that says nothing about the account.
            code @ (OPEN_ERR | SYMBOL_ERR | SERVICE_ERR | SYSTEM_ERR | BUF_ERR | ABORT | MODULE_UNKNOWN) => {
                return Err(PamError::Broken { call, code });
            }
            code => return Ok(Verdict::Refused { call, code }),
        }
    }
    Ok(Verdict::Accepted)
}

extern "C" fn no_delay(_: c_int, _: c_uint, _: *mut c_void) {}

/// What modules call to ask for the password.
extern "C" fn converse(
    count: c_int,
    messages: *mut *const Message,
    responses: *mut *mut Response,
    data: *mut c_void,
) -> c_int {
    let Ok(length) = usize::try_from(count) else { return CONV_ERR };
    if !(1..=MESSAGES).contains(&count) || messages.is_null() || responses.is_null() || data.is_null() {
        return CONV_ERR;
    }
    // SAFETY: `data` is the `Answers` of `attempt`, which waits in a call of PAM and touches nothing.
    let answers = unsafe { &mut *data.cast::<Answers>() };
    // SAFETY: calloc has no preconditions; zeroed responses are responses without a text.
    let made = unsafe { calloc(length, size_of::<Response>()) }.cast::<Response>();
    if made.is_null() {
        return BUF_ERR;
    }
    for at in 0..length {
        // SAFETY: PAM gives `count` messages, and Linux-PAM gives them as an array of pointers.
        let message = unsafe { *messages.add(at) };
        // SAFETY: a message that is not null is one.
        let style = if message.is_null() { 0 } else { unsafe { (*message).style } };
        let text = match style {
            ERROR_MSG | TEXT_INFO => continue,
            PROMPT_ECHO_OFF if !answers.is_given => {
                answers.is_given = true;
                // SAFETY: the password ends with its only zero byte. Whoever gets the copy frees it.
                unsafe { strdup(answers.password.as_ptr().cast()) }
            }
            _ => ptr::null_mut(),
        };
        if text.is_null() {
            forget(made, length);
            return CONV_ERR;
        }
        // SAFETY: `made` has `length` responses.
        unsafe { (*made.add(at)).text = text };
    }
    // SAFETY: it is not null, and PAM owns what is put there.
    unsafe { *responses = made };
    SUCCESS
}

/// Frees responses that nobody gets.
fn forget(responses: *mut Response, length: usize) {
    for at in 0..length {
        // SAFETY: every text is null or a copy of our own, used by nobody else; its bytes up to its zero
        // are ours to write.
        unsafe {
            let text = (*responses.add(at)).text;
            if !text.is_null() {
                ptr::write_bytes(text, 0, CStr::from_ptr(text).count_bytes());
                free(text.cast());
            }
        }
    }
    // SAFETY: the responses come from calloc and are not used after this.
    unsafe { free(responses.cast()) };
}
