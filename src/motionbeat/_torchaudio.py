"""torchaudio, also where its compiled extension does not load.

The published wheel is built for CUDA; beside a CPU build of torch its extension raises OSError on
import. Transforms and functional need none of it, so it is declared absent and imported again.
"""

import sys
from types import ModuleType

try:
    from torchaudio import functional, transforms
    from torchaudio.compliance import kaldi
except OSError:
    for _name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        del sys.modules[_name]
    _absent = ModuleType("torchaudio._extension")
    _absent.__dict__.update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        fail_if_no_align=lambda function: function,
    )
    sys.modules[_absent.__name__] = _absent
    from torchaudio import functional, transforms
    from torchaudio.compliance import kaldi

__all__ = ["functional", "kaldi", "transforms"]
