"""A device's queue: what crosses, in which order, and what is captured; on a device that is not there."""

import fake_cupy
import fake_stream
import numpy as np
import pytest
from fake_cupy import DeviceArray

from dimref.engine.cuda_graph import Feed, Queue, Replayed, assign


def tree(k):
    return {"x": np.full((2, 3), k, np.float32), "deep": {"index": np.full(4, k)}}


@pytest.mark.parametrize("eager", [False, True])
def test_the_feed_gives_what_was_put_in_order(eager):
    queue = Queue(fake_stream.module(eager), np.empty)
    feed, seen = Feed(queue, tree(0)), []
    places = feed.buffers["x"]._host, feed.buffers["deep"]["index"]._host
    with queue.running():
        feed.put(tree(0))
        for k in range(9):
            feed.take()
            total = fake_cupy.to_device(np.zeros((2, 3), np.float32))
            total[...] = feed.buffers["x"]  # put off as long as it may be
            seen.append((total, feed.buffers["deep"]["index"] + 0))
            feed.put(tree(k + 1))
    for k, (x, index) in enumerate(seen):
        np.testing.assert_array_equal(x.get(), tree(k)["x"])
        np.testing.assert_array_equal(index.get(), tree(k)["deep"]["index"])
    assert feed.buffers["x"]._host is places[0]
    assert feed.buffers["deep"]["index"]._host is places[1]


def test_the_feed_refuses_what_does_not_fit():
    queue = Queue(fake_stream.module(), np.empty)
    feed = Feed(queue, tree(0))
    with pytest.raises(ValueError, match="nothing was put"):
        feed.take()
    for wrong in (np.zeros((3, 2), np.float32), np.zeros((2, 3))):
        with pytest.raises(ValueError, match=r"expected float32 \(2, 3\), as in the example, found float"):
            feed.put({**tree(0), "x": wrong})
    feed.put(tree(1))
    feed.put(tree(2))
    with pytest.raises(ValueError, match="at most 2 batches"):
        feed.put(tree(3))


def test_a_captured_function_is_not_run_and_its_replays_see_the_buffers_of_their_time():
    queue = Queue(fake_stream.module(), np.empty)
    x, total = fake_cupy.to_device(np.ones(3)), fake_cupy.to_device(np.zeros(3))

    def function():
        y = x * 2.0
        assign(total, total + y)
        return y.sum()

    with queue.running():
        graph, returned = queue.capture(function)
        np.testing.assert_array_equal(total.get(), np.zeros(3))
        assert np.isnan(returned.get())
        for k in (1.0, 5.0):
            x[...] = k
            graph.launch(stream=queue.compute)
        np.testing.assert_array_equal(total.get(), np.full(3, 12.0))
        assert returned.item() == 30.0


def test_a_function_is_run_twice_then_captured_once_and_replayed():
    module = fake_stream.module()
    queue, told, calls = Queue(module, np.empty), [], []
    count = fake_cupy.to_device(np.zeros(()))

    def function():
        calls.append(1)
        assign(count, count + 1.0)
        return count * 10.0

    with queue.running():
        replayed = Replayed(queue, function, True, told.append)
        found = []
        for k in range(6):
            assert replayed.captured == (k > 2)
            found.append(replayed().item())
        assert found == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
        assert len(calls) == 3
        plain = Replayed(queue, function, False, told.append)
        for _ in range(4):
            plain()
        assert len(calls) == 7
    assert (told, plain.captured) == ([], False)


def test_a_capture_that_fails_is_ended_and_changes_nothing():
    queue, told = Queue(fake_stream.module(), np.empty), []
    x = fake_cupy.to_device(np.ones(3))

    def function():
        assign(x, x + 1.0)
        if DeviceArray.recording is not None:
            x.get()
        return x

    with queue.running():
        replayed = Replayed(queue, function, True, told.append)
        for _ in range(5):
            replayed()
        assert DeviceArray.recording is None
        np.testing.assert_array_equal(x.get(), np.full(3, 6.0))
    assert len(told) == 1
    with queue.running(), pytest.raises(KeyboardInterrupt):
        queue.capture(lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert DeviceArray.recording is None


def test_the_names_that_the_queue_uses_are_cupys():
    cupy = pytest.importorskip("cupy")
    import cupyx

    for path in ("Device", "Event", "Graph.launch", "MemoryPool.malloc", "using_allocator"):
        found = cupy.cuda
        for name in path.split("."):
            found = getattr(found, name)
        assert callable(found)
    for name in ("begin_capture", "end_capture", "record", "wait_event", "synchronize", "__enter__", "__exit__"):
        assert callable(getattr(cupy.cuda.Stream, name)), name
    assert "non_blocking=False" in cupy.cuda.Stream.__init__.__doc__
    assert "stream" in cupy.ndarray.set.__doc__.splitlines()[0]
    assert "streamCaptureModeRelaxed" in cupy.cuda.Stream.begin_capture.__doc__
    assert callable(cupyx.empty_pinned)
