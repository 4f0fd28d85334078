from types import SimpleNamespace

registry = SimpleNamespace()
