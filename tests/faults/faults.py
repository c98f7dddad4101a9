"""What goes wrong between a client and a platform, each in a few lines."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from collections.abc import Awaitable, Callable

from .proxy import Exchange, Fault

_HUGE = 3_000_000
_GARBAGE = (
    b"220 mail.test ESMTP ready\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    b"HTTP/1.1 two hundred OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000 + b"\r\n\r\n",
    b"HTTP/9.9 200 OK\r\n\r\n",
    b"\r\n\r\n\r\n",
    b"\0" * 64,
)
_NO_JSON = (
    b"",
    b"{",
    b"\xff\xfe{}",
    b"NaN,",
    b"[" * 100_000,
    b'{"id":' * 50_000,
    b"null",
    b"[]",
    b'"text"',
    b"17",
    b"1" * 5_000,
    b'{"id": "\\ud800"',
    b'[{"id": 1}, 2, null]',
)
# What a platform, or something before it, may say about when to come back.
_LATER = ("0", "1", "7.5", "Wed, 21 Oct 2015 07:28:00 GMT")
_ODD_LATER = ("soon", "-1", "nan", "inf", "1e999", "9" * 400, "", "\u00b2", "0x10", "Wed, 99 Foo")
_ODD_STATUS = (199, 204, 205, 299, 304, 399, 418, 499, 599, 999)
_REDIRECTS = (b"", b"/", b"http://[::1", b"//elsewhere.test/", b"\xff\xfe", b"ftp://x/", b"?a=b")


def _answer(status: int, body: bytes, *headers: bytes) -> bytes:
    lines = [
        f"HTTP/1.1 {status} Faulty".encode(),
        f"content-length: {len(body)}".encode(),
        *headers,
    ]
    return b"\r\n".join([*lines, b"", b""]) + body


_JSON = b"content-type: application/json"


def _error(status: int, *headers: bytes) -> bytes:
    said = {"error": {"code": f"status_{status}", "message": "not now"}}
    return _answer(status, json.dumps(said).encode(), _JSON, *headers)


async def _reset_before_read(at: Exchange) -> None:
    at.reset()


async def _reset_mid_request(at: Exchange) -> None:
    await at.reader.read(40)
    at.reset()


async def _reset_before_forward(at: Exchange) -> None:
    await at.request()
    at.reset()


async def _reset_before_answer(at: Exchange) -> None:
    await at.answer()
    at.reset()


async def _reset_while_it_works(at: Exchange) -> None:
    """Leave the client alone while the platform still works, so that its retry comes early."""
    answering = asyncio.ensure_future(at.answer())
    await at.forwarded.wait()
    at.reset()
    await answering


async def _close_before_answer(at: Exchange) -> None:
    await at.answer()
    at.close()


async def _reset_mid_head(at: Exchange) -> None:
    await at.say((await at.answer())[:30])
    at.reset()


async def _close_mid_head(at: Exchange) -> None:
    await at.say((await at.answer())[:30])
    at.close()


async def _reset_mid_body(at: Exchange) -> None:
    await at.say((await at.answer())[:-5])
    at.reset()


async def _truncated_body(at: Exchange) -> None:
    await at.say((await at.answer())[:-5])
    at.close()


async def _truncated_chunks(at: Exchange) -> None:
    await at.answer()
    await at.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n")
    at.close()


async def _silent(at: Exchange) -> None:
    await at.answer()
    await at.reader.read()  # until the client goes


async def _drips(at: Exchange) -> None:
    """Send the answer byte by byte; that is slow and no error."""
    for byte in await at.answer():
        await at.say(bytes([byte]))


async def _interim_answers(at: Exchange) -> None:
    answer = await at.answer()
    await at.say(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 3 + answer)


async def _closed_keep_alive(at: Exchange) -> None:
    """Answer well and close, without having said so."""
    await at.say(await at.answer())
    at.close()


async def _two_answers(at: Exchange) -> None:
    answer = await at.answer()
    await at.say(answer + answer)
    at.close()


def _one_of(
    choices: tuple[bytes, ...], *, forwards: bool
) -> Callable[[random.Random], Callable[[Exchange], Awaitable[None]]]:
    """Return what makes a fault that says one of `choices` and hangs up."""

    def made(randomness: random.Random) -> Callable[[Exchange], Awaitable[None]]:
        said = randomness.choice(choices)

        async def carry_out(at: Exchange) -> None:
            await (at.answer() if forwards else at.request())
            await at.say(said)
            at.close()

        return carry_out

    return made


def _always(
    carry_out: Callable[[Exchange], Awaitable[None]],
) -> Callable[[random.Random], Callable[[Exchange], Awaitable[None]]]:
    return lambda _: carry_out


def _later(status: int, texts: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(_error(status, b"retry-after: " + text.encode("latin-1")) for text in texts)


_PAGE = b"<html><title>Sign in to the network</title>" + b"<p>" * 1000
_MAKERS = {
    "reset before it is read": _always(_reset_before_read),
    "reset in the request": _always(_reset_mid_request),
    "reset before it is forwarded": _always(_reset_before_forward),
    "reset before the answer": _always(_reset_before_answer),
    "reset while it works": _always(_reset_while_it_works),
    "closed before the answer": _always(_close_before_answer),
    "reset in the head": _always(_reset_mid_head),
    "closed in the head": _always(_close_mid_head),
    "reset in the body": _always(_reset_mid_body),
    "truncated body": _always(_truncated_body),
    "truncated chunks": _always(_truncated_chunks),
    "silent": _always(_silent),
    "drips": _always(_drips),
    "interim answers": _always(_interim_answers),
    "closed keep-alive": _always(_closed_keep_alive),
    "two answers": _always(_two_answers),
    "no HTTP": _one_of(_GARBAGE, forwards=True),
    "no JSON": _one_of(tuple(_answer(200, b, _JSON) for b in _NO_JSON), forwards=True),
    "error without JSON": _one_of(
        tuple(_answer(500, b, _JSON) for b in _NO_JSON), forwards=True
    ),
    "another type": _one_of(
        (
            _answer(200, _PAGE, b"content-type: text/html"),
            _answer(201, b"\x89PNG\r\n", b"content-type: image/png"),
            _answer(200, b"tlh", b"content-type: application/json; charset=klingon"),
            _answer(200, b"<a/>", b"content-type: \xff\xff"),
        ),
        forwards=False,
    ),
    "wrong encoding": _one_of(
        (
            _answer(200, b"{}", _JSON, b"content-encoding: gzip"),
            _answer(200, gzip.compress(b"{}")[:-9], _JSON, b"content-encoding: gzip"),
            _answer(500, b"\x1f\x8b\x08", _JSON, b"content-encoding: gzip, deflate"),
            _answer(200, b"\x00", _JSON, b"content-encoding: deflate"),
        ),
        forwards=True,
    ),
    "huge": _one_of(
        (
            _answer(200, b"x" * _HUGE, _JSON),
            _answer(500, b'{"error":{"message":"' + b"x" * _HUGE + b'"}}', _JSON),
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n" + b" " * 100_000,
        ),
        forwards=True,
    ),
    "odd status": _one_of(
        tuple(_answer(status, b"", _JSON) for status in _ODD_STATUS), forwards=True
    ),
    "redirect": _one_of(
        tuple(_answer(302, b"", b"location: " + place) for place in _REDIRECTS), forwards=False
    ),
    "429": _one_of((_error(429),), forwards=False),
    "429, come back": _one_of(_later(429, _LATER), forwards=False),
    "429, come back in an hour": _one_of(_later(429, ("3600",)), forwards=False),
    "429, odd Retry-After": _one_of(_later(429, _ODD_LATER), forwards=False),
    "500 though it was done": _one_of((_error(500), _error(502)), forwards=True),
    "503": _one_of((_error(503), _answer(503, _PAGE)), forwards=True),
    "503, come back": _one_of(_later(503, _LATER), forwards=False),
    "503, odd Retry-After": _one_of(_later(503, _ODD_LATER), forwards=False),
}  # fmt: skip
_REFUSED = Fault("refused", None, tells_nothing_was_done=True)
KINDS = (_REFUSED.name, *_MAKERS)


def draw(randomness: random.Random) -> Fault:
    """Return one of the faults."""
    name = randomness.choice(KINDS)
    if name == _REFUSED.name:
        return _REFUSED
    return Fault(
        name,
        _MAKERS[name](randomness),
        tells_nothing_was_done=name.startswith("429") or name == "503, come back",
        is_slow=name == "silent",
    )
