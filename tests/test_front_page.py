"""The front page: what it says, and how it behaves in a browser."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from browser import CHROMIUM, Page, browser
from hessian_rmt.claims.captions import _caption, captions
from hessian_rmt.claims.claim import CONTRADICTED, REPRODUCED, UNTESTABLE
from hessian_rmt.claims.page import front_page, markdown_table
from hessian_rmt.claims.verdicts import CLAIMS, verdicts
from hessian_rmt.config import check_config
from hessian_rmt.storage import write_csv

ROOT = Path(__file__).parents[1]
TEMPLATE = (ROOT / "workflow/report/index.html").read_text()
SHOWN = [
    "results/laptop/figures/universality/fig4.png",
    "results/laptop/figures/applicability/figS-mlp_mnist.png",
    "results/laptop/figures/applicability/figS-softmax_mnist.png",
    "results/laptop/tables/universality/tableX1.csv",
    "results/laptop/figures/geometry/fig6.png",
]
BUILT = {
    "universality": ["fig4", "tableX1"],
    "applicability": ["figS"],
    "geometry": ["fig6"],
}
CAPTIONS = {
    f"{paper}/{figure}": f"What {figure} of {paper} shows, at 5 < 6 & more."
    for paper, figures in BUILT.items()
    for figure in figures
}


def some_rows() -> list[dict[str, str]]:
    """All claims, with verdicts in turn and awkward text."""
    rows = []
    for paper in CLAIMS:
        rows += verdicts(paper, "laptop", {}, {}, BUILT.get(paper, []))
    kinds = (REPRODUCED, CONTRADICTED, UNTESTABLE)
    for i, row in enumerate(rows):
        row |= {"verdict": kinds[i % 3], "measured": f"<b>|x| = {i}</b> & " + "0123456789" * 8}
        row["evidence"] = "p = 0.5" if i % 2 else ""
    return rows


class Reader(HTMLParser):
    """Elements with their attributes, and the text of the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, tag: str, name: str) -> list[str]:
        return [attrs[name] for each, attrs in self.elements if each == tag and name in attrs]


HTML = front_page(TEMPLATE, "laptop", some_rows(), SHOWN, CAPTIONS)
READ = Reader(HTML)


# What it says -------------------------------------------------------------------------------------


def test_every_claim_has_a_row_with_its_rule():
    ids = [attrs["id"] for tag, attrs in READ.elements if tag == "tr" and "id" in attrs]
    assert ids == [claim.id for claims in CLAIMS.values() for claim in claims]
    for row in some_rows():
        for name in ("statement", "measured", "rule"):
            assert row[name] in READ.text, f"{row['id']}: {name} is not shown as it stands"


def test_links_lead_somewhere():
    ids = [attrs["id"] for _, attrs in READ.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    pictures = {path.removeprefix("results/laptop/") for path in SHOWN if path.endswith(".png")}
    files = pictures | {re.sub("png$", end, path) for path in pictures for end in ("pdf", "csv")}
    files |= {"tables/universality/tableX1.csv", "claims.csv", "claims.md"}
    for target in READ.values("a", "href"):
        assert target[1:] in ids if target.startswith("#") else target in files, target
    assert set(READ.values("img", "src")) == pictures
    links = [target for target in READ.values("a", "href") if target.startswith("#")]
    assert "#universality-fig4" in links, "U8 is shown in figure 4"
    assert "#universality-tableX1" in links
    assert {"#applicability-figS-mlp_mnist", "#applicability-figS-softmax_mnist"} <= set(links)


def test_claims_without_their_figure_say_so():
    assert "fig1, not built" in READ.text  # geometry's G1


def test_nothing_comes_from_elsewhere():
    without_data = HTML.replace('href="data:,"', "")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", without_data)
    assert len(HTML) < 150_000


def test_smoke_numbers_are_not_to_be_believed():
    assert "no number in it means anything" not in HTML
    shown = [path.replace("laptop", "smoke") for path in SHOWN]
    assert "no number in it means anything" in front_page(
        TEMPLATE, "smoke", some_rows(), shown, CAPTIONS
    )


def test_the_markdown_table_has_one_line_for_each_claim():
    text = markdown_table(some_rows())
    lines = [line for line in text.splitlines() if re.match(r"\| [UALG]\d", line)]
    assert len(lines) == len(some_rows())
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 6 for line in lines), "pipes are escaped"


@pytest.mark.parametrize("scale", ["laptop", "smoke", "paper"])
def test_every_configured_figure_has_a_caption(scale):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    if scale != "laptop":
        overlay = yaml.safe_load((ROOT / f"workflow/scales/{scale}.yaml").read_text())
        config = merged(config, overlay) | {"figures": overlay["figures"]}
    found = captions(check_config(config))
    assert set(found) == {f"{p}/{f}" for p, figures in config["figures"].items() for f in figures}
    for name, text in found.items():
        assert text.endswith("."), name
        assert "{" not in text
    labels = {run["label"] for run in config["runs"].values() if "label" in run}
    assert any(label in found["universality/fig2"] for label in labels)


def test_a_family_is_named_by_its_label():
    config = {"runs": {}, "families": {"wrn": {"run": {"label": "WRN, a stand-in"}}}}
    text = _caption("Errors by epoch.", {"family": "wrn", "bootstrap": 499}, config)
    assert text == "Errors by epoch. WRN, a stand-in. Family wrn, bootstrap 499."


def merged(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """As Snakemake merges an overlay."""
    result = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


# In a browser -------------------------------------------------------------------------------------

in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; apt-get install chromium")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    """The page with its pictures beside it."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    folder = tmp_path_factory.mktemp("page")
    for path in SHOWN:
        file = folder / path.removeprefix("results/laptop/")
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".png":
            figure, ax = plt.subplots(figsize=(9, 3))
            ax.plot([0, 1], [1, 0])
            figure.savefig(file)
            plt.close(figure)
        write_csv(file.with_suffix(".csv"), ["x"], [[1.0]])
    (folder / "index.html").write_text(HTML)
    return folder / "index.html"


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


VISIBLE = "[...document.querySelectorAll('tbody tr')].filter(r => r.offsetHeight).map(r => r.id)"
COUNT = "document.getElementById('count').textContent"


def choose(page: Page, name: str, value: str) -> None:
    page.run(
        f"(() => {{ const s = document.getElementById('{name}'); s.value = '{value}';"
        "s.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )


@in_browser
def test_it_loads_from_a_file_without_complaints(page, page_file):
    page.open(page_file)
    assert page.problems == []
    assert all(url.startswith((page_file.parent.as_uri(), "data:")) for url in page.requests)
    assert page.run("[...document.images].every(i => i.naturalWidth > 0)")
    assert page.run("document.images.length") == 4
    assert page.run("document.title").endswith("laptop")


@in_browser
def test_rows_are_filtered_by_paper_and_verdict(page, page_file):
    page.open(page_file)
    rows = some_rows()
    for paper in ("", *CLAIMS):
        for verdict in ("", REPRODUCED, CONTRADICTED, UNTESTABLE):
            choose(page, "paper", paper)
            choose(page, "verdict", verdict)
            expected = [
                row["id"]
                for row in rows
                if paper in ("", row["paper"]) and verdict in ("", row["verdict"])
            ]
            assert page.run(VISIBLE) == expected
            assert page.run(COUNT) == f"{len(expected)} of {len(rows)} claims"
    assert page.problems == []


@in_browser
def test_all_is_reached_by_keyboard(page, page_file):
    page.open(page_file)
    reached = []
    for _ in range(6):
        page.press("Tab", 9)
        reached.append(page.run("document.activeElement.id || document.activeElement.tagName"))
    assert reached[:2] == ["paper", "verdict"]
    assert "SUMMARY" in reached[2:]
    page.run("document.getElementById('paper').focus()")
    page.press("g", 71, "g")
    assert page.run("document.getElementById('paper').value") == "geometry"
    assert page.run(VISIBLE) == [claim.id for claim in CLAIMS["geometry"]]
    page.run("document.querySelector('#G1 summary').focus()")
    page.press("Enter", 13, "\r")
    assert page.run("document.querySelector('#G1 details').open")


@in_browser
def test_a_link_of_a_claim_shows_its_figure(page, page_file):
    page.open(page_file)
    page.run("document.querySelector('#U8 a').click()")
    assert page.run("document.querySelector('figure:target').id") == "universality-fig4"
    top = page.run("document.querySelector('figure:target').getBoundingClientRect().top")
    assert 0 <= top < 800


@in_browser
@pytest.mark.parametrize("width", [320, 360, 768, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_window(page, page_file, width, dark):
    page.open(page_file, width=width, dark=dark)
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run("innerWidth") == width, "the page is not zoomed out to fit"
    assert page.run(VISIBLE) == [row["id"] for row in some_rows()]


@in_browser
def test_it_is_a_table_for_those_who_hear_it(page, page_file):
    """Also on a phone, where its cells are drawn one below the other."""
    for width in (360, 1200):
        page.open(page_file, width=width)
        nodes = page("Accessibility.getFullAXTree")["nodes"]
        roles = [node["role"]["value"] for node in nodes if not node.get("ignored")]
        assert roles.count("table") == 1
        assert roles.count("rowheader") == len(some_rows())
        assert roles.count("cell") == 3 * len(some_rows())
        assert roles.count("columnheader") == 4
        names = [n.get("name", {}).get("value") for n in nodes if n["role"]["value"] == "combobox"]
        assert [name.split()[0] for name in names] == ["Paper", "Verdict"]


CONTRAST = """(() => {
  const channel = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = color => { const [r, g, b] = color.match(/[\\d.]+/g).map(Number);
    return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
  const behind = element => { for (let e = element; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$/.test(c)) return c; }
    return "rgb(255,255,255)"; };
  const ratios = [...document.querySelectorAll("body *")]
    .filter(e => e.offsetHeight && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => { const a = light(getComputedStyle(e).color), b = light(behind(e));
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); });
  return Math.min(...ratios);
})()"""


@in_browser
@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_ground(page, page_file, dark):
    """WCAG's contrast of 4.5, of every text."""
    page.open(page_file, dark=dark)
    assert page.run(CONTRAST) >= 4.5
    ground = page.run("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") != dark
