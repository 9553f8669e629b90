from __future__ import annotations

import os
import socket

import pytest

from mlplat.errors import StateError
from mlplat.services import Http, Service
from mlplat.targets.local.ports import holder, is_free, refuse_taken


def test_a_taken_port_is_refused_with_its_holder_and_its_key(free_port: int) -> None:
    service = Service("gateway", "gateway", ("envoy",), Http("/ready"), ports={"admin": free_port})
    refuse_taken([service])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port))
        taken.listen()
        assert not is_free(free_port)
        assert f"(pid {os.getpid()})" in str(holder(free_port))
        with pytest.raises(
            StateError, match=f"port {free_port}, which `gateway` needs, is held by .*pid {os.getpid()}"
        ) as caught:
            refuse_taken([service])
    assert "`gateway.admin_port`" in str(caught.value.hint)
    assert is_free(free_port)
