import pytest

from steps.core import serverlog

ENGINE = (
    "(EngineCore pid=12642) INFO 11-23 00:41:35 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: "
    "model='model', quantization_config=None, kv_cache_dtype=auto, device_config={device}, seed=0, "
)
GUESS = "INFO 11-23 00:41:06 [__init__.py:291] Automatically detected platform {device}.\n"


@pytest.mark.parametrize("device", ["cuda", "cpu"])
@pytest.mark.parametrize("log", [ENGINE, GUESS], ids=["engine", "guess"])
def test_the_device_is_read_from_vllms_own_words(log, device):
    assert serverlog.device("some warning\n" + log.format(device=device) + "\nmore") == device


def test_the_engine_knows_better_than_the_guess():
    assert serverlog.device(GUESS.format(device="cuda") + ENGINE.format(device="cpu")) == "cpu"


@pytest.mark.parametrize("log", ["", "device_config=", "device_config=xpu", "the model talks about cuda and cpu"])
def test_a_log_that_does_not_tell_is_not_guessed_from(log):
    assert serverlog.device(log) is None


def test_the_last_exception_says_most_about_a_death():
    log = "INFO start\n  File x\nValueError: bad\nINFO cleaning up\n(EngineCore pid=7) RuntimeError: no room\nbye\n"
    assert serverlog.last_words(log) == "RuntimeError: no room"
    assert serverlog.last_words("one\ntwo\n\n") == "two"
    assert serverlog.last_words("") == "it said nothing"
