"""Celery and RQ: errors become retries, with the delay that the provider named."""

import sys
from pathlib import Path

import pytest

from provider_kit import AuthenticationError, InternalServerError, RateLimitError
from provider_kit.integrations.task_retries import retry_delay

celery = pytest.importorskip("celery")


def test_the_delay_is_that_of_the_provider():
    """A little later, at random; doubled where it names none; none where a retry does not help."""
    limited = RateLimitError("x", status_code=429, retry_after=30)
    assert 30 <= retry_delay(limited) <= 33
    assert len({retry_delay(limited) for _ in range(10)}) > 1
    broken = InternalServerError("x", status_code=500)
    assert 2 <= retry_delay(broken) <= 3
    assert 8 <= retry_delay(broken, 2) <= 9
    assert retry_delay(broken, 1000) <= 660
    assert retry_delay(AuthenticationError("x", status_code=401)) is None
    assert retry_delay(ValueError("x")) is None


@pytest.fixture
def app():
    from celery import Celery

    made = Celery("shop", broker="memory://", backend="cache+memory://")
    made.conf.task_always_eager = True
    return made


def test_a_task_is_tried_again(app):
    """Celery's own retry, with a countdown; then its result is there."""
    from provider_kit.integrations.celery import llm_task

    delays, calls = [], []

    @llm_task(app, name="describe")
    def describe(product):
        calls.append(product)
        if len(calls) < 3:
            raise RateLimitError("x", status_code=429, retry_after=20)
        return f"{product}!"

    retry = describe.retry
    describe.__class__.retry = lambda self, **options: delays.append(options["countdown"]) or retry(**options)
    assert describe.delay("chair").get() == "chair!"
    assert calls == ["chair"] * 3
    assert all(20 <= delay <= 22 for delay in delays)
    assert len(delays) == 2
    assert describe("table") == "table!"


def test_a_task_that_cannot_succeed_fails_at_once(app):
    """With the error itself; and so does one that is called directly."""
    from provider_kit.integrations.celery import llm_task

    calls = []

    @llm_task(app, name="hopeless")
    def hopeless():
        calls.append(1)
        raise AuthenticationError("x", status_code=401)

    with pytest.raises(AuthenticationError):
        hopeless.delay().get()
    assert calls == [1]

    @llm_task(app, name="limited", max_retries=2)
    def limited():
        calls.append(2)
        raise RateLimitError("x", status_code=429, retry_after=0)

    with pytest.raises(RateLimitError):
        limited()
    assert calls == [1, 2]
    with pytest.raises(RateLimitError):
        limited.delay().get()
    assert calls == [1, 2, 2, 2, 2]


@pytest.fixture
def redis_url(tmp_path):
    sys.path.insert(0, str(Path(__file__).parents[1] / "stores"))
    from redis_server import RedisServer

    server = RedisServer(tmp_path).start()
    yield server.url
    server.stop()


tried = []


def job(times):
    from provider_kit.integrations.rq import llm_job

    @llm_job(max_retries=3)
    def work():
        tried.append(1)
        if len(tried) <= times:
            raise RateLimitError("x", status_code=429, retry_after=0)
        return "done"

    return work()


def test_a_job_is_tried_again(redis_url):
    """RQ's own retry, in a real queue."""
    import redis
    from rq import Queue, SimpleWorker
    from rq.timeouts import TimerDeathPenalty

    class Worker(SimpleWorker):
        death_penalty_class = TimerDeathPenalty

        def _install_signal_handlers(self) -> None:
            """None: this process goes on to other tests, which want their own."""

    tried.clear()
    with redis.Redis.from_url(redis_url) as connection:
        queue = Queue(connection=connection)
        made = queue.enqueue(job, 2)
        worker = Worker([queue], connection=connection)
        for _ in range(4):
            worker.work(burst=True, logging_level="ERROR")
            for waiting in queue.scheduled_job_registry.get_job_ids():
                queue.scheduled_job_registry.remove(waiting)
                queue._enqueue_job(queue.fetch_job(waiting))
        assert made.get_status(refresh=True) == "finished"
        assert made.return_value() == "done"
        assert len(tried) == 3
