"""Kinds of steps that the rules do not allow, each with the rule that it goes against."""

from typing import Final

RULE_OF: Final[dict[str, str]] = {
    "no-majority-elected": "C-2",
    "second-vote": "RV-2", "changed-vote": "RV-2", "forgot-vote": "ALL-2", "vote-forgotten": "P-1",
    "voted-in-older-term": "RV-1", "voted-for-older-log": "RV-2", "misread-own-log": "RV-2", "refused-vote": "RV-2",
    "vote-outlived-term": "ALL-2", "timer-without-vote": "F-2", "timer-for-old-leader": "AE-1",
    "timer-for-old-snapshot": "IS-1", "newer-term-ignored": "ALL-2", "refusal-taught-nothing": "ALL-2",
    "adopted-late": "ALL-2", "term-fell": "ALL-2", "refused-current-term": "AE-1", "did-not-follow": "C-3",
    "pre-voted-for-older-log": "PV-2", "pre-voted-in-older-term": "PV-2", "pre-voted-against-leader": "PV-2",
    "refused-pre-vote": "PV-2",
    "campaigned-as-leader": "C-1", "campaigned-in-old-term": "C-1a", "no-own-vote": "C-1b", "timer-not-reset": "C-1c",
    "asked-too-few": "C-1d", "slept-on": "F-2", "slept-as-candidate": "C-4", "left-unanswered": "F-1",
    "obeyed-old-leader": "AE-1", "appended-on-mismatch": "AE-2", "agreed-on-mismatch": "AE-2",
    "refused-matching": "AE-2", "refused-below-base": "AE-2", "cut-without-conflict": "AE-3", "cut-committed": "AE-3",
    "kept-conflict": "AE-3", "agreed-wrongly": "AE-3", "rewrote-held": "AE-3", "leader-cut": "SP-2",
    "committed-unverified": "AE-5", "commit-not-raised": "AE-5", "commit-fell": "V-1",
    "applied-fell": "V-1", "counted-older-term": "L-4", "no-majority-committed": "L-4", "counted-no-majority": "L-4",
    "match-too-high": "L-3a", "match-of-other-entry": "L-3a", "match-beyond-reply": "L-3a", "match-fell": "L-3a",
    "did-not-step-back": "L-3b", "next-elsewhere": "VL-1",
    "handed-out-of-order": "ALL-1", "handed-unnoted": "ALL-1", "handed-before-disk": "ALL-1",
    "term-before-disk": "P-1", "vote-before-disk": "P-1", "acknowledged-before-disk": "P-1", "believed-durable": "P-1",
    "forgot-term": "P-1", "forgot-log": "P-1",
    "dropped-agreeing-log": "IS-6", "kept-another-history": "IS-7", "took-older-snapshot": "IS-5",
    "installed-in-part": "IS-4", "ignored-snapshot": "IS-3", "sent-old-part": "IS-3", "joint-not-left": "MC-6",
    "read-where-it-is": "CL-Q1", "read-before-own-entry": "CL-Q2", "read-behind-commit": "CL-Q3",
    "read-before-applied": "CL-Q5", "answered-read-as-follower": "RI-1", "confirmed-by-older": "RI-2",
    "read-without-lease": "LS-1",
}  # fmt: skip
"""By kind."""

SIGNS: Final = frozenset(
    {"raised", "second-leader", "leader-lacks", "committed-otherwise", "other-entry", "other-prefix", "stale-read"}
)
"""Kinds that show that something went wrong before, but not what: no rule can be named."""
