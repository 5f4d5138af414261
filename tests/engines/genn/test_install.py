"""What models ask of GeNN, by backend; PyGeNN itself is not needed."""

import sys
from types import SimpleNamespace

from eventspeech.engines.genn import install


def test_several_gpus_leave_no_choice_to_genn(monkeypatch):
    backend = SimpleNamespace(DeviceSelect=SimpleNamespace(MANUAL="manual", OPTIMAL="optimal"))
    monkeypatch.setitem(sys.modules, "pygenn", SimpleNamespace(cuda_backend=backend))
    monkeypatch.setitem(sys.modules, "pygenn.cuda_backend", backend)
    chosen = install.preferences(install.CUDA)
    assert (chosen["device_select_method"], chosen["manual_device_id"]) == ("manual", 0)


def test_the_cpu_has_no_device_to_choose():
    assert install.preferences(install.CPU) == {"optimize_code": True}
