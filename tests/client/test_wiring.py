"""Certificates, proxies and limits, over every transport and real sockets."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from strait import AsyncClient, Client, ConfigurationError, TransportError, ValidationError

from .carriers import OWN, CarrierHarness
from .conftest import KEY
from .sockets import Wire, answers
from .test_pools import keeping

JOB = answers(b'{"id":"job_1"}')


@pytest.fixture(params=OWN, ids=str)
def own(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    harness = CarrierHarness(request.param)
    yield harness
    harness.close()


def test_a_given_proxy_is_asked(own: CarrierHarness) -> None:
    with Wire(JOB) as proxy:
        client = own.client(base_url="http://platform.test", proxy=proxy.url)
        assert own.run(lambda: client.jobs.get("job_1")).id == "job_1"
    assert proxy.requests[0].startswith(b"GET http://platform.test/v1/jobs/job_1 HTTP/1.1\r\n")


def test_the_password_of_a_proxy_is_sent_to_it(own: CarrierHarness) -> None:
    with Wire(JOB) as proxy:
        address = proxy.url.replace("//", "//user:s3cret@")
        client = own.client(base_url="http://platform.test", proxy=address)
        own.run(lambda: client.jobs.get("job_1"))
    assert b"proxy-authorization: basic dXNlcjpzM2NyZXQ=".lower() in proxy.requests[0].lower()


def test_a_proxy_that_cannot_be_reached_is_named_without_its_password(own: CarrierHarness) -> None:
    with Wire() as gone:
        place = gone.url.removeprefix("http://")
    client = own.client(
        base_url="http://platform.test", proxy=f"http://user:s3cret@{place}", retry=None
    )
    with pytest.raises(TransportError, match=rf"through the proxy {re.escape(place)}\)") as caught:
        own.run(lambda: client.jobs.get("job_1"))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_asked(
    own: CarrierHarness, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Wire(JOB) as proxy:
        monkeypatch.setenv(name, proxy.url)
        client = own.client(base_url="http://platform.test")
        assert own.run(lambda: client.jobs.get("job_1")).id == "job_1"
    assert proxy.requests[0].startswith(b"GET http://platform.test/")


@pytest.mark.parametrize("names", ["127.0.0.1", "other.test, 127.0.0.1", "*"])
def test_no_proxy_names_the_hosts_that_are_reached_without(
    own: CarrierHarness, names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Wire(JOB) as platform, Wire(JOB) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", names)
        client = own.client(base_url=platform.url)
        own.run(lambda: client.jobs.get("job_1"))
        assert len(platform.requests) == 1
        assert proxy.requests == []


def test_a_proxy_that_refuses_to_connect_is_an_error_that_was_not_sent(own: CarrierHarness) -> None:
    with Wire(answers(b"", "502 Bad Gateway")) as proxy:
        client = own.client(base_url="https://platform.test", proxy=proxy.url)
        with pytest.raises(TransportError) as caught:
            own.run(lambda: client.runs.replay("run_1", max_retries=0))
    assert not caught.value.sent
    assert proxy.requests[0].startswith(b"CONNECT platform.test:443 HTTP/1.1\r\n")
    assert KEY.encode() not in proxy.requests[0]


def test_a_proxy_of_the_environment_that_is_none_is_told(
    own: CarrierHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "ftp://user:s3cret@proxy.test")
    client = own.client(base_url="http://platform.test")
    with pytest.raises(ConfigurationError, match="`HTTP_PROXY` must be") as caught:
        own.run(lambda: client.jobs.get("job_1"))
    assert "s3cret" not in str(caught.value)


def test_a_socks_proxy_that_cannot_be_is_told(own: CarrierHarness) -> None:
    with pytest.raises(ConfigurationError, match="socks"):  # noqa: PT012 - first, or at the call
        client = own.client(base_url="http://platform.test", proxy="socks5://127.0.0.1:1")
        own.run(lambda: client.jobs.get("job_1"))


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_limits_bound_the_connections(own: CarrierHarness, library: Any) -> None:
    with keeping() as server:
        client = own.client(base_url=server.url, limits=library.Limits(max_connections=2))
        if own.is_async:

            async def ask() -> None:
                await asyncio.gather(*(client.jobs.get(f"slow-{n}") for n in range(8)))

            own.run(ask)
        else:
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda n: client.jobs.get(f"slow-{n}"), range(8)))
        assert sum(server.paths.values()) == 8
        assert server.peak == 2


def test_no_connection_is_kept_where_none_may_be(own: CarrierHarness) -> None:
    with keeping() as server:
        limits = httpx.Limits(max_keepalive_connections=0)
        client = own.client(base_url=server.url, limits=limits)
        for _ in range(3):
            own.run(lambda: client.jobs.get("job_1"))
        assert server.connections == 3


def test_wiring_belongs_to_the_transport_that_was_given() -> None:
    with pytest.raises(ValidationError, match="belong to `transport`"):
        Client(api_key=KEY, transport=httpx.HTTPTransport(), verify=False)
    with pytest.raises(ValidationError, match="not both"):
        Client(api_key=KEY, transport="httpx", http_client=httpx.Client())


@pytest.mark.parametrize("made", [Client, AsyncClient])
def test_what_is_wrong_with_certificates_is_told_for_each_transport(made: Any) -> None:
    for name in ("httpx", "httpx2"):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            made(api_key=KEY, transport=name, cert="/nowhere/client.pem")


_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
    "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


class Authority:
    """A certificate authority, and what it has signed for this machine."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        signed = self._signed(self._name, self._key.public_key(), is_authority=True)
        self.path = folder / "authority.pem"
        self.path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        self.server = self._pair(folder, "server")
        self.client = self._pair(folder, "client")

    def _pair(self, folder: Path, name: str) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signed = self._signed(subject, key.public_key(), is_authority=False)
        certificate, secret = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return str(certificate), str(secret)

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, is_authority: bool
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        here = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        signer = self._key.public_key()
        usage = dict.fromkeys(_USAGES, False) | {
            "digital_signature": not is_authority,
            "key_cert_sign": is_authority,
        }
        # Python 3.13 looks at certificates as strictly as RFC 5280 says.
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([here]), critical=False)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def sealed(authority: Authority) -> Iterator[Callable[..., str]]:
    """Return what starts a TLS server and returns its address."""
    stops: list[Callable[[], None]] = []

    def started(*, asks_for_certificate: bool = False) -> str:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.path)
        context.load_cert_chain(*authority.server)
        if asks_for_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(plain, server_side=True) as connection:
                        JOB(connection, connection.recv(65536))
                        connection.unwrap().close()
                except OSError:
                    plain.close()  # the client did not like it, or was not liked

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()

        def stop() -> None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join(5)

        stops.append(stop)
        return f"https://127.0.0.1:{listener.getsockname()[1]}"

    yield started
    for stop in stops:
        stop()


def test_a_stranger_is_not_trusted(own: CarrierHarness, sealed: Callable[..., str]) -> None:
    client = own.client(base_url=sealed(), retry=None)
    with pytest.raises(TransportError, match=r"(?i)certificate") as caught:
        own.run(lambda: client.jobs.get("job_1"))
    assert not caught.value.sent


def test_an_authority_of_ones_own_is_trusted(
    own: CarrierHarness, sealed: Callable[..., str], authority: Authority
) -> None:
    client = own.client(base_url=sealed(), verify=str(authority.path), retry=None)
    assert own.run(lambda: client.jobs.get("job_1")).id == "job_1"


def test_anyone_is_trusted_where_that_is_said(
    own: CarrierHarness, sealed: Callable[..., str]
) -> None:
    client = own.client(base_url=sealed(), verify=False, retry=None)
    assert own.run(lambda: client.jobs.get("job_1")).id == "job_1"


def test_a_client_shows_its_certificate(
    own: CarrierHarness, sealed: Callable[..., str], authority: Authority
) -> None:
    base_url = sealed(asks_for_certificate=True)
    known = own.client(
        base_url=base_url, verify=str(authority.path), cert=authority.client, retry=None
    )
    assert own.run(lambda: known.jobs.get("job_1")).id == "job_1"
    unknown = own.client(base_url=base_url, verify=str(authority.path), retry=None)
    with pytest.raises(TransportError):
        own.run(lambda: unknown.jobs.get("job_1"))
