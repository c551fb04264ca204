"""What a made-up request cannot know: a key that nobody used, the present version of a thing, that a wait is
a wait, and the words of a fault. Everything else is sent as it was made up."""

import itertools
import re

import schemathesis

_numbers = itertools.count()
_KEY = re.compile(r"[!-~]{1,64}")
_VERSION = re.compile(r'(\*|"[!#-~]*")?')


@schemathesis.hook
def before_call(context, case, kwargs):
    headers = case.headers
    if headers is not None and _KEY.fullmatch(str(headers.get("Idempotency-Key", ""))):
        headers["Idempotency-Key"] = f"made-up-{next(_numbers)}"
    if headers is not None and _VERSION.fullmatch(str(headers.get("If-Match", "-"))):
        headers["If-Match"] = "*"
    if case.query and str(case.query.get("wait_ms", "")).isdigit():
        case.query["wait_ms"] = min(int(case.query["wait_ms"]), 10)
    if isinstance(case.body, dict) and isinstance(case.body.get("fault"), str):
        case.body["fault"] = "clear"
