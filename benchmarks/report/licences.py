"""What the licences on cards allow, judged by their words; in doubt, nothing."""

import re

_FREE = r"CC0|CC[ -]BY|MIT|ISC|Apache|BSD|MS-PL|GPL|public[ -]domain|Unlicense|Zlib"
_NOT_COMMERCIAL = r"\bNC\b|non-?commercial|not commercial|no commercial|research|evaluate only"
_NOT_STATED = r"none (found )?stated|unknown|undisclosed"
_NO_COPIES = (
    r"redistribution|pass the audio|not distributed|belongs? to|owners'|rights|terms of use|\bND\b"
    r"|as mirdata states|Creative Commons"  # which of them, the cards leave open
)


def commercial(licence: str) -> bool | None:
    """Whether a licence allows commercial use; None where it does not say.

    A judgement by words such as ``NC``, made to filter a table. It is no legal advice.
    """
    if re.search(_NOT_COMMERCIAL, licence, re.IGNORECASE):
        return False
    if re.search(_NOT_STATED, licence, re.IGNORECASE) or not re.search(_FREE, licence, re.I):
        return None
    return True


def copies(licence: str) -> bool:
    """Whether a licence allows copies of all recordings of a dataset to be passed on by anybody."""
    return commercial(licence) is True and not re.search(_NO_COPIES, licence, re.IGNORECASE)
