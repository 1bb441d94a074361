"""Requests are answered one at a time, in order; what nobody waits for is given up; Ctrl-C ends it all."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.serving.limits import Limits
from moleblend_plugin.serving.served_model import ServedModel
from moleblend_plugin.serving.worker import Busy, GivenUp, Worker
from tests.serving.models import WaitingModel


async def stays() -> bool:
    return False


def waiting(served: ServedModel, **limits: int) -> WaitingModel:
    values = {name: getattr(served, name) for name in ServedModel.__dataclass_fields__}
    return WaitingModel(**values | {"limits": replace(Limits(), **limits)})


def test_work_is_done_in_order_and_one_at_a_time() -> None:
    done: list[int] = []
    now = threading.Lock()

    def work(number: int) -> Callable[[Any], int]:
        def call(check: Callable[[], None]) -> int:
            assert now.acquire(blocking=False)
            time.sleep(0.001)
            done.append(number)
            now.release()
            return number

        return call

    async def all_of_them() -> list[int]:
        worker = Worker("test", 100)
        found = await asyncio.gather(*(worker.run(work(number), stays) for number in range(50)))
        worker.close()
        return list(found)

    assert asyncio.run(all_of_them()) == list(range(50)) == done


def test_a_place_is_free_again_whatever_happens() -> None:
    worker = Worker("test", 2)
    with worker.place(), worker.place():
        with pytest.raises(Busy), worker.place():
            pass
        assert worker.taken == 2
    with pytest.raises(ZeroDivisionError), worker.place():
        raise ZeroDivisionError
    assert worker.taken == 0
    worker.close()
    with pytest.raises(Busy), worker.place():
        pass


def test_work_that_nobody_waits_for_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moleblend_plugin.serving.worker._LOOK", 0.01)
    begun = threading.Event()

    def endless(check: Callable[[], None]) -> None:
        begun.set()
        while True:
            check()
            time.sleep(0.001)

    async def is_gone() -> bool:
        return begun.is_set()

    async def given_up() -> None:
        worker = Worker("test", 2)
        with pytest.raises(GivenUp):
            await worker.run(endless, is_gone)
        assert await worker.run(lambda check: 7, stays) == 7  # the thread is free for the next one
        threading.Timer(0.02, worker.stop).start()
        with pytest.raises(GivenUp):
            await worker.run(endless, stays)
        worker.close()

    asyncio.run(given_up())


def test_fifty_clients_share_one_network(served: ServedModel) -> None:
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("fastapi")
    from moleblend_plugin.serving.app import create_app

    model = waiting(served, max_waiting=49)
    app = create_app(model)
    headers = {"Content-Type": "application/json"}

    async def clients() -> list[Any]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            sent = (client.post("/predict", content=f'["C{n}"]', headers=headers) for n in range(60))
            return list(await asyncio.gather(*sent))

    answers = asyncio.run(clients())
    good = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert (len(good), len(refused)) == (50, 10)
    assert all(answer.headers["retry-after"] == "5" for answer in refused)
    notes = model.__dict__["notes_of_calls"]
    assert notes["most"] == 1
    assert notes["asked"] == [answer.json()["rows"][0]["smiles"] for answer in good]
    app.state.stop()


@pytest.mark.skipif(os.name != "posix", reason="sends a signal to itself")
def test_ctrl_c_ends_the_server_and_what_it_works_on(served: ServedModel) -> None:
    pytest.importorskip("uvicorn")
    from moleblend_plugin.serving.app import create_app
    from moleblend_plugin.serving.server import listen, run_server, url_of

    model = waiting(served)
    model.__dict__["seconds"] = 300.0
    listening = listen("127.0.0.1", 0)
    url = url_of(listening, "127.0.0.1")
    found: dict[str, Any] = {}

    def client() -> None:
        request = urllib.request.Request(f"{url}/predict", b'["CCO"]', {"Content-Type": "application/json"})
        try:
            urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            found["answer"] = (error.code, json.load(error))

    def interrupt() -> None:
        threads = threading.Thread(target=client)
        threads.start()
        while "notes_of_calls" not in model.__dict__ and threads.is_alive():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        threads.join(60)

    other = threading.Thread(target=interrupt)
    other.start()
    before = signal.getsignal(signal.SIGINT)
    run_server(create_app(model), listening)
    other.join(60)
    assert found["answer"] == (503, {"detail": "the server stops: start it again"})
    assert signal.getsignal(signal.SIGINT) == before
    assert listening.fileno() == -1


def test_a_port_that_is_taken_is_one_line() -> None:
    pytest.importorskip("uvicorn")
    from moleblend_plugin.serving.server import listen, url_of

    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert url_of(first, "127.0.0.1") == f"http://127.0.0.1:{port}"
        with pytest.raises(
            MoleblendError, match=f"--host 127.0.0.1 --port {port} cannot be used .*name another"
        ):
            listen("127.0.0.1", port)
    with pytest.raises(MoleblendError, match=r"--host no\.such\.invalid --port 1: no such address"):
        listen("no.such.invalid", 1)
