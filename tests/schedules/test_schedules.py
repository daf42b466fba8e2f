import pytest

from vaekit.objectives.elbo import ELBO
from vaekit.refusal import Refusal
from vaekit.schedules.constant import Constant
from vaekit.schedules.cyclical import Cyclical
from vaekit.schedules.linear import Linear
from vaekit.schedules.schedule import at, refuse_below, scheduled


def test_settings_that_follow_a_schedule_are_found_by_name():
    assert scheduled(ELBO(beta=Linear(4.0, epochs=10)), 5) == {"beta": 2.0}
    assert scheduled(ELBO(beta=4.0), 5) == {}


def test_linear():
    schedule = Linear(2.0, start=0.0, epochs=10)
    assert [schedule(e) for e in (0, 2.5, 10, 99)] == [0.0, 0.5, 2.0, 2.0]
    assert schedule(None) == 2.0


def test_cyclical_rises_in_the_first_part_of_each_cycle():
    schedule = Cyclical(1.0, start=0.0, epochs=40, cycles=4, ramp=0.5)
    assert [schedule(e) for e in (0, 2.5, 5, 9, 10, 12.5)] == [0.0, 0.5, 1.0, 1.0, 0.0, 0.5]
    assert schedule(40) == schedule(None) == 1.0


def test_a_number_is_its_own_schedule():
    assert at(3, 7.0) == at(Constant(3), None) == 3.0


@pytest.mark.parametrize(
    "make", [lambda: Linear(1, epochs=0), lambda: Cyclical(1, cycles=0), lambda: Cyclical(1, ramp=0)]
)
def test_invalid_schedules_are_refused(make):
    with pytest.raises(Refusal):
        make()


def test_a_coefficient_below_its_bound_is_refused_by_name():
    with pytest.raises(Refusal, match=r"objective\.beta=-1"):
        refuse_below(0, objective__beta=Constant(-1))
