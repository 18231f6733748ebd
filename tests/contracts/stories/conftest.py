"""The customer of the stories about the end of a period."""

import pytest

from tests.contracts.stories.lifecycle import LifecycleStory
from tests.support.service import ServiceUnderTest


@pytest.fixture
def lifecycle(service: ServiceUnderTest) -> LifecycleStory:
    return LifecycleStory(service)
