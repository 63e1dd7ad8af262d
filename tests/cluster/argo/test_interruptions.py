"""What Stop does not reach. All else about Stop and Terminate is among the scenarios of both engines."""

from tests.cluster.scripted.scenario import Interruption, Part, Scenario

DEAF = Scenario(name="deaf", script={"mirror": (Part(seconds=60.0, deaf=True),)})


def test_a_step_that_takes_no_notice_runs_on_beside_the_exit_handler_and_after_the_run(house):
    """So no step may believe that it is alone because it holds the mutex."""
    name = house.begin(DEAF)

    house.interrupt(name, Interruption("mirror", "Stop"))
    house.end(name)

    assert house.began(name) >= {"mirror", "rollback", "report"}
    assert house.at_work(name, "mirror")
    house.remove(name)
