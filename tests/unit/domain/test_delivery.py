"""What a delivery's states mean, and how long it waits between tries."""

from datetime import timedelta

from watchword.domain.delivery import DeliveryState, back_off


def test_waits_double_up_to_a_minute():
    waits = [back_off(tries) // timedelta(seconds=1) for tries in range(1, 10)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_great_many_tries_wait_a_minute_too():
    assert back_off(5000) == timedelta(minutes=1)


def test_only_three_states_are_not_an_end():
    open_ones = {state for state in DeliveryState if not state.is_settled}
    assert open_ones == {DeliveryState.QUEUED, DeliveryState.LEASED, DeliveryState.SENDING}
