"""The folder of a fit, read without Keras."""

from pathlib import Path

from training.recipe import Recipe
from training.run import Standardization, read_recipe, read_standardization


def test_a_recipe_from_before_the_newer_settings_has_their_old_meaning(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"model": "mobilenetv2", "size": 64, "weight_decay": 0.01, "train": ["a"]}')
    recipe = read_recipe(tmp_path)
    assert recipe == Recipe("mobilenetv2", size=64, weight_decay=0.01, train=["a"])
    assert (recipe.optimizer, recipe.schedule, recipe.monitor) == ("adamw", "cosine", "val_accuracy")
    assert read_standardization(tmp_path) == Standardization(127.5, 127.5)
