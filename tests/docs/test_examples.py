"""The examples, started as their pages say: one call through an exchanged token, and refusals."""

import re
from contextlib import chdir
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "examples"
PAGE = (ROOT / "README.md").read_text()
SERVICES = sorted(path.parent for path in ROOT.glob("*/orders.py"))
SET_UP, ASK = PAGE.split("## 3. Ask")

pytestmark = pytest.mark.xdist_group("examples")


@pytest.fixture(scope="module")
def shop(long_reader):
    """A reader who did the first two steps: the token service and stock are running."""
    for path in [*ROOT.glob("*.*"), *(file for folder in SERVICES for file in folder.iterdir())]:
        if path.is_file():
            copy = long_reader.terminal.folder / path.relative_to(ROOT)
            copy.parent.mkdir(exist_ok=True)
            copy.write_text(long_reader.here(path.read_text()))
    assert long_reader.read(SET_UP, "README.md") == {"sh": 2}
    return long_reader


@pytest.mark.parametrize("folder", SERVICES, ids=lambda folder: folder.name)
def test_orders_asks_stock_for_the_shop_and_nobody_gets_further_than_the_rules(shop, folder) -> None:
    assert shop.read((folder / "README.md").read_text(), folder.name) == {"sh": 1}
    orders = shop.terminal.running[-1]
    shop.terminal.said.clear()
    with chdir(shop.terminal.folder):
        assert shop.read(ASK, "README.md") == {"python": 2}
    (said,) = re.findall(r"Stock printed `(.+)`", ASK)
    assert shop.terminal.hears(said)
    shop.terminal.end(orders)


def test_every_example_stands_in_the_list_and_is_small() -> None:
    listed = re.findall(r"^\| \[(\w+)\]", PAGE, re.MULTILINE)
    assert sorted(listed) == [folder.name for folder in SERVICES]
    for folder in SERVICES:
        assert len((folder / "orders.py").read_text().splitlines()) <= 60
        assert len((folder / "README.md").read_text().splitlines()) <= 12
