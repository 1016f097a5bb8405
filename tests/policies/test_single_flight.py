"""One does the work, the others wait; a flight that is dead is replaced."""

import threading

from provider_kit.policies.single_flight import SingleFlight


class Wakeup:
    def __init__(self):
        self.woken = 0

    def wake(self):
        self.woken += 1


def alive():
    return False


def test_the_first_one_leads_and_the_others_wait():
    """They are woken when it is over, and the next one leads again."""
    flights = SingleFlight()
    assert flights.current(0.0) is None
    flight, leads, wakeup = flights.join(0.0, 60.0, alive, Wakeup)
    assert (leads, wakeup) == (True, None)
    assert flights.current(1.0) is flight
    same, leads, wakeup = flights.join(1.0, 61.0, alive, Wakeup)
    assert (same, leads, wakeup.woken) == (flight, False, 0)
    flights.land(flight)
    assert wakeup.woken == 1
    assert flight.done
    assert flights.current(2.0) is None
    assert flights.join(2.0, 62.0, alive, Wakeup)[1]


def test_a_flight_that_takes_too_long_is_replaced():
    """What it held is given back; when it lands after all, it disturbs nobody."""
    flights = SingleFlight()
    dead, _, _ = flights.join(0.0, 60.0, alive, Wakeup)
    given_back = []
    dead.give_back = lambda: given_back.append(1)
    assert flights.join(60.0, 120.0, alive, Wakeup)[0] is dead
    new, leads, _ = flights.join(60.1, 120.1, alive, Wakeup)
    assert (leads, new is dead, given_back) == (True, False, [1])
    flights.land(dead)
    assert flights.current(61.0) is new


def test_a_flight_whose_world_has_ended_is_replaced_at_once():
    """Its event loop was closed; nothing will come of it."""
    flights = SingleFlight()
    ended = []
    flight, _, _ = flights.join(0.0, 60.0, lambda: bool(ended), Wakeup)
    assert flights.current(1.0) is flight
    ended.append(1)
    assert flights.current(1.0) is None
    assert flight.over(1.0)
    assert flights.join(1.0, 61.0, alive, Wakeup)[1]


def test_a_child_of_a_fork_waits_for_nobody():
    """Who refreshed is in another process now."""
    flights = SingleFlight()
    flights.join(0.0, 60.0, alive, Wakeup)
    flights._after_fork()
    assert flights.join(0.0, 60.0, alive, Wakeup)[1]


def test_many_threads_have_one_leader():
    """Whoever comes while it is under way waits for it."""
    flights = SingleFlight()
    leaders = []
    barrier = threading.Barrier(16)

    def join():
        barrier.wait()
        leaders.append(flights.join(0.0, 60.0, alive, Wakeup)[1])

    threads = [threading.Thread(target=join) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert leaders.count(True) == 1


def test_flights_about_different_things_know_nothing_of_each_other():
    """Each key has its own."""
    flights = SingleFlight()
    one, leads, _ = flights.join(0.0, 60.0, alive, Wakeup, key="one")
    other, also, _ = flights.join(0.0, 60.0, alive, Wakeup, key="other")
    assert leads
    assert also
    _, third, waiting = flights.join(0.0, 60.0, alive, Wakeup, key="other")
    assert not third
    flights.land(one)
    assert (waiting.woken, flights.current(0.0, "one"), flights.current(0.0, "other")) == (0, None, other)
    flights.end("other")
    assert waiting.woken == 1


def test_a_flight_ends_with_its_holder():
    """Whoever waited for it is woken, and may do the work."""

    class Holder:
        pass

    flights, holder = SingleFlight(), Holder()
    flights.join(0.0, 60.0, alive, Wakeup, holder=holder)
    _, leads, waiting = flights.join(0.0, 60.0, alive, Wakeup)
    assert (leads, waiting.woken) == (False, 0)
    del holder
    assert waiting.woken == 1
    assert flights.join(0.0, 60.0, alive, Wakeup)[1]
