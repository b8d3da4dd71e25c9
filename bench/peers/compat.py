# SPDX-License-Identifier: LGPL-3.0-or-later
"""Lets releases that were made for other versions of PyTorch and Python be imported beside Debian's PyTorch 1.13.

Nothing here is on a path that is timed.
"""

import dataclasses
import sys
import types

_get_field = dataclasses._get_field


def _lenient_get_field(cls, name, *rest):
    """Python 3.11 refuses defaults that can't be hashed, which PyTorch 1.13 has."""
    default = getattr(cls, name, None)
    if isinstance(default, dataclasses.Field):
        default = default.default
    if type(default).__hash__ is None and dataclasses.is_dataclass(default):
        type(default).__hash__ = object.__hash__
    return _get_field(cls, name, *rest)


dataclasses._get_field = _lenient_get_field

import torch  # noqa: E402

if not hasattr(torch.optim.lr_scheduler, "LRScheduler"):
    torch.optim.lr_scheduler.LRScheduler = torch.optim.lr_scheduler._LRScheduler

_register_hook = torch.nn.Module._register_load_state_dict_pre_hook


def _lenient_register_hook(self, hook, with_module=False):
    """Lightning 1.9 hands over a proxy, which PyTorch 1.13 can't refer to; nothing is loaded here."""
    try:
        return _register_hook(self, hook, with_module)
    except TypeError:
        return None


torch.nn.Module._register_load_state_dict_pre_hook = _lenient_register_hook


class _Stub(types.ModuleType):
    """A module that has whatever is asked of it."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def stub(*names):
    for name in names:
        sys.modules[name] = _Stub(name)
