import pytest
from engine import Engine


@pytest.fixture(scope="session")
def docker():
    """DOCKER_HOST for the programs under test; the tests are skipped, and say why, where no engine can be had."""
    engine = Engine().start()
    if not engine.host:
        pytest.skip(engine.why)
    yield {"DOCKER_HOST": engine.host}
    engine.stop()
