"""Draws the curves of trainings into one picture, in the style of `lagem report`.

The command is `make curves RUN="runs/demo_0 …"`.
"""

import argparse
import html
from pathlib import Path

from lagem.reports.curves import charts_of, metrics_files
from lagem.reports.page.chart import HEIGHT, WIDTH, svg_of
from lagem.storage.atomic import write_text

ABOVE, BETWEEN = 28, 12  # room for the titles of a chart, and between charts
PICTURE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
<style>
:root {{ --ink: #23262c; --quiet: #686e79; --line: #e2e3e6; --paper: #fdfdfc; --first: #3b6fb5; --second: #c2692b }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e4e6ea; --quiet: #9aa1ad; --line: #31353c; --paper: #17191d; --first: #85aee6; --second: #e39a63 }}
}}
text {{ font: 10px system-ui, sans-serif; fill: var(--quiet) }}
.title {{ font-size: 13px; fill: var(--ink) }}
.grid {{ stroke: var(--line) }}
polyline {{ fill: none; stroke-width: 1.5; stroke-linejoin: round }}
.line-0 {{ stroke: var(--first); color: var(--first) }}
.line-1 {{ stroke: var(--second); color: var(--second) }}
circle, tspan {{ fill: currentColor; stroke: none }}
</style>
<rect width="100%" height="100%" fill="var(--paper)"/>
{charts}
</svg>
"""


def picture_of(runs: list[Path], measures: list[str]) -> str:
    """Return an SVG with a row for each run, and in it a chart for each measure that the run logged."""
    drawn = []
    for row, run in enumerate(runs):
        charts = {chart.title: chart for chart in charts_of(metrics_files(run))}
        for column, name in enumerate(name for name in measures if name in charts):
            x, y = BETWEEN + column * (WIDTH + BETWEEN), ABOVE + row * (HEIGHT + ABOVE)
            figure = svg_of(charts[name], html.escape)
            chart = figure[figure.index("<svg ") + 5 : figure.index("</svg>") + 6]
            stages = " ".join(
                f'<tspan class="line-{number}">{html.escape(stage)}</tspan>'
                for number, stage in enumerate(charts[name].curves)
            )
            title = html.escape(f"{run}: {name}")
            drawn.append(f'<text class="title" x="{x}" y="{y - 6}">{title} {stages}</text>')
            drawn.append(f'<svg x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" {chart}')
    width = BETWEEN + len(measures) * (WIDTH + BETWEEN)
    return PICTURE.format(width=width, height=len(runs) * (HEIGHT + ABOVE), charts="\n".join(drawn))


def main() -> None:
    """Draw the picture that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a run of `lagem fit`")
    parser.add_argument(
        "--measures", nargs="+", default=["loss", "fscore"], help="charts of a row (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the SVG, replaced if it exists")
    args = parser.parse_args()
    write_text(args.output, picture_of(args.runs, args.measures))


if __name__ == "__main__":
    main()
