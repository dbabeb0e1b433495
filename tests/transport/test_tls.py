"""Mutual TLS: who has no certificate of our CA is neither heard nor spoken to."""

import asyncio
import os
import socket
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from tests.transport.certificates import Authority
from tests.transport.servers import CLUSTER, FAST, HandMadePeer, Server, link, running, until

from oarlock.transport import PeerTls, TlsError, TransportOptions
from oarlock.transport.handshake import Hello
from oarlock.transport.incoming import IncomingConnection
from oarlock.transport.interface import Channel
from oarlock.transport.tls import TlsContexts


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def first(authority):
    return authority.issue("first")


@pytest.fixture(scope="module")
def second(authority):
    return authority.issue("second")


async def test_payloads_over_mutual_tls(first, second):
    """With certificates of one CA, both channels work, also for payloads larger than any buffer."""
    large = bytes(range(256)) * (3 << 12)
    async with running(Server(1, tls=first), Server(2, tls=second)) as (one, two):
        await link(one, two)
        assert one.transport.send(2, b"small")
        assert one.transport.send(2, large)
        assert two.transport.send_bulk(1, large)
        await until(lambda: len(two.messages) == 2 and len(one.messages) == 1)
        assert two.messages == [(1, b"small"), (1, large)]
        assert one.messages == [(2, large)]
        version = one.transport._peers[2].control._connection._transport.get_extra_info("ssl_object").version()
        assert version == "TLSv1.3"


async def test_a_restarted_peer_is_found_again_over_tls(first, second):
    """Links over TLS are lost, told of and made anew as others are."""
    async with running(Server(1, tls=first), Server(2, tls=second)) as (one, two):
        await link(one, two)
        [(_, port)] = two.addresses
        await two.transport.close()
        await until(lambda: one.unreachable == [2, 2])
        async with running(Server(2, tls=second), port=port) as (again,):
            await until(lambda: one.is_linked(2))
            assert one.transport.send(2, b"back")
            await until(lambda: again.messages == [(1, b"back")])


async def test_a_stuck_reader_over_tls_costs_bounded_memory(first, second):
    """Over TLS too, a peer that stops reading makes messages drop while buffers stay bounded."""
    options = replace(FAST, queue_bytes=1 << 20, write_buffer_bytes=64 << 10)
    async with running(Server(1, tls=first, options=options), Server(2, tls=second)) as (one, two):
        await link(one, two)
        incoming = two.transport._acceptor._established[1, Channel.CONTROL]
        incoming._transport.pause_reading()
        taken = 0
        while one.transport.send(2, bytes(10_000)):
            taken += 1
            await asyncio.sleep(0)
        connection = one.transport._peers[2].control._connection
        assert connection.queued_bytes <= options.queue_bytes
        assert connection._transport.get_write_buffer_size() <= options.write_buffer_bytes + (300 << 10)
        incoming._transport.resume_reading()
        await until(lambda: len(two.messages) == taken)


async def refused(one, two, caplog):
    """Tries to link server 1 to server 2, and gives what both logged about its failure."""
    async with running(one, two):
        one.transport.add_peer(2, two.addresses)
        await until(lambda: one.transport.stats[2].control.connect_failures >= 1)
        await until(lambda: two.transport.incoming_stats.tls_failures + two.transport.incoming_stats.bad_frames >= 1)
        assert not one.transport.send(2, b"never")
        assert two.transport.incoming_stats.established == 0
    return caplog.text


async def test_the_answering_sides_ca_is_checked(first, tmp_path, caplog):
    """A server whose certificate comes from another CA is not spoken to."""
    stranger = replace(Authority(tmp_path).issue("stranger"), ca_file=first.ca_file)
    log = await refused(Server(1, tls=first), Server(2, tls=stranger), caplog)
    assert "certificate verify failed" in log


async def test_the_dialling_sides_ca_is_checked(first, second, tmp_path, caplog):
    """A server that dials with a certificate from another CA is not heard."""
    stranger = replace(Authority(tmp_path).issue("stranger"), ca_file=second.ca_file)
    log = await refused(Server(1, tls=stranger), Server(2, tls=second), caplog)
    assert "TLS handshake failed" in log


async def test_the_dialling_side_must_show_a_certificate(second, authority, caplog):
    """With a CA configured, a dialler without a certificate is turned away before its hello is read."""
    context = ssl.create_default_context(cafile=authority.file)
    async with running(Server(2, tls=second)) as (two,):
        own = Hello(CLUSTER, 1, 1, 2, Channel.CONTROL)
        loop = asyncio.get_running_loop()
        _, peer = await loop.create_connection(
            lambda: HandMadePeer(own, dials=True), *two.addresses[0], ssl=context, server_hostname="127.0.0.1"
        )
        await peer.lost
        assert peer.theirs is None
        assert two.transport.incoming_stats.established == 0
        await until(lambda: two.transport.incoming_stats.tls_failures == 1)
    assert "TLS handshake failed" in caplog.text


async def test_without_a_ca_no_client_certificate_is_asked_for(second, authority):
    """Without a CA the answering side is encrypted but open, as etcd's is."""
    context = ssl.create_default_context(cafile=authority.file)
    async with running(Server(2, tls=replace(second, ca_file=None))) as (two,):
        own = Hello(CLUSTER, 1, 1, 2, Channel.CONTROL)
        loop = asyncio.get_running_loop()
        _, peer = await loop.create_connection(
            lambda: HandMadePeer(own, dials=True), *two.addresses[0], ssl=context, server_hostname="127.0.0.1"
        )
        await until(lambda: peer.theirs is not None)
        peer.transport.abort()
        await peer.lost


async def test_the_host_name_is_checked_unless_told_otherwise(first, authority, caplog):
    """A certificate for another host is refused, and accepted when names are not to be verified."""
    elsewhere = authority.issue("elsewhere", address="192.0.2.1")
    log = await refused(Server(1, tls=first), Server(2, tls=elsewhere), caplog)
    assert "IP address mismatch" in log
    trusting = replace(first, verify_host_name=False)
    async with running(Server(1, tls=trusting), Server(2, tls=elsewhere)) as (one, two):
        one.transport.add_peer(2, two.addresses)
        await until(lambda: one.is_linked(2))


async def test_cleartext_and_tls_do_not_mix(first, caplog):
    """A cleartext dialler at a TLS server, and the reverse, fail with a line in the log on both sides."""
    log = await refused(Server(1), Server(2, tls=first), caplog)
    assert "TLS handshake failed" in log
    assert "lost before the hello was answered" in log
    log = await refused(Server(1, tls=first), Server(2), caplog)
    assert "a stream that is not ours" in log


async def test_tls_before_1_2_is_refused(second, authority):
    """A dialler that speaks at most TLS 1.1 is turned away."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.file)
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with running(Server(2, tls=second)) as (two,):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.get_running_loop().create_connection(
                asyncio.Protocol, *two.addresses[0], ssl=context, server_hostname="127.0.0.1"
            )
        await until(lambda: two.transport.incoming_stats.tls_failures == 1)


async def test_half_open_tls_handshakes_are_limited(first, second):
    """Connections that never begin TLS are evicted when there are too many, and time out; peers still get in."""
    options = replace(FAST, max_half_open=3, handshake_timeout_ms=1000)
    async with running(Server(1, tls=first, options=options), Server(2, tls=second)) as (one, two):
        loop = asyncio.get_running_loop()
        mute = [await loop.create_connection(asyncio.Protocol, *one.addresses[0]) for _ in range(10)]
        await until(lambda: one.transport.incoming_stats.half_open_evicted >= 7)
        two.transport.add_peer(1, one.addresses)
        await until(lambda: two.is_linked(1))
        await until(lambda: not one.transport._acceptor._half_open and not one.transport._acceptor._ending)
        for transport, _ in mute:
            transport.abort()


async def test_close_in_the_middle_of_tls_handshakes(first):
    """Closing while handshakes are half done leaves no task and no connection behind, on either side."""
    async with running(Server(1, tls=first)) as (one,):
        loop = asyncio.get_running_loop()
        mute_server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        one.transport.add_peer(2, [mute_server.sockets[0].getsockname()])
        transport, _ = await loop.create_connection(asyncio.Protocol, *one.addresses[0])
        await until(lambda: len(one.transport._acceptor._half_open) == 1)
        await one.transport.close()
        mute_server.close()
        transport.abort()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_handshake_given_up_before_it_began_closes_its_socket(first):
    """A connection that ends before its TLS task has run once leaves no descriptor behind."""
    async with running(Server(1, tls=first)) as (one,):
        ours, theirs = socket.socketpair()
        connection = IncomingConnection(one.transport._acceptor)
        connection.secure(ours, None)
        connection.fail("the test says so")
        await connection.ended
        assert ours.fileno() == -1
        theirs.close()


def test_replaced_files_are_used(tmp_path, caplog):
    """Files that were replaced come into force; unusable ones are logged, and the former stay."""
    authority = Authority(tmp_path)
    tls = authority.issue("server")
    contexts = TlsContexts(tls)
    client, server = contexts.client(), contexts.server()
    assert contexts.client() is client
    authority.issue("server")
    os.utime(tls.cert_file, (1, 1))
    renewed = contexts.client()
    assert renewed is not client
    assert contexts.server() is not server
    Path(tls.cert_file).write_text("half written")
    assert contexts.client() is renewed
    assert "server.pem" in caplog.text
    Path(tls.cert_file).unlink()
    assert contexts.client() is renewed


def test_errors_name_the_file(tmp_path):
    """A missing, damaged, foreign or encrypted file is refused with its name."""
    authority = Authority(tmp_path)
    good = authority.issue("good")
    other = authority.issue("other")
    encrypted = authority.issue("encrypted", password=b"secret")
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n")
    cases = [
        (replace(good, cert_file=str(tmp_path / "none.pem")), "certificate file .*none.pem cannot be read: No such"),
        (replace(good, key_file=str(tmp_path / "none.key")), "private key file .*none.key cannot be read: No such"),
        (replace(good, ca_file=str(tmp_path / "none.ca")), "CA file .*none.ca cannot be read: No such"),
        (replace(good, cert_file=str(damaged)), "certificate file .*damaged.pem or private key file .* not valid PEM"),
        (replace(good, key_file=other.key_file), "key file .*other.key does not belong to certificate file .*good.pem"),
        (replace(good, ca_file=str(damaged)), "CA file .*damaged.pem holds no valid PEM certificate"),
        (encrypted, "key file .*encrypted.key is encrypted"),
        (replace(good, ca_file=str(tmp_path)), "CA file .* cannot be read"),
    ]
    for tls, message in cases:
        with pytest.raises(TlsError, match=message):
            TlsContexts(tls)


def test_the_defaults_need_no_ca(tmp_path):
    """Without a CA file the system's authorities verify the answering side."""
    tls = Authority(tmp_path).issue("server")
    contexts = TlsContexts(PeerTls(tls.cert_file, tls.key_file))
    assert contexts.client().verify_mode is ssl.CERT_REQUIRED
    assert contexts.server().verify_mode is ssl.CERT_NONE
    assert TransportOptions().max_half_open == 64
