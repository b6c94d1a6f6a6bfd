"""Every implementation planted in NumPy is audited: wrong ones are named rightly, and no right one is accused."""

import pytest
from audit import confusion


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "plant", [plant for plant in confusion.plants() if plant.framework == "numpy"], ids=lambda plant: plant.id
)
def test_a_plant_is_named_rightly(plant):
    confusion.assert_named_rightly(plant)
