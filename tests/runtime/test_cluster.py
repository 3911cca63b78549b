"""Work by a Dask cluster: order, few items at a time, deaths of workers, refusals."""

import collections
import functools
import pickle
import random
import sys
import time

import pytest
from distributed import LocalCluster
from distributed.scheduler import KilledWorker

from rkd_jax.runtime import cluster, cluster_run
from rkd_jax.runtime.cluster import connected
from rkd_jax.runtime.cluster_run import WorkerLostError, WorkersError
from rkd_jax.runtime.workers import Workers

THREADS = 2


@pytest.fixture(scope="module")
def scheduler():
    """The address of two workers in this process."""
    with LocalCluster(
        n_workers=THREADS,
        threads_per_worker=1,
        processes=False,
        dashboard_address="127.0.0.1:0",
    ) as started:
        yield started.scheduler_address


class Counted:
    """Items that count how many were taken and whose results did not come yet."""

    def __init__(self, count):
        self.count, self.held, self.most = count, 0, 0

    def __iter__(self):
        for item in range(self.count):
            self.held += 1
            self.most = max(self.most, self.held)
            yield item


def double(state, item):
    time.sleep(random.Random(item).random() / 200)
    return state, 2 * item


prepared = []


def prepare():
    prepared.append(1)
    return "state"


@pytest.mark.parametrize("flags", [{}, {"scheduler": True}])
def test_results_come_in_order_and_few_items_are_held(scheduler, flags):
    workers = Workers(scheduler=scheduler) if flags else Workers()
    prepared.clear()
    items = Counted(80)
    with connected(workers, prepare) as connection:
        for number in range(2):  # what is prepared is kept for another run
            seen = []
            for item, result in connection.run(items, double):
                items.held -= 1
                assert result == ("state", 2 * item)
                seen.append(item)
            assert seen == list(range(80)), number
    assert prepared == [1]
    assert items.most <= (cluster_run.AHEAD * THREADS if flags else 1)


def refuse(state, item):
    if item == 3:
        raise ValueError("three")
    return item


def test_an_error_of_the_work_ends_the_run(scheduler):
    with connected(Workers(scheduler=scheduler), prepare) as connection:
        with pytest.raises(ValueError, match="three") as caught:
            list(connection.run(range(50), refuse))
        assert "on the worker inproc://" in caught.value.__notes__[0]
        # And the workers work on.
        assert [r for _, r in connection.run(range(3), refuse)] == [0, 1, 2]


def test_a_run_that_is_left_holds_no_worker(scheduler):
    with connected(Workers(scheduler=scheduler), prepare) as connection:
        results = connection.run(range(500), double)
        assert next(results) == (0, ("state", 0))
        results.close()
        assert len(list(connection.run(range(4), double))) == 4


class Mortal:
    """A client whose workers die at some items.

    Args:
        deaths: of each item, how many workers die at it.
        allowed: deaths after which the cluster tries again by itself.
    """

    status = "running"

    def __init__(self, deaths, allowed=0):
        self.deaths, self.allowed = collections.Counter(deaths), allowed
        self.tries, self.running, self.beside = [], set(), []

    def nthreads(self):
        return {"a": 2, "b": 1}

    def submit(self, function, token, work, items, **_):
        future = Future(self, pickle.loads(items))
        self.running.add(future)
        self.tries.append(future.items)
        return future


class Future:
    """What a client submitted: done at once, the oldest first."""

    def __init__(self, client, items):
        self.client, self.items = client, items

    def add_done_callback(self, done):
        done(self)

    @property
    def status(self):
        return (
            "error"
            if any(self.client.deaths[i] > 0 for i in self.items)
            else ("finished")
        )

    def exception(self):
        self.client.beside.append((self.items, len(self.client.running) - 1))
        self.client.running.remove(self)
        for item in self.items:
            self.client.deaths[item] -= 1 + self.client.allowed
        return KilledWorker("key", None, self.client.allowed)

    def result(self):
        self.client.running.remove(self)
        return [2 * item for item in self.items]


def run(client, items, together=lambda last, item: False, count=0):
    """Return results and notes."""
    notes = []
    made = cluster_run.DaskCluster(client, prepare, notes.append)
    found = made.run(items, double, together=together, count=count)
    return list(found), notes


@pytest.mark.parametrize("deaths", [1, 2])
def test_items_of_a_dead_worker_are_done_again(deaths):
    client = Mortal({4: deaths})
    found, notes = run(client, range(10))
    assert found == [(item, 2 * item) for item in range(10)]
    assert client.tries.count([4]) == 1 + deaths
    assert len(notes) == deaths


@pytest.mark.parametrize("allowed", [0, 3])
def test_an_item_at_which_workers_die_is_given_up_when_it_was_alone(allowed):
    client = Mortal({4: 1000}, allowed)
    found, _ = run(client, range(10))
    assert [item for item, _ in found] == list(range(10))
    assert [r for i, r in found if i != 4] == [2 * i for i in range(10) if i != 4]
    (lost,) = (result for item, result in found if item == 4)
    assert isinstance(lost, WorkerLostError)
    expected = cluster_run.MOST_DEATHS if allowed == 0 else 2 * (allowed + 1)
    assert f"{expected} workers died" in str(lost)
    beside = [others for items, others in client.beside if items == [4]]
    assert beside[-1] == 0  # nothing else ran that could have killed the worker
    assert beside[0] == 2


def test_items_that_go_together_are_tried_one_by_one_after_a_death():
    client = Mortal({4: 1000})
    found, _ = run(client, range(10), together=lambda last, item: item != 6, count=999)
    assert client.tries[0] == [0, 1, 2, 3, 4, 5]
    assert [6, 7, 8, 9] in client.tries
    assert [item for item, _ in found] == list(range(10))
    lost = [item for item, r in found if isinstance(r, WorkerLostError)]
    assert lost == [4]


def test_that_there_is_no_worker_is_said_once_each_time(monkeypatch):
    looks = iter([2, 0, 0, 0, 2, 0, 0])

    class Deserted(Mortal):
        """Has no worker now and then; ends its only task when it has looked."""

        def nthreads(self):
            threads = next(looks, None)
            if threads is None:
                self.done(self.future)
            return {"a": threads or 0}

        def submit(self, *task, **_):
            self.future = super().submit(*task)
            self.future.add_done_callback = lambda done: setattr(self, "done", done)
            return self.future

    monkeypatch.setattr(cluster_run, "_LOOK_EVERY_S", 0.001)
    found, notes = run(Deserted({}), range(1))
    assert found == [(0, 0)]
    assert notes == ["there is no worker now; waiting for one"] * 2


@pytest.mark.parametrize(
    ("count", "sizes"), [(999, [8, 8, 4]), (50, [2] * 10), (20, [1] * 20)]
)
def test_few_items_do_not_go_together(count, sizes):
    client = Mortal({})
    run(client, range(20), together=lambda last, item: True, count=count)
    assert [len(items) for items in client.tries] == sizes


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(cluster, "_ANSWER_S", 0.3)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere", "udp://x:1"])
def test_a_scheduler_that_does_not_answer_is_named(impatient, address):
    with (
        pytest.raises(WorkersError, match=f"--scheduler {address}: no Dask scheduler"),
        connected(Workers(scheduler=address), prepare),
    ):
        pass


def test_a_scheduler_without_workers_is_refused(impatient):
    with (
        LocalCluster(
            n_workers=0, processes=False, dashboard_address="127.0.0.1:0"
        ) as empty,
        pytest.raises(WorkersError, match="has no workers; start some with `dask wor"),
        connected(Workers(scheduler=empty.scheduler_address), prepare),
    ):
        pass


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            ModuleNotFoundError("No module named 'rkd_jax'"),
            "cannot use rkd_jax .No mod",
        ),
        ({"rkd_jax": "0.0.1"}, r"has rkd_jax 0\.0\.1, this command "),
        ({"Python": "3.1"}, r"has Python 3\.1, this command 3\."),
    ],
)
def test_workers_of_another_version_are_refused(found, message):
    here = cluster._versions()
    answer = {**here, **found} if isinstance(found, dict) else found

    class Client:
        def __init__(self, scheduler):
            self.scheduler = scheduler

        def run(self, function, on_error):
            return {"tcp://a:1": function(), "tcp://b:1": answer}

        def run_on_scheduler(self, function):
            if isinstance(self.scheduler, Exception):
                raise self.scheduler
            return self.scheduler

    for scheduler, place in ((here, "worker tcp://b:1"), (answer, "scheduler")):
        with pytest.raises(WorkersError, match=f"--scheduler s: the {place} {message}"):
            cluster._check_versions(Client(scheduler), "--scheduler s")


def test_without_dask_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "distributed")
    monkeypatch.setattr("rkd_jax.runtime.extras._is_installed", lambda module: False)
    with (
        pytest.raises(ImportError, match=r"pip install 'rkd_jax\[cluster\]'"),
        connected(Workers(jobs=2), prepare),
    ):
        pass


def test_a_partial_can_be_sent(scheduler):
    with connected(Workers(scheduler=scheduler), functools.partial(int, "7")) as made:
        assert list(made.run([1], double)) == [(1, (7, 2))]
