"""Flags and environment, as etcd reads them."""

import re

import pytest

from oarlock.cli.etcd_flags import ETCD_FLAGS, help_text
from oarlock.cli.flags import FlagError, Use, parse


def read(*arguments: str, **environment: str):
    return parse(ETCD_FLAGS, arguments, environment)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--name", "a"),
        ("--name=a",),
        ("-name", "a"),
        ("-name=a",),
        ("--name", "b", "--name", "a"),
        ("--name=a", "--"),
    ],
)
def test_every_way_to_write_a_flag(arguments: tuple[str, ...]) -> None:
    """One dash or two, a space or an equals sign; the last one counts: as Go's flag package has it."""
    flags = read(*arguments)
    assert flags.text("name") == "a"
    assert flags.given == {"name"}


def test_flag_wins_over_environment() -> None:
    """ETCD_* variables are read, and a flag on the command line wins."""
    assert read(ETCD_NAME="environment").text("name") == "environment"
    assert read("--name=flag", ETCD_NAME="environment").text("name") == "flag"
    assert read(ETCD_NAME="").text("name") == "default"
    assert read(ETCD_HEARTBEAT_INTERVAL="20").number("heartbeat-interval") == 20


def test_switches() -> None:
    """A switch needs no value, and takes one only behind an equals sign."""
    assert read("--client-cert-auth").switch("client-cert-auth")
    assert read("--client-cert-auth=true").switch("client-cert-auth")
    assert not read("--pre-vote=false").switch("pre-vote")
    assert read(ETCD_CLIENT_CERT_AUTH="1").switch("client-cert-auth")


@pytest.mark.parametrize(("text", "seconds"), [("100ms", 0.1), ("5s", 5), ("1h30m", 5400), ("0", 0), ("1.5s", 1.5)])
def test_durations(text: str, seconds: float) -> None:
    """Durations are Go's."""
    assert read(f"--backend-batch-interval={text}").seconds("backend-batch-interval") == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--nmae", "a"), "unknown flag --nmae; did you mean --name?"),
        (("--frobnicate",), "unknown flag --frobnicate"),
        (("start",), "'start' is not a flag"),
        (("--pre-vote", "false"), "'false' is not a flag"),
        (("--name",), "--name needs a value"),
        (("--heartbeat-interval", "fast"), "--heartbeat-interval must be a whole number, not 'fast'"),
        (("--pre-vote=maybe",), "--pre-vote must be true or false, not 'maybe'"),
        (("--backend-batch-interval", "5"), "must be a duration such as 100ms"),
        (("--", "x"), "'x' is not a flag"),
        (("--unsafe-no-fsync",), "--unsafe-no-fsync is not supported: an answered write is on disk, always"),
        (("--discovery", "http://x"), "--discovery is not supported: list all members in --initial-cluster"),
    ],
)
def test_what_cannot_be_used(arguments: tuple[str, ...], message: str) -> None:
    """Each refusal is one line that names the flag and what is wrong with it."""
    with pytest.raises(FlagError, match=re.escape(message)) as refusal:
        read(*arguments)
    assert "\n" not in str(refusal.value)


def test_bad_environment_names_the_variable() -> None:
    """A wrong value in the environment is blamed on the variable, not on a flag nobody wrote."""
    with pytest.raises(FlagError, match="ETCD_ELECTION_TIMEOUT must be a whole number"):
        read(ETCD_ELECTION_TIMEOUT="soon")


def test_flags_that_do_not_apply_give_one_warning() -> None:
    """Harmless flags of etcd are accepted and named in one line; so are unknown variables, each."""
    flags = read("--logger=zap", "--max-wals", "3", "--enable-v2=false", ETCD_AUTO_COMPACTION_RETENTION="1h")
    assert flags.warnings == [
        "these flags do not apply here and are ignored: --auto-compaction-retention, --enable-v2, --logger, --max-wals"
    ]
    assert read(ETCD_NMAE="x").warnings == ["environment variable ETCD_NMAE names no flag and is ignored"]


def test_defaults_of_refused_flags_are_accepted() -> None:
    """A script that spells out etcd's defaults is not refused for it."""
    read("--unsafe-no-fsync=false", "--proxy=off", "--discovery=", "--auto-tls=false")


def test_help_names_every_flag_in_use() -> None:
    """Help shows what can be set, and nothing that does nothing."""
    text = help_text()
    for flag in ETCD_FLAGS:
        assert (f"  --{flag.name}\n" in text) == (flag.use is Use.USED), flag.name
    assert all(len(line) <= 120 for line in text.splitlines())
